package receiver_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

type rejectionCase struct {
	name, body string
	code       int
	message    string
}

func rejections400() []rejectionCase {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	utf16 := "\xff\xfe" + strings.Join(strings.Split(wiretest.Body(), ""), "\x00") + "\x00"
	tooDeep := "x" + strings.Repeat("[0]", 20) + "…: is nested too deeply at byte 10373"
	return []rejectionCase{
		{"empty", "", 400, "the body is empty"},
		{"only spaces", " \n\t ", 400, "the body is incomplete at byte 4"},
		{"truncated", wiretest.Body()[:100], 400, "alerts[0]: is incomplete at byte 100"},
		{"an open brace", "{", 400, "the body is incomplete at byte 1"},
		{"no JSON", "alert!", 400, "the body is not JSON at byte 0"},
		{"a form", "a=b&c=d", 400, "the body is not JSON at byte 0"},
		{"an array", "[]", 400, "the body must be a JSON object, not a JSON array"},
		{"a string", `"x"`, 400, "the body must be a JSON object, not a JSON string"},
		{"a number", "5", 400, "the body must be a JSON object, not a JSON number"},
		{"a boolean", "true", 400, "the body must be a JSON object, not a JSON boolean"},
		{"null", "null", 400, "the body is not a notification"},
		{"an empty object", "{}", 400, "the body is not a notification"},
		{"a custom payload", `{"text":"hello"}`, 400, "the body is not a notification"},
		{"NaN", wiretest.Body(wiretest.Truncated, `"truncatedAlerts":NaN`), 400, "truncatedAlerts: is not JSON at byte 388"},
		{"trailing text", wiretest.Body() + "garbage", 400, "the body has more data after the JSON value at byte 390"},
		{"two objects", wiretest.Body() + wiretest.Body(), 400, "the body has more data after the JSON value at byte 390"},
		{"a byte order mark", "\ufeff" + wiretest.Body(), 400, "the body is not JSON at byte 0"},
		{"UTF-16", utf16, 400, "the body is not JSON at byte 0"},
		{"invalid UTF-8", wiretest.Body("Down", "Do\xffwn"), 400, "alerts[0].labels.alertname: is not valid UTF-8 at byte 91"},
		{"half a surrogate", wiretest.Body("Down", `Do\ud800wn`), 400, "alerts[0].labels.alertname: is not JSON at byte 91"},
		{"nested 10,001 deep", wiretest.Body(wiretest.Truncated, `"x":`+deep(10_001)), 400, tooDeep},
		{"nested 1,000,000 deep", wiretest.Body(wiretest.Truncated, `"x":`+deep(1_000_000)), 400, tooDeep},
		{"a name twice", wiretest.Body(wiretest.Version, wiretest.Version+","+wiretest.Version), 400, "version: is a duplicate name at byte 351"},
		{"alerts twice", wiretest.Body(wiretest.Version, `"alerts":[],`+wiretest.Version), 400, "alerts: is a duplicate name at byte 337"},
		{"a label twice", wiretest.Body(wiretest.Labels, `{"a":"1","a":"2"}`), 400, "alerts[0].labels.a: is a duplicate name at byte 84"},
		{"status a number", wiretest.Body(wiretest.Status, `[{"status":1`), 400, "alerts[0].status: must not be a JSON number"},
		{
			"status unknown",
			wiretest.Body(wiretest.Status, `[{"status":"pending"`),
			400,
			`alerts[0].status: is "pending", must be "firing" or "resolved"`,
		},
		{"status missing", wiretest.Body(`"status":"firing",`, ""), 400, `alerts[0].status: is "", must be "firing" or "resolved"`},
		{"labels an array", wiretest.Body(wiretest.Labels, `["a"]`), 400, "alerts[0].labels: must not be a JSON array"},
		{"a label a number", wiretest.Body(wiretest.Labels, `{"a":1}`), 400, "alerts[0].labels.a: must not be a JSON number"},
		{"a label an object", wiretest.Body(wiretest.Labels, `{"a":{}}`), 400, "alerts[0].labels.a: must not be a JSON object"},
		{"startsAt missing", wiretest.Body(wiretest.Start+",", ""), 400, "alerts[0].startsAt: is missing"},
		{"startsAt year 0001", wiretest.Body(wiretest.Start, `"startsAt":"0001-01-01T00:00:00Z"`), 400, "alerts[0].startsAt: is missing"},
		{"startsAt null", wiretest.Body(wiretest.Start, `"startsAt":null`), 400, "alerts[0].startsAt: is missing"},
		{"startsAt a number", wiretest.Body(wiretest.Start, `"startsAt":5`), 400, "alerts[0].startsAt: is not an RFC 3339 time"},
		{"startsAt no time", wiretest.Body(wiretest.Start, `"startsAt":"yesterday"`), 400, "alerts[0].startsAt: is not an RFC 3339 time"},
		{
			"startsAt without zone",
			wiretest.Body(wiretest.Start, `"startsAt":"2026-11-23T03:00:00"`),
			400,
			"alerts[0].startsAt: is not an RFC 3339 time",
		},
		{
			"startsAt year 10000",
			wiretest.Body(wiretest.Start, `"startsAt":"10000-01-01T00:00:00Z"`),
			400,
			"alerts[0].startsAt: is not an RFC 3339 time",
		},
		{
			"startsAt beyond 9999 in UTC", wiretest.Body(wiretest.Start, `"startsAt":"9999-12-31T23:00:00-05:00"`), 400,
			"alerts[0].startsAt: must be between the years 0 and 9999 in UTC",
		},
		{
			"endsAt a boolean",
			wiretest.Body(`"endsAt":"0001-01-01T00:00:00Z"`, `"endsAt":false`),
			400,
			"alerts[0].endsAt: is not an RFC 3339 time",
		},
		{
			"alerts null", wiretest.Body(allAlerts(), "null"), 400,
			"alerts: is empty, must have at least one alert",
		},
		{
			"alerts empty", wiretest.Body(allAlerts(), "[]"), 400,
			"alerts: is empty, must have at least one alert",
		},
		{
			"alerts an object", wiretest.Body(allAlerts(), "{}"), 400,
			"alerts: must not be a JSON object",
		},
		{
			"an alert a string", wiretest.Body(allAlerts(), `["x"]`), 400,
			"alerts[0]: must not be a JSON string",
		},
		{"no groupKey", wiretest.Body(wiretest.Key+",", ""), 400, "groupKey: is missing"},
		{"groupKey empty", wiretest.Body(wiretest.Key, `"groupKey":""`), 400, "groupKey: is missing"},
		{"groupKey a number", wiretest.Body(wiretest.Key, `"groupKey":7`), 400, "groupKey: must not be a JSON number"},
		{"version missing", wiretest.Body(wiretest.Version+",", ""), 400, `version: is "", must be "4" (Alertmanager) or "1" (Grafana)`},
		{"version 5", wiretest.Body(wiretest.Version, `"version":"5"`), 400, `version: is "5", must be "4" (Alertmanager) or "1" (Grafana)`},
		{"version a number", wiretest.Body(wiretest.Version, `"version":4`), 400, "version: must not be a JSON number"},
		{
			"a long version", wiretest.Body(wiretest.Version, `"version":"`+strings.Repeat("é", 500)+`"`), 400,
			`version: is "` + strings.Repeat("é", 20) + `…", must be "4" (Alertmanager) or "1" (Grafana)`,
		},
		{
			"truncatedAlerts negative",
			wiretest.Body(wiretest.Truncated, `"truncatedAlerts":-1`),
			400,
			`truncatedAlerts: must not be the number "-1"`,
		},
		{
			"truncatedAlerts a fraction",
			wiretest.Body(wiretest.Truncated, `"truncatedAlerts":1.5`),
			400,
			`truncatedAlerts: must not be the number "1.5"`,
		},
		{
			"truncatedAlerts with an exponent",
			wiretest.Body(wiretest.Truncated, `"truncatedAlerts":1e3`),
			400,
			`truncatedAlerts: must not be the number "1e3"`,
		},
		{
			"truncatedAlerts 2^64", wiretest.Body(wiretest.Truncated, `"truncatedAlerts":18446744073709551616`), 400,
			`truncatedAlerts: must not be the number "18446744073709551616"`,
		},
		{
			"truncatedAlerts a string",
			wiretest.Body(wiretest.Truncated, `"truncatedAlerts":"5"`),
			400,
			"truncatedAlerts: must not be a JSON string",
		},
		{"receiver null labels wrong", wiretest.Body(`"groupLabels":{}`, `"groupLabels":[1]`), 400, "groupLabels: must not be a JSON array"},
		{"externalURL an object", wiretest.Body(`"externalURL":"http://am"`, `"externalURL":{}`), 400, "externalURL: must not be a JSON object"},
	}
}

func TestMalformedBodies(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxBodySize: 32 << 20})
	require.Equal(t, http.StatusOK, h.Post(wiretest.Body(wiretest.Key, `"groupKey":"held"`)).Code)
	before := h.Stored(t)
	table := rejections400()
	require.GreaterOrEqual(t, len(table), 40)
	for _, r := range table {
		started := time.Now()
		h.RequireRejected(t, r.name, h.Post(r.body), r.code, r.message)
		require.Less(t, time.Since(started), 5*time.Second, r.name)
		require.Equal(t, before, h.Stored(t), "%s changed the stored groups", r.name)
	}
	require.InDelta(t, len(table), h.Counter(t, "muster_notifications_rejected_total", "reason", "bad_message"), 0)
}

func TestMalformedRequests(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxBodySize: 32 << 20})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(wiretest.Body()))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	post := func(headers ...string) *httptest.ResponseRecorder { return h.Post(wiretest.Body(), headers...) }

	h.RequireRejected(t, "gzip", h.Post(zipped.String(), "Content-Encoding", "gzip"), 415, "Content-Encoding: must be identity")
	h.RequireRejected(t, "gzip unannounced", h.Post(zipped.String()), 400, "the body is not JSON at byte 0")
	h.RequireRejected(t, "a form's type", post("Content-Type", "application/x-www-form-urlencoded"), 415,
		"Content-Type: must be application/json")
	h.RequireRejected(t, "text", post("Content-Type", "text/plain"), 415, "Content-Type: must be application/json")
	h.RequireRejected(t, "no type at all", post("Content-Type", ";;;"), 415, "Content-Type: must be application/json")
	h.RequireRejected(t, "another charset", post("Content-Type", "application/json; charset=utf-16"), 415,
		"Content-Type: charset must be utf-8")
	h.RequireRejected(t, "33 MiB", h.Post(`{"x":"`+strings.Repeat("a", 33<<20)+`"}`), 413, "the body is larger than 33554432 bytes")
	for _, source := range []string{"a%2Fb", "a%20b", "%00", strings.Repeat("a", 65), "é"} {
		h.RequireRejected(t, source, h.Do(http.MethodPost, "/webhook/"+source, strings.NewReader(wiretest.Body())), 400,
			"source: must have 1 to 64 letters, digits, '_', '.' or '-'")
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPatch} {
		h.RequireRejected(t, method, h.Do(method, "/webhook", strings.NewReader(wiretest.Body())), 405, "method not allowed")
	}
	require.JSONEq(t, `{"groups":[],"total":0}`, h.Get("/api/v1/groups").Body.String())
	require.JSONEq(t, `{"events":[]}`, h.Get("/api/v1/events").Body.String())
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", "too_large"), 0)
	require.InDelta(t, 5, h.Counter(t, "muster_notifications_rejected_total", "reason", "unsupported_media"), 0)
	require.InDelta(t, 5, h.Counter(t, "muster_notifications_rejected_total", "reason", "bad_source"), 0)
}

// Unusual bodies that a real sender may send are stored unchanged.
func TestUnusualBodiesAreStored(t *testing.T) {
	for name, text := range map[string]string{
		"NUL and control characters": wiretest.Body("Down", `a\u0000b\u001b[31m`),
		"year 9999":                  wiretest.Body(wiretest.Start, `"startsAt":"9999-12-31T23:59:59.999999999Z"`),
		"year 1677":                  wiretest.Body(wiretest.Start, `"startsAt":"1677-01-01T00:00:00Z"`),
		"year 2300":                  wiretest.Body(wiretest.Start, `"startsAt":"2300-01-01T00:00:00.000000001+02:00"`),
		"endsAt before startsAt": wiretest.Body(wiretest.Status, `[{"status":"resolved"`, `"endsAt":"0001-01-01T00:00:00Z"`,
			`"endsAt":"2020-01-01T00:00:00Z"`),
		"64 KiB label":            wiretest.Body("Down", strings.Repeat("x", 64<<10)),
		"64 KiB annotation":       wiretest.Body(`"summary":"s"`, `"summary":"`+strings.Repeat("y", 64<<10)+`"`),
		"no labels":               wiretest.Body(wiretest.Labels, "{}"),
		"labels null":             wiretest.Body(wiretest.Labels, "null"),
		"empty label values":      wiretest.Body(wiretest.Labels, `{"a":""}`),
		"names of other things":   wiretest.Body(wiretest.Labels, `{"__proto__":"x","status":"y","id":"z"}`),
		"unknown fields":          wiretest.Body(wiretest.Truncated, `"orgId":1,"title":"t","values":{"a":[1,{}]},`+wiretest.Truncated),
		"another case of a name":  wiretest.Body(wiretest.Version, `"VERSION":"9",`+wiretest.Version),
		"truncatedAlerts null":    wiretest.Body(wiretest.Truncated, `"truncatedAlerts":null`),
		"truncatedAlerts missing": wiretest.Body(","+wiretest.Truncated, ""),
		"Grafana's version":       wiretest.Body(wiretest.Version, `"version":"1"`),
		"a javascript URL":        wiretest.Body("http://p", "javascript:alert(1)"),
		"a huge groupKey":         wiretest.Body(wiretest.Key, `"groupKey":"`+strings.Repeat("k", 1<<20)+`"`),
		"groupKey with control":   wiretest.Body(wiretest.Key, `"groupKey":"a\u0000\r\n{}"`),
		"right to left":           wiretest.Body("Down", "\u202edown\u2028"),
	} {
		h := testserver.New(t, testserver.Options{})
		w := h.Post(text)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", name, w.Body)
		var list struct{ Total int }
		answer := h.Get("/api/v1/groups?alerts=true")
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &list), name)
		require.Equal(t, 1, list.Total, name)
	}
}

func TestFingerprintsAreTakenOrComputed(t *testing.T) {
	computed := string(grouping.NewLabels(map[string]string{"alertname": "Down"}).Fingerprint())
	for given, want := range map[string]string{
		"0011223344556677": "0011223344556677", "": computed, "zz": computed, "00112233445566778": computed,
		"0011223344556677"[:15]: computed, "AABBCCDDEEFF0011": computed, "../../../../etc/": computed,
	} {
		h := testserver.New(t, testserver.Options{})
		require.Equal(t, http.StatusOK, h.Post(wiretest.Body(wiretest.Fingerprint, fmt.Sprintf(`"fingerprint":%q`, given))).Code)
		require.Equal(t, http.StatusOK, h.Get("/api/v1/alerts/"+want).Code, given)
	}
}

func TestIncompleteBodyIsRejected(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	w := h.Do(http.MethodPost, "/webhook", brokenReader{strings.NewReader(wiretest.Body()[:50])})
	h.RequireRejected(t, "short", w, 503, "the body is incomplete")
}

// brokenReader fails at the end of its text, like a broken connection.
type brokenReader struct{ *strings.Reader }

func (r brokenReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		err = http.ErrBodyReadAfterClose
	}
	return n, err
}

// hostile returns texts that become longer in JSON.
func hostile() []string {
	return []string{
		"\x00", "\x1b", `"`, `\`, "<", "&", ">", "'", "\u2028", "\U000e0001", "\U0010ffff", "\ufeff", "\n", "é", "日", "x",
	}
}

// The error of a rejection is always short, because Alertmanager writes it to
// its log.
func TestRejectionsAreShort(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, part := range hostile() {
		text, err := json.Marshal(strings.Repeat(part, 100))
		require.NoError(t, err)
		for name, b := range map[string]string{
			"version":    wiretest.Body(wiretest.Version, `"version":`+string(text)),
			"status":     wiretest.Body(wiretest.Status, `[{"status":`+string(text)),
			"label":      wiretest.Body(wiretest.Labels, `{`+string(text)+`:1}`),
			"name twice": wiretest.Body(wiretest.Labels, `{`+string(text)+`:"",`+string(text)+`:""}`),
			"nested":     wiretest.Body(wiretest.Truncated, `"x":`+strings.Repeat(`{`+string(text)+`:`, 20)),
			"nested in long": wiretest.Body(wiretest.Truncated, `"`+strings.Repeat("a", 60)+`":`+
				strings.Repeat(`{`+string(text)+`:`, 20)),
		} {
			h.RequireRejected(t, fmt.Sprintf("%s of %q", name, part), h.Post(b), 400, "")
		}
		w := h.Get("/api/v1/groups?filter=a%3D%3D%22" + strings.Repeat("x", 10_000))
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.LessOrEqual(t, w.Body.Len(), 200)
	}
}

// A body with only {} as alerts is rejected at the first alert. Otherwise each
// three bytes would need a hundred bytes of memory.
func TestInvalidAlertsAreRejectedAtTheFirst(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	alerts := strings.Repeat("{},", 1_000_000)
	text := wiretest.Body(wiretest.Body()[strings.Index(wiretest.Body(), "[{"):strings.Index(wiretest.Body(), "}]")+2], "["+alerts+"{}]")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.RequireRejected(t, "braces", h.Post(text), 400, `alerts[0].status: is "", must be "firing" or "resolved"`)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "the body has 3 MB")
}

// allAlerts returns the list of alerts in the usual body.
func allAlerts() string {
	body := wiretest.Body()
	return body[strings.Index(body, "[{") : strings.Index(body, "}]")+2]
}
