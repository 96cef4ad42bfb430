package receiver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// body returns a valid notification after replacements: pairs of old and new
// text.
func body(replace ...string) string {
	const legal = `{"receiver":"team","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Down"},` +
		`"annotations":{"summary":"s"},"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p",` +
		`"fingerprint":"0011223344556677"}],"groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am",` +
		`"version":"4","groupKey":"{}:{}","truncatedAlerts":0}`
	return strings.NewReplacer(replace...).Replace(legal)
}

const (
	wireStart       = `"startsAt":"2026-11-23T03:00:00Z"`
	wireStatus      = `[{"status":"firing"`
	wireLabels      = `{"alertname":"Down"}`
	wireFingerprint = `"fingerprint":"0011223344556677"`
	wireVersion     = `"version":"4"`
	wireKey         = `"groupKey":"{}:{}"`
	wireCut         = `"truncatedAlerts":0`
)

type rejectionCase struct {
	name, body string
	code       int
	message    string
}

func rejections400() []rejectionCase {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	utf16 := "\xff\xfe" + strings.Join(strings.Split(body(), ""), "\x00") + "\x00"
	tooDeep := "x" + strings.Repeat("[0]", 20) + "…: is nested too deeply at byte 10373"
	return []rejectionCase{
		{"empty", "", 400, "the body is empty"},
		{"only spaces", " \n\t ", 400, "the body is incomplete at byte 4"},
		{"truncated", body()[:100], 400, "alerts[0]: is incomplete at byte 100"},
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
		{"NaN", body(wireCut, `"truncatedAlerts":NaN`), 400, "truncatedAlerts: is not JSON at byte 388"},
		{"trailing text", body() + "garbage", 400, "the body has more data after the JSON value at byte 390"},
		{"two objects", body() + body(), 400, "the body has more data after the JSON value at byte 390"},
		{"a byte order mark", "\ufeff" + body(), 400, "the body is not JSON at byte 0"},
		{"UTF-16", utf16, 400, "the body is not JSON at byte 0"},
		{"invalid UTF-8", body("Down", "Do\xffwn"), 400, "alerts[0].labels.alertname: is not valid UTF-8 at byte 91"},
		{"half a surrogate", body("Down", `Do\ud800wn`), 400, "alerts[0].labels.alertname: is not JSON at byte 91"},
		{"nested 10,001 deep", body(wireCut, `"x":`+deep(10_001)), 400, tooDeep},
		{"nested 1,000,000 deep", body(wireCut, `"x":`+deep(1_000_000)), 400, tooDeep},
		{"a name twice", body(wireVersion, wireVersion+","+wireVersion), 400, "version: is a duplicate name at byte 351"},
		{"alerts twice", body(wireVersion, `"alerts":[],`+wireVersion), 400, "alerts: is a duplicate name at byte 337"},
		{"a label twice", body(wireLabels, `{"a":"1","a":"2"}`), 400, "alerts[0].labels.a: is a duplicate name at byte 84"},
		{"status a number", body(wireStatus, `[{"status":1`), 400, "alerts[0].status: must not be a JSON number"},
		{"status unknown", body(wireStatus, `[{"status":"pending"`), 400, `alerts[0].status: is "pending", must be "firing" or "resolved"`},
		{"status missing", body(`"status":"firing",`, ""), 400, `alerts[0].status: is "", must be "firing" or "resolved"`},
		{"labels an array", body(wireLabels, `["a"]`), 400, "alerts[0].labels: must not be a JSON array"},
		{"a label a number", body(wireLabels, `{"a":1}`), 400, "alerts[0].labels.a: must not be a JSON number"},
		{"a label an object", body(wireLabels, `{"a":{}}`), 400, "alerts[0].labels.a: must not be a JSON object"},
		{"startsAt missing", body(wireStart+",", ""), 400, "alerts[0].startsAt: is missing"},
		{"startsAt year 0001", body(wireStart, `"startsAt":"0001-01-01T00:00:00Z"`), 400, "alerts[0].startsAt: is missing"},
		{"startsAt null", body(wireStart, `"startsAt":null`), 400, "alerts[0].startsAt: is missing"},
		{"startsAt a number", body(wireStart, `"startsAt":5`), 400, "alerts[0].startsAt: is not an RFC 3339 time"},
		{"startsAt no time", body(wireStart, `"startsAt":"yesterday"`), 400, "alerts[0].startsAt: is not an RFC 3339 time"},
		{"startsAt without zone", body(wireStart, `"startsAt":"2026-11-23T03:00:00"`), 400, "alerts[0].startsAt: is not an RFC 3339 time"},
		{"startsAt year 10000", body(wireStart, `"startsAt":"10000-01-01T00:00:00Z"`), 400, "alerts[0].startsAt: is not an RFC 3339 time"},
		{
			"startsAt beyond 9999 in UTC", body(wireStart, `"startsAt":"9999-12-31T23:00:00-05:00"`), 400,
			"alerts[0].startsAt: must be between the years 0 and 9999 in UTC",
		},
		{"endsAt a boolean", body(`"endsAt":"0001-01-01T00:00:00Z"`, `"endsAt":false`), 400, "alerts[0].endsAt: is not an RFC 3339 time"},
		{
			"alerts null", body(body()[strings.Index(body(), `[{`):strings.Index(body(), `}]`)+2], "null"), 400,
			"alerts: is empty, must have at least one alert",
		},
		{
			"alerts empty", body(body()[strings.Index(body(), `[{`):strings.Index(body(), `}]`)+2], "[]"), 400,
			"alerts: is empty, must have at least one alert",
		},
		{
			"alerts an object", body(body()[strings.Index(body(), `[{`):strings.Index(body(), `}]`)+2], "{}"), 400,
			"alerts: must not be a JSON object",
		},
		{
			"an alert a string", body(body()[strings.Index(body(), `[{`):strings.Index(body(), `}]`)+2], `["x"]`), 400,
			"alerts[0]: must not be a JSON string",
		},
		{"no groupKey", body(wireKey+",", ""), 400, "groupKey: is missing"},
		{"groupKey empty", body(wireKey, `"groupKey":""`), 400, "groupKey: is missing"},
		{"groupKey a number", body(wireKey, `"groupKey":7`), 400, "groupKey: must not be a JSON number"},
		{"version missing", body(wireVersion+",", ""), 400, `version: is "", must be "4" (Alertmanager) or "1" (Grafana)`},
		{"version 5", body(wireVersion, `"version":"5"`), 400, `version: is "5", must be "4" (Alertmanager) or "1" (Grafana)`},
		{"version a number", body(wireVersion, `"version":4`), 400, "version: must not be a JSON number"},
		{
			"a long version", body(wireVersion, `"version":"`+strings.Repeat("é", 500)+`"`), 400,
			`version: is "` + strings.Repeat("é", 20) + `…", must be "4" (Alertmanager) or "1" (Grafana)`,
		},
		{"truncatedAlerts negative", body(wireCut, `"truncatedAlerts":-1`), 400, `truncatedAlerts: must not be the number "-1"`},
		{"truncatedAlerts a fraction", body(wireCut, `"truncatedAlerts":1.5`), 400, `truncatedAlerts: must not be the number "1.5"`},
		{"truncatedAlerts with an exponent", body(wireCut, `"truncatedAlerts":1e3`), 400, `truncatedAlerts: must not be the number "1e3"`},
		{
			"truncatedAlerts 2^64", body(wireCut, `"truncatedAlerts":18446744073709551616`), 400,
			`truncatedAlerts: must not be the number "18446744073709551616"`,
		},
		{"truncatedAlerts a string", body(wireCut, `"truncatedAlerts":"5"`), 400, "truncatedAlerts: must not be a JSON string"},
		{"receiver null labels wrong", body(`"groupLabels":{}`, `"groupLabels":[1]`), 400, "groupLabels: must not be a JSON array"},
		{"externalURL an object", body(`"externalURL":"http://am"`, `"externalURL":{}`), 400, "externalURL: must not be a JSON object"},
	}
}

func TestMalformedBodies(t *testing.T) {
	h := newTestServer(t, Options{MaxBodySize: 32 << 20})
	require.Equal(t, http.StatusOK, h.post(body(wireKey, `"groupKey":"held"`)).Code)
	before := h.stored(t)
	table := rejections400()
	require.GreaterOrEqual(t, len(table), 40)
	for _, r := range table {
		started := time.Now()
		h.requireRejected(t, r.name, h.post(r.body), r.code, r.message)
		require.Less(t, time.Since(started), 5*time.Second, r.name)
		require.Equal(t, before, h.stored(t), "%s changed the stored groups", r.name)
	}
	require.InDelta(t, len(table), h.counter(t, "muster_notifications_rejected_total", "reason", "bad_message"), 0)
}

// requireRejected asserts the status code and the message of a rejection; ""
// allows any message. It also asserts that the answer is short, because
// Alertmanager writes it to its log.
func (h *testServer) requireRejected(t *testing.T, name string, w *httptest.ResponseRecorder, code int, message string) {
	t.Helper()
	var answer struct{ Error string }
	text := w.Body
	require.NoError(t, json.Unmarshal(text.Bytes(), &answer), "%s: %s", name, text)
	require.Equal(t, code, w.Code, "%s: %s", name, answer.Error)
	if message != "" {
		require.Equal(t, message, answer.Error, name)
	}
	require.NotEmpty(t, answer.Error, name)
	require.LessOrEqual(t, text.Len(), 200, name)
}

// stored returns all groups and events of the server as text.
func (h *testServer) stored(t *testing.T) string {
	t.Helper()
	return h.get("/api/v1/groups?alerts=true").Body.String() + h.get("/api/v1/events").Body.String()
}

func TestMalformedRequests(t *testing.T) {
	h := newTestServer(t, Options{MaxBodySize: 32 << 20})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(body()))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	post := func(headers ...string) *httptest.ResponseRecorder { return h.post(body(), headers...) }

	h.requireRejected(t, "gzip", h.post(zipped.String(), "Content-Encoding", "gzip"), 415, "Content-Encoding: must be identity")
	h.requireRejected(t, "gzip unannounced", h.post(zipped.String()), 400, "the body is not JSON at byte 0")
	h.requireRejected(t, "a form's type", post("Content-Type", "application/x-www-form-urlencoded"), 415,
		"Content-Type: must be application/json")
	h.requireRejected(t, "text", post("Content-Type", "text/plain"), 415, "Content-Type: must be application/json")
	h.requireRejected(t, "no type at all", post("Content-Type", ";;;"), 415, "Content-Type: must be application/json")
	h.requireRejected(t, "another charset", post("Content-Type", "application/json; charset=utf-16"), 415,
		"Content-Type: charset must be utf-8")
	h.requireRejected(t, "33 MiB", h.post(`{"x":"`+strings.Repeat("a", 33<<20)+`"}`), 413, "the body is larger than 33554432 bytes")
	for _, source := range []string{"a%2Fb", "a%20b", "%00", strings.Repeat("a", 65), "é"} {
		h.requireRejected(t, source, h.do(http.MethodPost, "/webhook/"+source, strings.NewReader(body())), 400,
			"source: must have 1 to 64 letters, digits, '_', '.' or '-'")
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPatch} {
		h.requireRejected(t, method, h.do(method, "/webhook", strings.NewReader(body())), 405, "method not allowed")
	}
	require.JSONEq(t, `{"groups":[],"total":0}`, h.get("/api/v1/groups").Body.String())
	require.JSONEq(t, `{"events":[]}`, h.get("/api/v1/events").Body.String())
	require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", "too_large"), 0)
	require.InDelta(t, 5, h.counter(t, "muster_notifications_rejected_total", "reason", "unsupported_media"), 0)
	require.InDelta(t, 5, h.counter(t, "muster_notifications_rejected_total", "reason", "bad_source"), 0)
}

// Unusual bodies that a real sender may send are stored unchanged.
func TestUnusualBodiesAreStored(t *testing.T) {
	for name, text := range map[string]string{
		"NUL and control characters": body("Down", `a\u0000b\u001b[31m`),
		"year 9999":                  body(wireStart, `"startsAt":"9999-12-31T23:59:59.999999999Z"`),
		"year 1677":                  body(wireStart, `"startsAt":"1677-01-01T00:00:00Z"`),
		"year 2300":                  body(wireStart, `"startsAt":"2300-01-01T00:00:00.000000001+02:00"`),
		"endsAt before startsAt": body(wireStatus, `[{"status":"resolved"`, `"endsAt":"0001-01-01T00:00:00Z"`,
			`"endsAt":"2020-01-01T00:00:00Z"`),
		"64 KiB label":            body("Down", strings.Repeat("x", 64<<10)),
		"64 KiB annotation":       body(`"summary":"s"`, `"summary":"`+strings.Repeat("y", 64<<10)+`"`),
		"no labels":               body(wireLabels, "{}"),
		"labels null":             body(wireLabels, "null"),
		"empty label values":      body(wireLabels, `{"a":""}`),
		"names of other things":   body(wireLabels, `{"__proto__":"x","status":"y","id":"z"}`),
		"unknown fields":          body(wireCut, `"orgId":1,"title":"t","values":{"a":[1,{}]},`+wireCut),
		"another case of a name":  body(wireVersion, `"VERSION":"9",`+wireVersion),
		"truncatedAlerts null":    body(wireCut, `"truncatedAlerts":null`),
		"truncatedAlerts missing": body(","+wireCut, ""),
		"Grafana's version":       body(wireVersion, `"version":"1"`),
		"a javascript URL":        body("http://p", "javascript:alert(1)"),
		"a huge groupKey":         body(wireKey, `"groupKey":"`+strings.Repeat("k", 1<<20)+`"`),
		"groupKey with control":   body(wireKey, `"groupKey":"a\u0000\r\n{}"`),
		"right to left":           body("Down", "\u202edown\u2028"),
	} {
		h := newTestServer(t, Options{})
		w := h.post(text)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", name, w.Body)
		var list struct{ Total int }
		answer := h.get("/api/v1/groups?alerts=true")
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &list), name)
		require.Equal(t, 1, list.Total, name)
	}
}

func TestFingerprintsAreTakenOrComputed(t *testing.T) {
	computed := string(grouping.Labels{"alertname": "Down"}.Fingerprint())
	for given, want := range map[string]string{
		"0011223344556677": "0011223344556677", "": computed, "zz": computed, "00112233445566778": computed,
		"0011223344556677"[:15]: computed, "AABBCCDDEEFF0011": computed, "../../../../etc/": computed,
	} {
		h := newTestServer(t, Options{})
		require.Equal(t, http.StatusOK, h.post(body(wireFingerprint, fmt.Sprintf(`"fingerprint":%q`, given))).Code)
		require.Equal(t, http.StatusOK, h.get("/api/v1/alerts/"+want).Code, given)
	}
}

func TestIncompleteBodyIsRejected(t *testing.T) {
	h := newTestServer(t, Options{})
	w := h.do(http.MethodPost, "/webhook", brokenReader{strings.NewReader(body()[:50])})
	h.requireRejected(t, "short", w, 503, "the body is incomplete")
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
