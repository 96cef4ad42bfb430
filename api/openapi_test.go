package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/history"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/receiver"
)

// contract is the parsed docs/openapi.yaml.
type contract struct {
	*openapi3.T

	find func(*http.Request) (*openapi3filter.RequestValidationInput, error)
	// used contains the answers and parameters that tests covered: "GET /path
	// 200", "/path?parameter".
	used map[string]bool
}

func readContract(t *testing.T) *contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../docs/openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	router, err := legacy.NewRouter(doc)
	require.NoError(t, err)
	c := &contract{T: doc, used: map[string]bool{}}
	c.find = func(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
		route, params, err := router.FindRoute(r)
		if err != nil {
			return nil, err
		}
		return &openapi3filter.RequestValidationInput{
			Request: r, Route: route, PathParams: params, QueryParams: r.URL.Query(),
			Options: &openapi3filter.Options{
				IncludeResponseStatus: true,
				AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
				// The validator decodes only JSON and plain text.
				ExcludeResponseBody: route.Path == testserver.LivePath || r.URL.Query().Get("format") != "",
			},
		}, nil
	}
	return c
}

// validate validates an answer against the file.
func (c *contract) validate(t *testing.T, r *http.Request, code int, header http.Header, body []byte) {
	t.Helper()
	in, err := c.find(r)
	require.NoError(t, err, "%s %s", r.Method, r.URL)
	c.used[fmt.Sprint(r.Method, " ", in.Route.Path, " ", code)] = true
	for name := range in.QueryParams {
		require.NotNil(t, in.Route.Operation.Parameters.GetByInAndName("query", name), "%s: %s is not in the file", r.URL, name)
		c.used[in.Route.Path+"?"+name] = true
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: code, Header: header, Options: in.Options}
	out.SetBodyBytes(body)
	require.NoError(t, openapi3filter.ValidateResponse(context.Background(), out), "%s %s: %d %s", r.Method, r.URL, code, body)
}

// asks sends a request that must be valid by the file, and validates the answer
// too.
func asks(t *testing.T, h *testserver.Server, c *contract, code int, path string) []byte {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	in, err := c.find(r)
	require.NoError(t, err, path)
	require.NoError(t, openapi3filter.ValidateRequest(t.Context(), in), path)
	return answers(t, h, c, code, http.MethodGet, path, "")
}

// answers sends a request that may be invalid by the file, and validates the
// answer.
func answers(t *testing.T, h *testserver.Server, c *contract, code int, method, path, body string, headers ...string) []byte {
	t.Helper()
	w := h.Do(method, path, strings.NewReader(body), headers...)
	require.Equal(t, code, w.Code, "%s %s: %s", method, path, w.Body)
	c.validate(t, httptest.NewRequest(method, path, nil), w.Code, w.Header(), w.Body.Bytes())
	return w.Body.Bytes()
}

var ginParam = regexp.MustCompile(`:(\w+)`)

// Pages and profiles are for people and not part of the API.
// notInContract has the pages, and what Alertmanager's own description describes.
var notInContract = regexp.MustCompile(
	`^(/|/(groups|alerts|silences|static|debug/pprof)(/.*)?|/(ack|history|report|report/list|status|help|go)/?|(/source/:source)?/api/v2/.*)$`)

// The file lists every route of the API and no other route.
func TestTheContractHasTheRoutes(t *testing.T) {
	want := map[string]bool{}
	for _, route := range testserver.New(t, testserver.Options{EnablePprof: true}).Router.RouteTable() {
		// HEAD exists for each GET: see TestHeadWorksWhereGetDoes.
		if !notInContract.MatchString(route.Path) && route.Method != http.MethodHead {
			path := strings.TrimRight(ginParam.ReplaceAllString(route.Path, "{$1}"), "/")
			want[route.Method+" "+path] = true
		}
	}
	got := map[string]bool{}
	for path, item := range readContract(t).Paths.Map() {
		for method := range item.Operations() {
			if method != http.MethodHead {
				got[method+" "+path] = true
			}
		}
	}
	require.Equal(t, want, got)
	require.Len(t, want, 26)
}

// The schemas have the same field names as view.go. A field is required if it
// is never omitted.
func TestTheContractHasTheShapes(t *testing.T) {
	doc := readContract(t)
	for name, shape := range map[string]any{
		"Kept": testserver.Kept{}, "KeptEvents": receiver.KeptEvents{},
		"Group": api.GroupView{}, "Episode": api.EpisodeView{}, "Alert": api.AlertView{},
		"Ack": api.AckView{}, "Note": api.NoteView{}, "Closing": api.ClosingView{},
		"Groups": groupsView{}, "Event": api.EventView{},
		"Events": eventsView{},
		"Stats":  api.StatsView{}, "Source": api.SourceView{}, "Status": api.StatusView{}, "Gap": api.GapView{},
		"Build": api.BuildView{}, "Storage": api.StorageView{},
		"Counts": grouping.Counts{}, "Silence": api.SilenceView{}, "Muted": api.MutedView{}, "Mute": api.MuteView{},
		"SilenceChange": api.SilenceChangeView{}, "SourceStatus": api.SourceStatusView{}, "Before": api.BeforeView{},
		"Report": api.ReportView{}, "Window": api.WindowView{}, "ReportRow": api.ReportRowView{},
		"ReportReceiver": api.ReportReceiverView{}, "ReportDay": api.ReportDayView{},
	} {
		var names, required []string
		if name == "Group" || name == "Groups" || name == "Stats" { // they can be answers about a past state
			for f := range reflect.TypeFor[api.PastView]().Fields() {
				field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				names = append(names, field)
			}
		}
		if name == "Group" {
			names = append(names, "before") // an answer that is one group
		}
		for f := range reflect.TypeOf(shape).Fields() {
			field, omit, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, field)
			if omit == "" {
				required = append(required, field)
			}
		}
		schema := doc.Components.Schemas[name].Value
		require.ElementsMatch(t, names, slices.Collect(maps.Keys(schema.Properties)), name)
		require.ElementsMatch(t, required, schema.Required, name)
	}
	for name, words := range map[string][]string{
		"State": text(grouping.States()), "EventKind": text(grouping.EventKinds()),
		"AlertStatus": text(grouping.Statuses()), "MuteKind": text(grouping.MuteKinds()), "SilenceState": text(grouping.SilenceStates()),
	} {
		require.ElementsMatch(t, words, text(doc.Components.Schemas[name].Value.Enum), name)
	}
	groups, silences := doc.Paths.Find("/api/v1/groups").Get.Parameters, doc.Paths.Find("/api/v1/silences").Get.Parameters
	require.ElementsMatch(t, text(grouping.Sorts()), text(groups.GetByInAndName("query", "sort").Schema.Value.Enum))
	// The limit of groups and events is larger for a file.
	require.Contains(t, groups.GetByInAndName("query", "limit").Description,
		fmt.Sprintf("the default is %d and the maximum %d", grouping.DefaultLimit, grouping.MaxLimit))
	limit := silences.GetByInAndName("query", "limit").Schema.Value
	require.InDelta(t, grouping.MaxLimit, *limit.Max, 0)
	require.InDelta(t, grouping.DefaultLimit, limit.Default, 0)
}

func text[T any](words []T) (all []string) {
	for _, w := range words {
		all = append(all, fmt.Sprint(w))
	}
	return all
}

// The file lists the columns of the tables.
func TestTheContractHasTheColumns(t *testing.T) {
	doc := readContract(t)
	h := testserver.New(t, testserver.Options{})
	for path, name := range map[string]string{"/api/v1/events": "EventTable", "/api/v1/groups": "GroupTable"} {
		_, columns, _ := strings.Cut(doc.Components.Schemas[name].Value.Description, "The columns:\n\n")
		columns = strings.NewReplacer("\n", " ", ".", "").Replace(strings.TrimSpace(columns))
		require.Equal(t, strings.TrimSpace(h.Get(path+"?format=csv").Body.String()), strings.ReplaceAll(columns, ", ", ","), name)
	}
}

// A field that is missing in the file is an error. Only what Alertmanager posts may have
// unknown names.
func TestTheContractIsStrict(t *testing.T) {
	for name, ref := range readContract(t).Components.Schemas {
		if s := ref.Value; s.Type.Is("object") && name != "Notification" && name != "RecordedEvent" {
			closed := s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
			require.True(t, closed || s.AdditionalProperties.Schema != nil, name)
		}
	}
}

// Every answer matches the file field by field. The test covers every answer
// and every query parameter in the file.
func TestTheContractHasTheAnswers(t *testing.T) {
	c := readContract(t)
	t.Run("readers", func(t *testing.T) { readersAreAnswered(t, c) })
	t.Run("pages", func(t *testing.T) { pagesAreAnswered(t, c) })
	t.Run("notifications", func(t *testing.T) { notificationsAreAnswered(t, c) })
	t.Run("people", func(t *testing.T) { peopleAreAnswered(t, c) })
	t.Run("live", func(t *testing.T) { followersAreAnswered(t, c) })
	t.Run("bad queries", func(t *testing.T) { badQueriesAreAnswered(t, c) })
	t.Run("storage", func(t *testing.T) { anOutageIsAnswered(t, c) })
	t.Run("strangers", func(t *testing.T) { strangersAreAnswered(t, c) })
	for path, item := range c.Paths.Map() {
		for method, op := range item.Operations() {
			for code := range op.Responses.Map() {
				require.True(t, c.used[method+" "+path+" "+code], "%s %s: nothing was answered %s", method, path, code)
			}
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				if p.Value.In == openapi3.ParameterInQuery {
					require.True(t, c.used[path+"?"+p.Value.Name], "%s: nothing was asked with %s", path, p.Value.Name)
				}
			}
		}
	}
}

func readersAreAnswered(t *testing.T, c *contract) {
	h := testserver.New(t, testserver.Options{})
	for _, path := range []string{"/api/v1/groups", "/api/v1/events", "/api/v1/stats", "/api/v1/status"} {
		asks(t, h, c, 200, path) // no groups yet
	}
	firing := h.PostKept(t, wiretest.Body())
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"mixed"`, `"alerts":[`,
		`"alerts":[{"status":"resolved","labels":{"alertname":"Up"},"startsAt":"2026-11-23T02:00:00Z",`+
			`"endsAt":"2026-11-23T02:30:00Z"},`, wiretest.Truncated, `"truncatedAlerts":3,"notification_reason":"new alerts in group"`))
	resolved := h.PostKept(
		t,
		wiretest.Body(wiretest.Key, `"groupKey":"resolved"`, `"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z"),
	)
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"unreported"`))
	h.PostKept(
		t,
		wiretest.Body(
			wiretest.Key,
			`"groupKey":"unreported"`,
			"0011223344556677",
			"7766554433221100",
			wiretest.Labels,
			`{"alertname":"Other"}`,
		),
	)
	filter := "filter=" + url.QueryEscape(`alertname=~"D.*"`)
	for _, path := range []string{
		"/api/v1/groups/" + firing, "/api/v1/groups/" + resolved, "/api/v1/groups/" + firing + "/events",
		"/api/v1/groups/00000000000000000000/events", "/api/v1/alerts/0011223344556677?source=default&receiver=team", "/api/v1/stats",
		"/api/v1/status",
		"/api/v1/groups?alerts=true&state=firing&state=mixed&sort=name&receiver=team&source=default&" + filter,
		"/api/v1/events?kind=fired&kind=notified&since=2026-01-01T00:00:00Z&until=4102444800&source=default&receiver=team" +
			"&group=" + firing + "&alert=0011223344556677&" + filter,
		"/api/v1/groups?state=all", "/api/v1/groups?cause=silence", "/api/v1/groups?silence=b592debe", "/api/v1/events?kind=all&since=-1h",
		"/api/v1/groups/" + firing + "/events?kind=fired&since=1767225600&until=2100-01-01T00:00:00Z" +
			"&source=default&receiver=team&alert=0011223344556677&" + filter,
		"/api/v1/groups?alerts=true&at=0s", "/api/v1/groups/" + firing + "?at=0s", "/api/v1/alerts/0011223344556677?at=0s",
		"/api/v1/stats?at=0s", "/-/healthy", "/-/ready", "/metrics",
	} {
		asks(t, h, c, 200, path)
	}
	for _, format := range []string{"csv", "ndjson"} {
		for _, path := range []string{"/api/v1/groups", "/api/v1/events", "/api/v1/groups/" + firing + "/events"} {
			asks(t, h, c, 200, path+"?limit=5000&format="+format)
		}
	}
	for _, path := range []string{"/api/v1/events", "/api/v1/groups/" + firing + "/events"} {
		asks(t, h, c, 200, path+"?format=ndjson&since=1h&follow=true&limit=1") // it ends after one event
	}
	h.Silence(t)
	for _, path := range []string{
		"/api/v1/groups?alerts=true&state=suppressed", "/api/v1/silences", "/api/v1/silences?state=active&source=default&filter=mira&limit=1",
		"/api/v1/report", "/api/v1/report?since=30d&until=-1h&by=receiver&format=json&" + filter,
		"/api/v1/silences/s1?source=default", "/api/v1/events?kind=suppressed&kind=silenceCreated", "/api/v1/status",
	} {
		asks(t, h, c, 200, path)
	}
	answers(t, h, c, 200, http.MethodHead, "/-/healthy", "")
	answers(t, h, c, 200, http.MethodHead, "/-/ready", "")
	h.SetStatus(grouping.StorageStatus{
		Mode: "redis", Reason: "refused", DegradedSince: time.Now(), DirtyGroups: 3, Partial: true,
		Restored: 7,
	})
	asks(t, h, c, 200, "/api/v1/status")
	asks(t, h, c, 200, "/-/ready")
}

// pagesAreAnswered follows the cursors to the last page.
func pagesAreAnswered(t *testing.T, c *contract) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"second"`))
	h.Silence(t)
	for _, path := range []string{
		"/api/v1/groups?limit=1", "/api/v1/events?limit=2", "/api/v1/groups/" + id + "/events?limit=2", "/api/v1/silences?limit=1",
	} {
		pages, cursor := 1, ""
		for ; ; pages++ {
			var page struct{ Next string }
			require.NoError(t, json.Unmarshal(asks(t, h, c, 200, path+cursor), &page))
			if page.Next == "" {
				break
			}
			cursor = "&cursor=" + url.QueryEscape(page.Next)
		}
		require.GreaterOrEqual(t, pages, 2, path)
	}
}

func notificationsAreAnswered(t *testing.T, c *contract) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("right"), 0o600))
	h := testserver.New(t, testserver.Options{MaxBodySize: 1000})
	guarded := testserver.New(t, testserver.Options{WebhookTokenFile: token})
	message := c.Components.Schemas["Notification"].Value
	var v any
	require.NoError(t, json.Unmarshal([]byte(wiretest.Body()), &v))
	require.NoError(t, message.VisitJSON(v))
	for name := range v.(map[string]any) { //nolint:forcetypeassert // the schema has seen it
		require.Contains(t, message.Properties, name)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		for _, path := range []string{"/webhook", "/webhook/prod"} {
			answers(t, h, c, 200, method, path, wiretest.Body())
			answers(t, h, c, 400, method, path, "")
			answers(t, guarded, c, 401, method, path, wiretest.Body(), "Authorization", "Bearer wrong")
			answers(t, h, c, 403, method, path, wiretest.Body(), "Sec-Fetch-Site", "cross-site")
			answers(t, h, c, 413, method, path, strings.Repeat(" ", 1001))
			answers(t, h, c, 415, method, path, wiretest.Body(), "Content-Type", "text/plain")
		}
		for _, path := range []string{"/events", "/events/prod"} {
			answers(t, h, c, 200, method, path, wiretest.Events(`{}`))
			answers(t, h, c, 400, method, path, "")
			answers(t, h, c, 403, method, path, "{}", "Sec-Fetch-Site", "cross-site")
			answers(t, h, c, 413, method, path, strings.Repeat(" ", 1001))
			answers(t, h, c, 415, method, path, "{}", "Content-Type", "text/plain")
		}
	}
	h.Drain()
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		for _, path := range []string{"/webhook", "/webhook/prod"} {
			answers(t, h, c, 503, method, path, wiretest.Body())
		}
		for _, path := range []string{"/events", "/events/prod"} {
			answers(t, h, c, 503, method, path, "{}")
		}
	}
	answers(t, h, c, 503, http.MethodGet, "/-/ready", "")
	answers(t, h, c, 503, http.MethodHead, "/-/ready", "")
}

// followersAreAnswered validates the data of live events against the schemas of
// the file.
func followersAreAnswered(t *testing.T, c *contract) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	const asked = testserver.LivePath + "?after=foreign&filter=Down&state=firing&receiver=team&source=default&ack=no"
	client := testserver.Follow(t, srv.URL+asked, "")
	c.validate(t, httptest.NewRequest(http.MethodGet, asked, nil), client.Status, client.Header, nil)
	events := []testserver.LiveEvent{client.NextEvent()}
	id := h.PostKept(t, wiretest.Body())
	events = append(events, client.NextEvent())
	require.NoError(t, h.Manager.RemoveAlertFromGroup(t.Context(), grouping.ID(id), "0011223344556677"))
	events = append(events, client.NextEvent(), testserver.FollowLive(t, srv.URL, "").NextEvent())
	var names []string
	for _, e := range events {
		schema := map[string]string{"group": "Group", "gone": "LiveGone", "resync": "LiveOther", "hb": "LiveOther"}[e.Event]
		var v any
		require.NoError(t, json.Unmarshal([]byte(e.Data), &v))
		require.NoError(t, c.Components.Schemas[schema].Value.VisitJSON(v), e.Data)
		require.Contains(t, c.Paths.Find(testserver.LivePath).Get.Description, "| "+e.Event+" | "+schema)
		names = append(names, e.Event)
	}
	require.Equal(t, []string{"resync", "group", "gone", "hb"}, names)
	h.Drain()
	answers(t, h, c, 503, http.MethodGet, testserver.LivePath, "")
}

func badQueriesAreAnswered(t *testing.T, c *contract) {
	h := testserver.New(t, testserver.Options{})
	for _, path := range []string{
		"/api/v1/groups?limit=0", "/api/v1/groups?filter=a%3D%22", "/api/v1/groups?sort=colour", "/api/v1/groups?state=open",
		"/api/v1/groups?cursor=x", "/api/v1/groups?alerts=maybe", "/api/v1/events?since=yesterday", "/api/v1/events?kind=explode",
		"/api/v1/groups/00000000000000000000/events?cursor=x", "/api/v1/groups/00000000000000000000?a;b", "/api/v1/alerts/0000000000000000?a;b",
		"/api/v1/silences?state=open", "/api/v1/silences?cursor=x", "/api/v1/silences/s1?a;b",
		"/api/v1/report?since=yesterday", "/api/v1/stats?a;b", "/api/v1/status?a;b", testserver.LivePath + "?a;b",
	} {
		answers(t, h, c, 400, http.MethodGet, path, "")
	}
	for _, path := range []string{
		"/api/v1/groups/nope", "/api/v1/groups/00000000000000000000", "/api/v1/groups/nope/events",
		"/api/v1/alerts/nope", "/api/v1/alerts/0000000000000000", "/api/v1/silences/nope",
		"/api/v1/groups?at=2020-01-01", "/api/v1/stats?at=2020-01-01",
	} {
		answers(t, h, c, 404, http.MethodGet, path, "")
	}
	for path, w := range map[string]*httptest.ResponseRecorder{
		"nothing": h.Get("/api/v1/nothing"), "webhook": h.Get("/webhook"), "groups": h.Do(http.MethodPost, "/api/v1/groups", nil),
		"group": h.Do(http.MethodDelete, "/api/v1/groups/"+strings.Repeat("0", 20), nil),
	} {
		require.Contains(t, []int{404, 405}, w.Code, path)
		var v any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
		require.NoError(t, c.Components.Schemas["Error"].Value.VisitJSON(v), path)
	}
}

func anOutageIsAnswered(t *testing.T, c *contract) {
	h := testserver.NewStub(t, testserver.Options{}, nil)
	h.Use(failing{err: &grouping.StorageError{Backend: "redis", Op: "load", Err: errors.New("refused")}})
	h.UsePast(failingPast{err: grouping.ErrBusy})
	id, fingerprint := strings.Repeat("0", 20), strings.Repeat("0", 16)
	for _, path := range []string{
		"/api/v1/groups", "/api/v1/groups/" + id, "/api/v1/groups/" + id + "/events", "/api/v1/alerts/" + fingerprint,
		"/api/v1/events", "/api/v1/stats", "/api/v1/status", "/api/v1/silences", "/api/v1/silences/s1", "/api/v1/report",
	} {
		answers(t, h, c, 503, http.MethodGet, path, "")
	}
}

// strangersAreAnswered requests every route without credentials.
func strangersAreAnswered(t *testing.T, c *contract) {
	url := testserver.New(t, testserver.Options{}).ListenGuarded(t)
	for path, item := range c.Paths.Map() {
		for method := range item.Operations() {
			path := pathParam.ReplaceAllString(path, "prod")
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
			require.NoError(t, err)
			res, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			want := http.StatusUnauthorized
			if strings.HasPrefix(path, "/-/") {
				want = http.StatusOK // the probes
			}
			require.Equal(t, want, res.StatusCode, "%s %s", method, path)
			c.validate(t, httptest.NewRequest(method, path, nil), res.StatusCode, res.Header, text)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

var pathParam = regexp.MustCompile(`{\w+}`)

// failing answers every query with an error.
type failing struct {
	testserver.Stub

	err error
}

func (f failing) Get(context.Context, grouping.ID) (*grouping.AlertGroup, error) {
	return nil, f.err
}

func (f failing) List(context.Context, grouping.ListQuery) (grouping.GroupPage, error) {
	return grouping.GroupPage{}, f.err
}

func (f failing) ByFingerprint(context.Context, grouping.Fingerprint) ([]*grouping.AlertGroup, error) {
	return nil, f.err
}

func (f failing) Events(context.Context, grouping.EventQuery) (grouping.EventPage, error) {
	return grouping.EventPage{}, f.err
}

// failingPast answers every report with an error.
type failingPast struct {
	testserver.Past

	err error
}

func (f failingPast) Report(context.Context, history.ReportQuery) (*history.Report, error) {
	return nil, f.err
}

func (f failing) Silences(context.Context, grouping.SilenceQuery) (grouping.SilencePage, error) {
	return grouping.SilencePage{}, f.err
}

func (f failing) Silence(context.Context, string, string) (grouping.SilenceInfo, error) {
	return grouping.SilenceInfo{}, f.err
}

func (f failing) Totals(context.Context) (grouping.Totals, error) { return grouping.Totals{}, f.err }

var (
	example      = regexp.MustCompile(`(?s)curl -s localhost:9095(/(?:webhook|events)\S*) .*? -d '([{[].*?\n[}\]])'`)
	exampleQuery = regexp.MustCompile(`(?m)^ *curl -s[NOJ]*(?: --compressed)?( -G)? '?localhost:9095(/[^ '\n]*)'?(.*)$`)
	exampleParam = regexp.MustCompile(`(?:-d (\S+)|--data-urlencode '([^']*)')`)
)

// The commands in docs/API.md work. The first command creates the data of the
// others.
func TestTheExamplesOfThePage(t *testing.T) {
	page, err := os.ReadFile("../docs/API.md")
	require.NoError(t, err)
	c := readContract(t)
	h := testserver.New(t, testserver.Options{})
	posts := example.FindAllSubmatch(page, -1)
	require.Len(t, posts, 2)
	for _, post := range posts {
		w := h.Do(http.MethodPost, string(post[1]), strings.NewReader(string(post[2])))
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Contains(t, string(page), w.Body.String(), "the page shows this answer")
	}
	h.Silence(t)
	asked := 0
	for _, match := range exampleQuery.FindAllStringSubmatch(string(page), -1) {
		path, query := match[2], url.Values{}
		if strings.HasPrefix(path, "/webhook") || strings.HasPrefix(path, "/events") || path == testserver.LivePath ||
			strings.Contains(path, "follow=true") { // it has no end
			continue
		}
		for _, param := range exampleParam.FindAllStringSubmatch(match[3], -1) {
			name, value, _ := strings.Cut(param[1]+param[2], "=")
			query.Add(name, value)
		}
		if len(query) > 0 {
			path += "?" + query.Encode()
		}
		code := http.StatusOK
		if strings.Contains(path, "limit=0") {
			code = http.StatusBadRequest
		}
		text := answers(t, h, c, code, http.MethodGet, path, "")
		require.NotRegexp(t, `"(groups|alerts|events|silences)":\[\]`, string(text), "%s finds nothing", path)
		asked++
	}
	require.Equal(t, 20, asked)
}
