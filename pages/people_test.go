package pages_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

const formType = "application/x-www-form-urlencoded"

// postForm posts a form as a browser on the same site does. fields are pairs of name and value.
func postForm(h *testserver.Server, path string, fields ...string) *httptest.ResponseRecorder {
	return postFormAs(h, path, nil, fields...)
}

func postFormAs(h *testserver.Server, path string, headers []string, fields ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return h.Do(http.MethodPost, path, strings.NewReader(form.Encode()),
		append([]string{"Content-Type", formType, "Accept", testserver.HTML}, headers...)...)
}

func page(t *testing.T, h *testserver.Server, path string) string {
	t.Helper()
	w := h.Get(path, "Accept", testserver.HTML)
	require.Equal(t, http.StatusOK, w.Code, path)
	return w.Body.String()
}

func requireRedirect(t *testing.T, w *httptest.ResponseRecorder, to string) {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, to, w.Header().Get("Location"))
}

// episodeOf returns the episode that the form of a group's page posts.
func episodeOf(t *testing.T, html string) string {
	t.Helper()
	m := regexp.MustCompile(`name="episode" value="([0-9a-f]+)"`).FindStringSubmatch(html)
	require.NotNil(t, m)
	return m[1]
}

func kinds(t *testing.T, h *testserver.Server, id string) (all []grouping.EventKind) {
	t.Helper()
	events, err := h.Manager.Events(t.Context(), grouping.EventQuery{Group: grouping.ID(id)})
	require.NoError(t, err)
	for _, e := range events.Events {
		if e.People != nil {
			all = append(all, e.Kind)
		}
	}
	return all
}

// A person acknowledges, undoes, writes notes and closes without a script. A second press changes
// nothing.
func TestPeopleWriteThroughForms(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	at := "/groups/" + id
	before := page(t, h, at)
	require.Contains(t, before, "Acknowledge</button>")
	require.Contains(t, before, "Muster cannot verify this name.")
	fields := []string{"by", "mira", "note", "rollback\r\nstarted", "until", "4h", "episode", episodeOf(t, before)}
	for range 2 {
		w := postForm(h, at+"/ack", fields...)
		requireRedirect(t, w, at+"#ack")
		require.Contains(t, w.Header().Get("Set-Cookie"), "muster-name=mira; Path=/; Max-Age=31536000; SameSite=Strict")
	}
	acked := page(t, h, at)
	require.Contains(t, acked, "Acknowledged by <b>mira</b> (not verified) <time data-age")
	require.Contains(t, acked, "<bdi>rollback\nstarted</bdi>.")
	require.NotContains(t, acked, "Acknowledge</button>")
	require.Equal(t, []grouping.EventKind{grouping.EventAcknowledged}, kinds(t, h, id))

	ack := regexp.MustCompile(`name="ack" value="([^"]+)"`).FindStringSubmatch(acked)[1]
	for range 2 {
		requireRedirect(t, postForm(h, at+"/unack", "by", "jo", "ack", ack), at+"#ack")
	}
	require.Contains(t, page(t, h, at), "Acknowledge</button>")
	require.Equal(t, []grouping.EventKind{grouping.EventUnacknowledged, grouping.EventAcknowledged}, kinds(t, h, id))

	for range 2 {
		requireRedirect(t, postForm(h, at+"/notes", "by", "jo", "id", "p0", "text", " see https://example.net/x.\r\nThen wait "), at+"#notes")
	}
	noted := page(t, h, at)
	require.Contains(t, noted, `<a href="https://example.net/x" rel="noopener noreferrer">https://example.net/x</a>`)
	require.Contains(t, noted, ".\nThen wait")
	require.Contains(t, noted, `name="id" value="p1"`)
	require.Equal(t, 2, strings.Count(noted, `<div class="says">`), "the acknowledgement and the note")
	// Another reader had the same page.
	requireRedirect(t, postForm(h, at+"/notes", "by", "mira", "id", "p0", "text", "another"), at+"#notes")
	require.Contains(t, page(t, h, at), "another")

	for range 2 {
		requireRedirect(t, postForm(h, at+"/close", "by", "jo", "episode", episodeOf(t, before)), at)
	}
	closed := page(t, h, at)
	require.Contains(t, closed, "Closed by <b>jo</b> (not verified)")
	require.NotContains(t, closed, "Close this group")
	for _, of := range []string{at, "/?state=unreported", "/alerts/" + fingerprintOf(t, h, id)} {
		require.Contains(t, page(t, h, of), "Closed by <b", of)
		require.NotContains(t, strings.ToLower(page(t, h, of)), "cause unknown", of)
		require.NotContains(t, page(t, h, of), "a notification omitted", of)
	}
	list := page(t, h, "/")
	require.NotContains(t, list, "<article")
	require.Contains(t, list, "1 unreported group: closed by a person. <a")
	require.NotContains(t, list, "Let Muster know the causes")
	h.PostKept(t, wiretest.Body())
	require.Contains(t, page(t, h, "/"), "<article", "a notification opens it again")
	requireRedirect(t, h.Get(at+"/ack"), at)
}

// A page that is kept for all readers says nothing of one reader.
func TestPagesOfTwoReadersAreEqual(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	requireRedirect(t, postForm(h, "/groups/"+id+"/notes", "by", "jo", "text", "one"), "/groups/"+id+"#notes")
	for _, path := range []string{"/", "/groups/" + id} {
		one := h.Get(path, "Accept", testserver.HTML, "Cookie", "muster-name=mira").Body.String()
		two := h.Get(path, "Accept", testserver.HTML, "Cookie", "muster-name=rob").Body.String()
		for _, name := range []string{"mira", "rob"} {
			require.NotContains(t, one+two, name)
		}
	}
}

// Without a name, a page asks for it and keeps the text. The cookie brings the name the next time.
func TestWhoAreYou(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	at := "/groups/" + id
	for form, want := range map[string][]string{
		"ack":   {`name="note"`, ">what I do</textarea>", `value="1h" selected`, `name="episode" value="e1"`, "Acknowledge</button>"},
		"notes": {`name="text"`, ">what I do</textarea>", `name="id" value="p0"`, "Add note</button>"},
		"unack": {`name="ack" value="a1"`, "Undo the acknowledgement</button>"},
		"close": {`name="episode" value="e1"`, "Close this group</button>"},
	} {
		field := "note"
		if form == "notes" {
			field = "text"
		}
		w := postForm(h, at+"/"+form, field, "what I do", "until", "1h", "episode", "e1", "ack", "a1", "id", "p0")
		require.Equal(t, http.StatusBadRequest, w.Code, form)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Empty(t, w.Header().Get("Set-Cookie"))
		text := w.Body.String()
		require.Contains(t, text, "<h1>Who are you?</h1>", form)
		require.Contains(t, text, `action="`+at+"/"+form+`"`)
		require.NotContains(t, text, "data-live", "a live swap would lose the text")
		for _, part := range want {
			require.Contains(t, text, part, form)
		}
	}
	require.Empty(t, kinds(t, h, id))
	w := postFormAs(h, at+"/ack", []string{"Cookie", "muster-name=Jo%20Ann"}, "note", "on it")
	requireRedirect(t, w, at+"#ack")
	require.Contains(t, page(t, h, at), "Acknowledged by <b>Jo Ann</b>")
}

// Each limit is a sentence on a page that keeps the text.
func TestRefusedFormsKeepTheText(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	at := "/groups/" + id
	long := strings.Repeat("é", grouping.MaxTextLen/2) + "!"
	for name, tc := range map[string]struct {
		form   string
		fields []string
		says   string
	}{
		"long note":     {"notes", []string{"by", "jo", "text", long}, "4097"},
		"long ack":      {"ack", []string{"by", "jo", "note", long}, "4097"},
		"no text":       {"notes", []string{"by", "jo", "text", " \r\n "}, "without text"},
		"not UTF-8":     {"notes", []string{"by", "jo", "text", "a\xff"}, "not valid UTF-8"},
		"bad until":     {"ack", []string{"by", "jo", "note", "x", "until", "soon"}, "neither a duration such as 4h nor a time"},
		"long name":     {"ack", []string{"by", strings.Repeat("x", 101), "note", "x"}, "101 characters"},
		"control":       {"ack", []string{"by", "j\x01o", "note", "x"}, "control character"},
		"unknown undo":  {"unack", []string{"by", "jo", "ack", "nope"}, "not known any more"},
		"no ack to end": {"unack", []string{"by", "jo"}, ""},
	} {
		w := postForm(h, at+"/"+tc.form, tc.fields...)
		require.Contains(t, []int{400, 404}, w.Code, name)
		require.Contains(t, w.Body.String(), tc.says, name)
		if strings.HasPrefix(name, "long ") && name != "long name" {
			require.Contains(t, w.Body.String(), ">"+long+"</textarea>", name)
		}
	}
	require.Empty(t, kinds(t, h, id))
	w := postForm(h, at+"/notes", "by", "jo", "text", strings.Repeat("x", 64<<10))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Contains(t, w.Body.String(), "This is too long")
	for media, code := range map[string]int{"application/json": 415, "multipart/form-data; boundary=x": 415, "": 415, "text/plain": 415} {
		require.Equal(t, code, h.Do(http.MethodPost, at+"/ack", strings.NewReader("by=jo"), "Content-Type", media).Code, media)
	}
	require.Equal(t, http.StatusBadRequest, h.Do(http.MethodPost, at+"/ack", strings.NewReader("by=%zz"), "Content-Type", formType).Code)
	none := "/groups/" + strings.Repeat("0", 20) + "/ack"
	require.Equal(t, http.StatusNotFound, postForm(h, none, "by", "jo").Code)
	require.Equal(t, http.StatusNotFound, postForm(h, "/groups/x/ack", "by", "jo").Code)
	require.Empty(t, kinds(t, h, id))
}

// Two tabs: the first one acknowledges a new episode, the second one still shows the old one.
func TestAStaleTab(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	at := "/groups/" + id
	old := episodeOf(t, page(t, h, at))
	h.PostKept(t, wiretest.Body(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:05:00Z"))
	w := postForm(h, at+"/ack", "by", "jo", "note", "my text", "episode", old)
	require.Equal(t, http.StatusConflict, w.Code)
	require.Contains(t, w.Body.String(), "<b>This episode is over.</b>")
	require.Contains(t, w.Body.String(), "my text")
	require.NotContains(t, w.Body.String(), "Acknowledge</button>")

	h.PostKept(t, wiretest.Body("2026-11-23T03:00:00Z", "2026-11-23T03:10:00Z"))
	w = postForm(h, at+"/ack", "by", "jo", "note", "my text", "until", "4h", "episode", old)
	require.Equal(t, http.StatusConflict, w.Code)
	text := w.Body.String()
	require.Contains(t, text, "<b>This episode is over.</b> A new one began at ")
	require.Contains(t, text, ": acknowledge that one? ")
	require.Contains(t, text, `value="my text"`)
	require.Contains(t, text, `value="jo"`)
	require.Contains(t, text, `value="4h" selected`)
	require.NotContains(t, text, "data-live")
	require.Empty(t, kinds(t, h, id))
	now := episodeOf(t, text)
	require.NotEqual(t, old, now)

	w = postForm(h, at+"/close", "by", "jo", "episode", old)
	require.Equal(t, http.StatusConflict, w.Code)
	require.Contains(t, w.Body.String(), "This episode is over. A new one began at ")
	require.Equal(t, now, episodeOf(t, w.Body.String()))
	requireRedirect(t, postForm(h, at+"/ack", "by", "jo", "note", "my text", "episode", now), at+"#ack")
	require.Contains(t, page(t, h, at), "my text")
}

// An alert that joins brings the group back, and undo restores the acknowledgement before.
func TestAlertsThatJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{})
		alert := func(n string) string {
			return `{"status":"firing","labels":{"alertname":"Down","n":"` + n + `"},"annotations":{},"startsAt":"` +
				time.Now().UTC().Format(time.RFC3339) + `","endsAt":"0001-01-01T00:00:00Z","fingerprint":"000000000000000` + n + `"}`
		}
		one := alert("1")
		id := h.Notify(t, "default", "team", `{"alertname":"Down"}`, one)
		at := "/groups/" + id
		postForm(h, at+"/ack", "by", "mira", "note", "looking")
		require.Contains(t, page(t, h, "/"), `<a class="mark own"`)
		time.Sleep(10 * time.Minute)
		h.Notify(t, "default", "team", `{"alertname":"Down"}`, one, alert("2"))
		text := page(t, h, at)
		require.Contains(t, text, `<section class="who new" id="ack"`)
		require.Contains(t, text, "<b>1 alert joined</b> after <b>mira</b> (not verified) acknowledged this ")
		require.Contains(t, text, "Acknowledge these too</button>")
		require.Contains(t, page(t, h, "/"), "1 new since <bdi>mira</bdi> (not verified) acknowledged")
		postForm(h, at+"/ack", "by", "rob")
		text = page(t, h, at)
		require.Contains(t, text, "Acknowledged by <b>rob</b>")
		ack := regexp.MustCompile(`name="ack" value="([^"]+)"`).FindStringSubmatch(text)[1]
		postForm(h, at+"/unack", "by", "jo", "ack", ack)
		require.Contains(t, page(t, h, at), "<b>1 alert joined</b> after <b>mira</b>")

		postForm(h, at+"/ack", "by", "rob", "until", "1h")
		time.Sleep(time.Hour + time.Second)
		text = page(t, h, at)
		require.Contains(t, text, "The acknowledgement by <b>rob</b> (not verified) ended at ")
		require.Contains(t, text, ", as set. The group still fires.")
		require.Contains(t, text, "Acknowledge</button>")
	})
}

// People who may not write get no form, and no form that they post changes anything.
func TestRightsOfPeople(t *testing.T) {
	readOnly := testserver.New(t, testserver.Options{People: person.Policy{ReadOnly: true}})
	id := readOnly.PostKept(t, wiretest.Body())
	text := page(t, readOnly, "/groups/"+id)
	require.Contains(t, text, "Not acknowledged. <small>This Muster is read-only.</small>")
	require.NotContains(t, text, `method="post"`)
	require.NotContains(t, page(t, readOnly, "/"), `method="post"`)
	for _, form := range []string{"ack", "unack", "notes", "close"} {
		w := postForm(readOnly, "/groups/"+id+"/"+form, "by", "jo", "text", "my text")
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, form)
		require.Contains(t, w.Header(), "Allow")
		require.Contains(t, w.Body.String(), "This Muster is read-only.")
	}
	require.Empty(t, kinds(t, readOnly, id))

	from, err := person.ParseFrom("192.0.2.1") // the address of httptest
	require.NoError(t, err)
	proxied := testserver.New(t, testserver.Options{
		People: person.Policy{Header: "X-User", HeaderFrom: append([]netip.Prefix(nil), from), Writers: []string{"mira"}},
	})
	id = proxied.PostKept(t, wiretest.Body())
	at := "/groups/" + id
	require.NotContains(t, page(t, proxied, at), `name="by"`, "nobody needs to type a name")
	w := postFormAs(proxied, at+"/ack", []string{"X-User", "dana"}, "note", "my text")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), "&#34;dana&#34; may not write here.")
	require.Contains(t, w.Body.String(), "my text")
	w = postFormAs(proxied, at+"/ack", []string{"X-User", "mira"}, "by", "rob")
	require.Equal(t, http.StatusBadRequest, w.Code)
	w = postFormAs(proxied, at+"/ack", []string{"X-User", "mira", "Cookie", "muster-name=rob"})
	requireRedirect(t, w, at+"#ack")
	require.Empty(t, w.Header().Get("Set-Cookie"))
	require.Contains(t, page(t, proxied, at), "Acknowledged by <b>mira</b> <time")
}

// The button of a row leads back to the list with its filter, and to no other site.
func TestAcknowledgeFromTheList(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	list := page(t, h, "/?filter=Down&sort=name")
	require.Contains(t, list, `aria-label="Acknowledge receiver: team"`)
	require.Contains(t, list, `name="list" value="?filter=Down&amp;sort=name"`)
	require.Contains(t, page(t, h, "/"), `name="list" value="?"`, "a form of the group's page has no such field")
	for list, want := range map[string]string{
		"?": "/", "?filter=Down&sort=name": "/?filter=Down&sort=name", "": "/", "https://evil.example": "/", "//evil.example/?a=b": "/",
		"?state=firing": "/", "\r\nX: y": "/",
	} {
		requireRedirect(t, postForm(h, "/groups/"+id+"/ack", "by", "jo", "list", list, "episode", episodeOf(t, page(t, h, "/groups/"+id))), want)
	}
	require.NotContains(t, page(t, h, "/"), `class="btn small ack"`)
}

// One form acknowledges all groups of a filter, after a page that names them. What changed meanwhile is
// left out.
func TestAcknowledgeAllGroupsOfAFilter(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	ids := map[string]string{}
	alert := func(name string) string {
		return `{"status":"firing","labels":{"alertname":"` + name + `","team":"db"},"annotations":{},"startsAt":"2026-11-23T03:00:00Z",` +
			`"endsAt":"0001-01-01T00:00:00Z","fingerprint":"00112233445566` + name + `"}`
	}
	for _, name := range []string{"a1", "a2", "a3", "b4"} {
		ids[name] = h.Notify(t, "default", "team", `{"alertname":"`+name+`"}`, alert(name))
	}
	postForm(h, "/groups/"+ids["a1"]+"/ack", "by", "mira")
	const filter = `?filter=alertname%3D~%22a.%22`
	list := page(t, h, "/"+filter)
	require.Contains(t, list, `<a href="/ack`+filter+`">Acknowledge these 2 groups…</a>`)
	require.Contains(t, list, `Acknowledged <small>1 group</small>`)
	require.Contains(t, list, "4 groups firing, 1 acknowledged")
	require.NotContains(t, page(t, h, "/"), "Acknowledge these")
	require.Contains(t, page(t, h, "/"+filter+"&ack=yes"), ids["a1"])
	require.NotContains(t, page(t, h, "/"+filter+"&ack=no"), ids["a1"])

	ask := page(t, h, "/ack"+filter)
	require.Contains(t, ask, "<h1>Acknowledge 2 groups</h1>")
	require.NotContains(t, ask, ids["a1"])
	require.NotContains(t, ask, ids["b4"])
	require.Equal(t, "no-store", h.Get("/ack"+filter).Header().Get("Cache-Control"))
	fields := []string{"list", filter, "note", "storm"}
	for _, m := range regexp.MustCompile(`name="group" value="([^"]+)"`).FindAllStringSubmatch(ask, -1) {
		fields = append(fields, "group", m[1])
	}
	require.Len(t, fields, 8)
	w := postForm(h, "/ack", fields...)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "<h1>Who are you?</h1>")
	require.Contains(t, w.Body.String(), `value="storm"`)
	require.Equal(t, 2, strings.Count(w.Body.String(), `name="group"`))

	postForm(h, "/groups/"+ids["a3"]+"/close", "by", "jo")
	w = postForm(h, "/ack", append(fields, "by", "rob", "group", strings.Repeat("0", 20)+":x", "group", "nonsense")...)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "<h1>1 group acknowledged</h1>")
	require.Contains(t, w.Body.String(), "2 groups changed meanwhile and were left out.")
	require.Contains(t, w.Body.String(), ids["a3"])
	require.Contains(t, w.Header().Get("Set-Cookie"), "muster-name=rob")
	for range 2 {
		requireRedirect(t, postForm(h, "/ack", "by", "rob", "list", filter, "note", "storm", "group", fields[5]), "/"+filter)
	}
	require.Equal(t, []grouping.EventKind{grouping.EventAcknowledged}, kinds(t, h, ids["a2"]))
	require.Empty(t, kinds(t, h, ids["b4"]))
	require.Contains(t, page(t, h, "/ack"+filter), "No firing group of this view waits for somebody.")
	require.Equal(t, http.StatusBadRequest, h.Get("/ack?filter=a%3D%3D%22", "Accept", testserver.HTML).Code)

	readOnly := testserver.New(t, testserver.Options{People: person.Policy{ReadOnly: true}})
	w = postForm(readOnly, "/ack", fields...)
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Contains(t, w.Body.String(), "This Muster is read-only.")
}

// cancelling are groups whose caller cancels the request while they write.
type cancelling struct {
	testserver.Groups

	cancel context.CancelFunc
}

func (c cancelling) Acknowledge(ctx context.Context, _ grouping.ID, _ grouping.AckRequest) (*grouping.AlertGroup, error) {
	c.cancel()
	return nil, ctx.Err()
}

// A caller that went away is not a fault, so it is not logged as one.
func TestACancelledWriteIsNotLogged(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}, Err: context.Canceled}
	h := testserver.New(t, testserver.Options{
		Silencer: fake, People: person.Policy{Silences: person.Silences{Allowed: true, Unverified: true}},
	})
	id := h.PostKept(t, wiretest.Body())
	episode := episodeOf(t, page(t, h, "/groups/"+id))
	log := h.Log(t, "logfmt")
	for path, form := range map[string]url.Values{
		"/groups/" + id + "/ack":          {"by": {"jo"}, "episode": {episode}},
		"/ack":                            {"by": {"jo"}, "group": {id + ":" + episode}},
		"/silences/s1/expire":             {"by": {"jo"}, "source": {"default"}},
		"/api/v1/groups/" + id + "/ack":   {},
		"/source/default/api/v2/silences": {},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		h.Use(cancelling{h.Manager, cancel})
		fake.OnCall = cancel
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", formType)
		if len(form) == 0 {
			r = httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(`{"by":"jo"}`))
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.ErrorIs(t, ctx.Err(), context.Canceled, path)
		require.Equal(t, http.StatusServiceUnavailable, w.Code, path)
		require.NotContains(t, log.Text(), "level=ERROR", path)
	}
}
