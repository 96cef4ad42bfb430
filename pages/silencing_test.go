package pages_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// silencing is a server on which a proxy verifies people.
type silencing struct {
	*testing.T
	*testserver.Server

	fake  *testserver.FakeSilencer
	group string
}

// downBody is a notification about a critical alert.
func downBody(replace ...string) string {
	return wiretest.Body(append([]string{
		`"groupLabels":{}`, `"groupLabels":{"alertname":"Down"}`, wiretest.Labels, `{"alertname":"Down","severity":"critical"}`,
	}, replace...)...)
}

func newSilencing(t *testing.T, silences person.Silences) *silencing {
	t.Helper()
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	h := testserver.New(t, testserver.Options{Silencer: fake, People: person.Policy{
		Header: "X-User", HeaderFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Silences: silences,
	}})
	return &silencing{t, h, fake, h.PostKept(t, downBody())}
}

var asMira = []string{"X-User", "mira", "Content-Type", "application/x-www-form-urlencoded"}

// post posts a form.
func (s *silencing) post(path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	return s.Do(http.MethodPost, path, strings.NewReader(form.Encode()), headers...)
}

// formOf returns the fields of the form with the ID, as a browser posts them.
func formOf(t *testing.T, page, id string) url.Values {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	values := url.Values{}
	found := false
	for n := range doc.Descendants() {
		if n.Data != "form" || attrOf(n, "id") != id {
			continue
		}
		found = true
		for c := range n.Descendants() {
			_, checked := attribute(c, "checked")
			switch {
			case c.Data == "input" && (attrOf(c, "type") != "radio" || checked):
				values.Add(attrOf(c, "name"), attrOf(c, "value"))
			case c.Data == "select":
				for o := range c.Descendants() {
					if o.Data == "option" && !values.Has(attrOf(c, "name")) {
						values.Set(attrOf(c, "name"), attrOf(o, "value"))
					}
				}
			}
		}
	}
	require.True(t, found, "no form %s", id)
	return values
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func attrOf(n *html.Node, name string) string {
	value, _ := attribute(n, name)
	return value
}

// The link of a group leads to the form, which is filled in. What the preview showed can be
// created, and the answer leads back.
func TestAGroupIsSilenced(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	page := s.Get("/groups/" + s.group).Body.String()
	link := regexp.MustCompile(`href="(/silences/new\?[^"]*)"[^>]*data-k="s"`).FindStringSubmatch(page)
	require.NotNil(t, link, page)
	w := s.Get(html.UnescapeString(link[1]), asMira...)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "the page has the name of the reader")
	page = w.Body.String()
	require.Contains(t, page, "Would mute 1 alert now")
	require.Contains(t, page, "1 critical, in 1 group")
	require.Regexp(t, `Since .*, when the history begins, these matchers would have muted 1 firing of 1 alert\. `+
		`<a href="/report\?filter=`, page)
	require.Contains(t, page, "verified by your sign-in")
	form := formOf(t, page, "new")
	require.Equal(t, "2h", form.Get("for"))
	require.Equal(t, s.group, form.Get("group"))

	w = s.post("/silences/new", form, asMira...)
	require.Equal(t, http.StatusBadRequest, w.Code, "the comment is missing")
	require.Contains(t, w.Body.String(), "Say why, and name a ticket if there is one.")
	require.Empty(t, s.fake.Calls())

	form.Set("comment", "OPS-1 <b>")
	w = s.post("/silences/new", form, asMira...)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, "/groups/"+s.group+"#alerts", w.Header().Get("Location"))
	call := s.fake.Calls()[0]
	require.Equal(t, "default", call.Source)
	require.Equal(t, grouping.Person{Name: "mira", Verified: true}, call.By)
	require.Equal(t, "mira", call.Silence.CreatedBy)
	require.Equal(t, "OPS-1 <b>", call.Silence.Comment)
	require.Equal(t, []grouping.SilenceMatcher{{Name: "alertname", Type: "=", Value: "Down"}}, call.Silence.MatcherSets[0])
	require.Equal(t, 2*time.Hour, call.Silence.EndsAt.Sub(call.Silence.StartsAt))
	s.post("/silences/new", form, asMira...)
	require.Equal(t, call.Request, s.fake.Calls()[1].Request, "the same question has the same hash")
	require.Empty(t, w.Header().Get("Set-Cookie"), "a verified name is not kept")

	form.Del("group")
	w = s.post("/silences/new", form, asMira...)
	require.Equal(t, "/silences/"+testserver.FakeSilenceID, w.Header().Get("Location"))
}

// What was not previewed is not created.
func TestAPreviewCannotBeSkipped(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	form := formOf(t, s.Get("/silences/new?filter=alertname%3D%22Down%22", asMira...).Body.String(), "new")
	form.Set("comment", "OPS-1")
	edited := maps.Clone(form)
	edited.Set("filter", `severity="critical"`)
	w := s.post("/silences/new", edited, asMira...)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "The matchers now match other alerts. Check them, then create.")
	edited.Del("previewed")
	require.Contains(t, s.post("/silences/new", edited, asMira...).Body.String(), "The matchers match 1 alert. Check them, then create.")

	s.PostKept(t, downBody(wiretest.Key, `"groupKey":"another"`))
	w = s.post("/silences/new", form, asMira...)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Check them, then create.", "the alert is in one more group now")
	require.Empty(t, s.fake.Calls())
	w = s.post("/silences/new", formWith(t, w.Body.String(), "comment", "OPS-1"), asMira...)
	require.Equal(t, http.StatusSeeOther, w.Code, "the new preview can be created")
}

// formWith returns the form of a page with one more field.
func formWith(t *testing.T, page, name, value string) url.Values {
	form := formOf(t, page, "new")
	form.Set(name, value)
	return form
}

func TestBadSilencesAreRefused(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	page := s.Get("/silences/new", asMira...).Body.String()
	require.NotContains(t, page, "Every alert matches", "nothing was typed yet")
	require.NotContains(t, page, `id="preview"`)
	good := formWith(t, s.Get("/silences/new?filter=alertname%3D%22Down%22", asMira...).Body.String(), "comment", "OPS-1")
	for name, tc := range map[string]struct{ field, value, text string }{
		"no matchers":     {"filter", "", "Every alert matches. Add a matcher."},
		"everything":      {"filter", `alertname=~".+"`, "Every alert matches. Add a matcher that selects some of them."},
		"a bad matcher":   {"filter", `alertname="`, "Invalid matchers:"},
		"a word":          {"filter", `<script>alert(1)</script>`, "A silence needs matchers such as"},
		"a bad end":       {"for", "other", "Say how long it lasts, such as 90m or 3d."},
		"no end":          {"for", "until", "Choose the time at which it ends."},
		"a long comment":  {"comment", strings.Repeat("x", 1001), "The comment has more than 1000 characters."},
		"a blank comment": {"comment", " \n", "Say why, and name a ticket if there is one."},
	} {
		form := maps.Clone(good)
		form.Set(tc.field, tc.value)
		w := s.post("/silences/new", form, asMira...)
		require.Equal(t, http.StatusBadRequest, w.Code, name)
		require.Contains(t, w.Body.String(), html.EscapeString(tc.text), name)
		require.Contains(t, w.Body.String(), `aria-invalid="true"`, name)
		require.NotContains(t, w.Body.String(), "<script>alert", name)
		require.NotContains(t, w.Body.String(), "data-live", "what was typed stays")
	}
	big := url.Values{"comment": {strings.Repeat("x", 65<<10)}}
	require.Equal(t, http.StatusRequestEntityTooLarge, s.post("/silences/new", big, asMira...).Code)
	require.Empty(t, s.fake.Calls())
}

// Whatever Alertmanager says is shown as text, and the form keeps what was typed.
func TestAlertmanagerRefuses(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	form := formWith(t, s.Get("/silences/new?filter=alertname%3D%22Down%22", asMira...).Body.String(), "comment", "OPS-1")
	const hostile = `bad matcher <script>alert(1)</script> ` + "\u202e"
	for _, tc := range []struct {
		err  error
		code int
		text string
	}{
		{
			&grouping.SilenceRefusedError{SilenceAnswer: grouping.SilenceAnswer{Alertmanager: "am-0:9093", Status: 400}, Text: hostile}, 400,
			"am-0:9093 refused: <bdi>" + html.EscapeString(hostile) + "</bdi>",
		},
		{
			&grouping.SilenceFailedError{Text: "am-0 and am-1 do not answer. The silence was not created."}, 503,
			"am-0 and am-1 do not answer. The silence was not created.",
		},
		{&grouping.SilenceFailedError{Text: "Muster cannot tell.", Unknown: true}, 503, "Muster cannot tell."},
		{grouping.ErrBusy, 503, "Too many people change silences now. Try again."},
		{&grouping.SilenceNotFoundError{}, 404, "Alertmanager does not know this silence."},
	} {
		s.fake.Err = tc.err
		w := s.post("/silences/new", form, asMira...)
		require.Equal(t, tc.code, w.Code)
		require.Contains(t, w.Body.String(), tc.text)
		require.Equal(t, "OPS-1", formOf(t, w.Body.String(), "new").Get("comment"))
	}
}

func TestWithoutTheFlagNothingIsPosted(t *testing.T) {
	off, readOnly := newSilencing(t, person.Silences{}), newSilencing(t, person.Silences{})
	readOnly.Server = testserver.New(t, testserver.Options{
		Silencer: readOnly.fake, People: person.Policy{ReadOnly: true, Silences: person.Silences{Allowed: true, Unverified: true}},
	})
	readOnly.group = readOnly.PostKept(t, downBody())
	for _, s := range []*silencing{off, readOnly} {
		s.Silence(t)
		for _, path := range []string{"/silences/new", "/silences/s1/extend", "/silences/s1/expire"} {
			require.Equal(t, http.StatusMethodNotAllowed, s.post(path, url.Values{"comment": {"x"}}, asMira...).Code, path)
		}
		require.Equal(t, http.StatusNotFound, s.Get("/silences/new", asMira...).Code)
		page := s.Get("/groups/" + s.group).Body.String()
		require.NotContains(t, page, `"/silences/new?filter`)
		require.Contains(t, page, `"http://am/#/silences/new?filter=`, "the form of Alertmanager")
		page = s.Get("/silences/s1").Body.String()
		require.NotContains(t, page, `method="post"`)
		require.NotContains(t, s.Get("/silences").Body.String(), "New silence…")
		require.Empty(t, s.fake.Calls())
	}
}

func TestOnlyVerifiedPeopleSilence(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	s.Silence(t)
	form := "application/x-www-form-urlencoded"
	for _, path := range []string{"/silences/new", "/silences/s1/extend", "/silences/s1/expire"} {
		w := s.post(path, url.Values{"by": {"mira"}, "source": {"default"}}, "Content-Type", form)
		require.Equal(t, http.StatusForbidden, w.Code, path)
		require.Contains(t, strings.ToLower(w.Body.String()), "only people whose names are verified may change silences", path)
		w = s.post(path, url.Values{}, append(asMira, "Sec-Fetch-Site", "cross-site")...)
		require.Equal(t, http.StatusForbidden, w.Code, path)
	}
	require.Equal(t, http.StatusForbidden, s.Get("/silences/new").Code)
	require.Empty(t, s.fake.Calls())
}

// Without verified names, the person types one. The browser keeps it.
func TestUnverifiedPeopleSilence(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	h := testserver.New(t, testserver.Options{
		Silencer: fake, People: person.Policy{Silences: person.Silences{Allowed: true, Unverified: true}},
	})
	s := &silencing{t, h, fake, h.PostKept(t, downBody())}
	s.Silence(t)
	headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
	page := s.Get("/silences/new?filter=severity%3D%22critical%22").Body.String()
	require.Contains(t, page, "Muster cannot verify this name.")
	form := formWith(t, page, "comment", "OPS-1")
	w := s.post("/silences/new", form, headers...)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), `aria-describedby="bad-name"`)
	form.Set("by", "jo")
	w = s.post("/silences/new", form, headers...)
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Contains(t, w.Header().Get("Set-Cookie"), "muster-name=jo;")
	require.Equal(t, grouping.Person{Name: "jo"}, fake.Calls()[0].By)
	page = s.Get("/silences/s1").Body.String()
	require.Contains(t, page, `id="expire-by"`)
	w = s.post("/silences/s1/expire", url.Values{"source": {"default"}}, append(headers, "Cookie", "muster-name=jo")...)
	require.Equal(t, http.StatusSeeOther, w.Code, "the name is in the cookie")
}

func TestASilenceIsExtendedAndExpired(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	s.Silence(t)
	page := s.Get("/silences/s1").Body.String()
	require.Contains(t, page, "<b>2 critical alerts</b> will be notified again, within the group interval (5m).")
	require.NotContains(t, page, "mira</b>,", "the page is for all readers")
	extend := formOf(t, page, "extend")
	require.Equal(t, "default", extend.Get("source"))
	w := s.post("/silences/s1/extend", extend, asMira...)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, "/silences/s1", w.Header().Get("Location"))
	call := s.fake.Calls()[0]
	require.Equal(t, "s1", call.ID)
	until, err := time.Parse(time.RFC3339, extend.Get("until"))
	require.NoError(t, err)
	require.Equal(t, until.UTC(), call.Until)

	w = s.post("/silences/s1/expire", formOf(t, page, "expire"), asMira...)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, "s1", s.fake.Calls()[1].ID)
	require.Equal(t, grouping.Person{Name: "mira", Verified: true}, s.fake.Calls()[1].By)

	extended := func(field, value string) *httptest.ResponseRecorder {
		return s.post("/silences/s1/extend", url.Values{"source": {"default"}, "until": {extend.Get("until")}, field: {value}}, asMira...)
	}
	for problem, typed := range map[string][2]string{
		"It must end in the future.":                          {"until", "2026-01-01T00:00:00Z"},
		"&#34;soon&#34; is not a time such as":                {"at", "soon"},
		"&#34;-1h&#34; is not a time such as":                 {"at", "-1h"},
		"Choose the time at which it ends.":                   {"until", ""},
		"&#34;&lt;b&gt;&#34; is not a duration such as":       {"length", "<b>"},
		"It would last more than ten years.":                  {"length", "20y"},
		"It ends later already. To end it earlier, expire it": {"length", "1s"},
	} {
		w = extended(typed[0], typed[1])
		require.Equal(t, http.StatusBadRequest, w.Code, problem)
		require.Contains(t, w.Body.String(), problem)
		require.Contains(t, w.Body.String(), `aria-invalid="true" aria-describedby="bad-end" autofocus`, problem)
	}
	require.Contains(t, extended("length", "<b>").Body.String(), `name="length" value="&lt;b&gt;"`, "the text is kept")
	require.Len(t, s.fake.Calls(), 2)
	before := time.Now()
	require.Equal(t, http.StatusSeeOther, extended("length", "90d").Code)
	require.WithinDuration(t, before.Add(90*24*time.Hour), s.fake.Calls()[2].Until, time.Minute)
	at := before.UTC().Add(100 * 24 * time.Hour).Truncate(time.Minute)
	require.Equal(t, http.StatusSeeOther, extended("at", at.Format("2006-01-02T15:04")).Code)
	require.Equal(t, at, s.fake.Calls()[3].Until)
	w = s.post("/silences/s1/extend", url.Values{"source": {"other"}, "until": {extend.Get("until")}}, asMira...)
	require.Equal(t, http.StatusNotFound, w.Code, "the silence is not one of that source")
	require.Len(t, s.fake.Calls(), 4)

	s.fake.Err = &grouping.SilenceFailedError{Text: "am-0 does not answer. The silence was not changed."}
	w = s.post("/silences/s1/expire", formOf(t, page, "expire"), asMira...)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "am-0 does not answer. The silence was not changed.")
	w = s.Get("/silences/s1/expire")
	require.Equal(t, "/silences/s1", w.Header().Get("Location"), "a reload of the answer's address")
	require.Contains(t, s.Get("/silences/s0").Body.String(), ">Again…<")
}

// A change is shown at once, and who made it. The next read confirms it.
func TestAnUnconfirmedSilence(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	of := grouping.Silence{
		ID: testserver.FakeSilenceID, CreatedBy: "mira", Comment: "OPS-1", StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour),
		MatcherSets: [][]grouping.SilenceMatcher{{{Name: "alertname", Type: "=", Value: "Down"}}},
		Write: &grouping.SilenceWrite{
			By: grouping.Person{Name: "mira", Verified: true}, ID: "w", Kind: grouping.EventSilenceCreated, At: time.Now().Add(-3 * time.Second),
		},
	}
	require.NoError(t, s.Manager.RecordSilence(t.Context(), "default", of))
	page := s.Get("/silences/" + of.ID).Body.String()
	require.Regexp(t, `Created <time[^>]*>3s</time> ago\. Alertmanager has not confirmed it yet\.`, page)
	require.Contains(t, page, "by mira through Muster")
	require.Contains(t, s.Get("/silences").Body.String(), "not confirmed yet")
	require.Contains(t, s.Get("/history").Body.String(), "by mira through Muster")
	of.Write, of.UpdatedAt = nil, time.Now()
	require.NoError(t, s.Manager.ObserveSilences(t.Context(), "default", "http://am", time.Now(), []grouping.Silence{of}))
	page = s.Get("/silences/" + of.ID).Body.String()
	require.NotContains(t, page, "has not confirmed it yet")
}

// If no Alertmanager answers, the last known is shown without forms.
func TestNoFormsWhileNobodyAnswers(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	s.Silence(t)
	s.Manager.RecordPoll("default", "http://am", grouping.PollReport{
		URL: "http://am", LastAt: time.Now().Add(-14 * time.Minute), FailingSince: time.Now().Add(-13 * time.Minute), Err: "connection refused",
	})
	for _, path := range []string{"/silences/s1", "/silences/new?filter=alertname%3D%22Down%22"} {
		page := s.Get(path, asMira...).Body.String()
		require.Contains(t, page, "(14m 0s ago): am does not answer.", path)
		require.NotContains(t, page, `method="post"`, path)
	}
}

// The form of several sources asks for one of them.
func TestSilencesOfSeveralSources(t *testing.T) {
	s := newSilencing(t, person.Silences{Allowed: true})
	s.fake.Names = []string{"default", "prod"}
	page := s.Get("/silences/new?source=prod&filter=a%3D%22b%22", asMira...).Body.String()
	require.Contains(t, page, `<option value="prod" selected>prod</option>`)
	form := formWith(t, page, "comment", "OPS-1")
	form.Set("source", "prod")
	w := s.post("/silences/new", form, asMira...)
	require.Equal(t, "/silences/"+testserver.FakeSilenceID+"?source=prod", w.Header().Get("Location"))
	require.Equal(t, "prod", s.fake.Calls()[0].Source)
}

// A request that waits for an Alertmanager uses no slot of a reader, and too many of them are refused.
func TestSilencersDoNotBlockReaders(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	h := testserver.New(t, testserver.Options{
		Silencer: fake, MaxReaders: 1, People: person.Policy{Silences: person.Silences{Allowed: true, Unverified: true}},
	})
	h.PostKept(t, downBody())
	h.Silence(t)
	readers, waiting := h.Limits.Limit("readers"), h.Limits.Limit("silencing")
	require.EqualValues(t, 16, waiting.Max())
	form := url.Values{"by": {"jo"}, "source": {"default"}, "length": {"90d"}}
	post := func(path string) *httptest.ResponseRecorder {
		if strings.HasPrefix(path, "/api") {
			return h.Do(http.MethodPost, path, strings.NewReader("{}"))
		}
		return h.Do(http.MethodPost, path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	}
	paths := []string{"/silences/s1/extend", "/silences/s1/expire", "/api/v2/silences"}
	for _, path := range paths {
		seen := false
		fake.OnCall = func() {
			require.Zero(t, readers.Used(), path)
			require.EqualValues(t, 1, waiting.Used(), path)
			seen = true
		}
		require.Less(t, post(path).Code, 400, path)
		require.True(t, seen, path)
		require.Zero(t, waiting.Used(), path)
	}
	n := len(fake.Calls())
	hold, ok := waiting.Take(16)
	require.True(t, ok)
	defer hold.Release()
	for _, path := range paths {
		require.Equal(t, http.StatusServiceUnavailable, post(path).Code, path)
	}
	require.Len(t, fake.Calls(), n)
	require.Equal(t, 3, waiting.Rejected())
}
