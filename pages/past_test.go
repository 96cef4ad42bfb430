package pages_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

const (
	startedAt = "2026-11-23T03:00:00Z"
	noEnd     = "0001-01-01T00:00:00Z"
)

// night is what happened: two alerts fire an hour apart, and the first one ends.
type night struct {
	h                    *testserver.Server
	begin                time.Time
	id                   string // of the group Down
	fired, second, ended time.Time
	slowID               string
}

func newNight(t *testing.T) *night {
	t.Helper()
	n := &night{h: testserver.New(t, testserver.Options{}), begin: time.Now()}
	post := func(name, status string) (id string, at time.Time) {
		now := time.Now().UTC().Format(time.RFC3339)
		fields := []string{
			wiretest.Key, fmt.Sprintf(`"groupKey":%q`, name), `"groupLabels":{}`, fmt.Sprintf(`"groupLabels":{"alertname":%q}`, name),
			"Down", name, startedAt, now, "0011223344556677", map[string]string{"Down": "0011223344556677", "Slow": "00112233445566aa"}[name],
		}
		if status == "resolved" {
			fields = append(fields, `"firing"`, `"resolved"`, noEnd, now)
		}
		return n.h.PostKept(t, wiretest.Body(fields...)), time.Now()
	}
	n.id, n.fired = post("Down", "firing")
	time.Sleep(time.Hour)
	n.slowID, n.second = post("Slow", "firing")
	time.Sleep(time.Hour)
	_, n.ended = post("Down", "resolved")
	time.Sleep(time.Hour)
	return n
}

func at(t time.Time) string { return url.QueryEscape(t.UTC().Format(time.RFC3339Nano)) }

func (n *night) page(t *testing.T, path string) string {
	t.Helper()
	w := n.h.Get(path, "Accept", testserver.HTML)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	return w.Body.String()
}

// A page of the past shows the state of that time, and computes all from that time.
func TestAPageOfThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		list := n.page(t, "/?at="+at(n.fired.Add(5*time.Minute)))
		require.Contains(t, list, ">Down</a>")
		require.NotContains(t, list, ">Slow</a>")
		require.Contains(t, list, "<title>[00:05] Groups · Muster</title>")
		require.Contains(t, list, "Sat Jan 1, 00:05:00 UTC")
		require.Contains(t, list, "1 group was firing")
		require.Contains(t, list, `>5m 0s</time></b>`, "its age")
		require.Contains(t, list, `>2h 55m</time> ago`, "how long ago that was")
		require.Contains(t, list, "now 03:00 UTC")
		require.NotContains(t, list, "data-live", "no stream")
		require.Contains(t, list, fmt.Sprintf(`data-at="%d"`, n.fired.Add(5*time.Minute).UnixMilli()))

		then := n.second.Add(time.Minute)
		list = n.page(t, "/?at="+at(then))
		require.Contains(t, list, ">Down</a>")
		require.Contains(t, list, ">Slow</a>")
		require.Contains(t, list, "2 groups were firing")
		require.Contains(t, n.page(t, "/?state=resolved&at="+at(n.ended.Add(time.Hour/2))), ">Down</a>")
		require.Contains(t, n.page(t, "/?state=resolved&at="+at(n.ended.Add(time.Hour/2))), "30m 0s</time></b> before")
		require.NotContains(t, n.page(t, "/?at="+at(n.ended)), ">Down</a>", "a write counts from its own time on")
		require.Contains(t, n.page(t, "/?at="+at(n.ended.Add(-time.Millisecond))), ">Down</a>")
		require.Contains(t, n.page(t, "/?by=alertname&at="+at(then)), "alertname Slow")
		require.NotContains(t, n.page(t, "/?filter=Slow&at="+at(then)), ">Down</a>")
		require.Contains(t, n.page(t, "/?filter=alertname%3D%22Slw%22&at="+at(then)), "Did you mean")
		require.Equal(t, list, n.page(t, "/?by=&at="+at(then)), "an empty field means nothing")

		group := n.page(t, "/groups/"+n.id+"?at="+at(then))
		require.Contains(t, group, "<title>[01:01] Down · Muster</title>")
		require.Contains(t, group, "<b>1</b> firing")
		require.NotContains(t, group, ">resolved<", "what happened later")
		require.NotContains(t, group, "Silence…")
		require.Contains(t, group, "As it was at 2000-01-01 01:01:00 UTC\nhttp://example.com/groups/"+n.id+"?at=2000-01-01T01:01:00Z",
			"the copied text says the time")
		require.Contains(t, n.page(t, "/groups/"+n.id), ">resolved<")
		alert := n.page(t, "/alerts/0011223344556677?at="+at(then))
		require.Contains(t, alert, "firing for")
		require.NotContains(t, alert, "Silence…")

		w := n.h.Get("/groups/"+n.slowID+"?at="+at(n.fired.Add(time.Minute)), "Accept", testserver.HTML)
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Contains(t, w.Body.String(), "It began later, or it was removed before.")
		require.Contains(t, w.Body.String(), "/groups/"+n.slowID+"?at=2000-01-01T01:00:00Z", "the step to its first event")
		w = n.h.Get("/alerts/00112233445566aa?at="+at(n.fired.Add(time.Minute)), "Accept", testserver.HTML)
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Contains(t, w.Body.String(), `/alerts/00112233445566aa?at=2000-01-01T01:00:00Z`)
	})
}

// All forms of a time mean the same.
func TestFormsOfATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		for _, form := range []string{
			"2000-01-01T01:30:00Z", "2000-01-01T03:30:00%2B02:00", "2000-01-01+01:30", "2000-01-01%2001:30:00", "2000-01-01T01:30", "946690200",
			"-1h30m", "1h30m",
		} {
			require.Contains(t, n.page(t, "/?at="+form), "Sat Jan 1, 01:30:00 UTC", form)
		}
		require.NotContains(t, n.page(t, "/?at="), `id="past"`, "an empty field")
		for _, form := range []string{"yesterday", "2000-01-01T03:00:01Z", "2100-01-01", "2000-01-01T03:30:00+02:00"} {
			for _, path := range []string{"/?at=", "/?by=alertname&at=", "/groups/" + n.id + "?at=", "/alerts/0011223344556677?at="} {
				w := n.h.Get(path+form, "Accept", testserver.HTML)
				require.Equal(t, http.StatusBadRequest, w.Code, form)
				body := w.Body.String()
				require.Contains(t, body, "The time cannot be read. Examples: 2026-11-26 02:55, -1h30m", form)
				require.NotContains(t, body, `id="past"`)
				require.Contains(t, body, "data-live", "the present is shown")
				require.Contains(t, body, map[bool]string{true: "Slow", false: "Down"}[path[1] == '?'])
			}
		}
		w := n.h.Get("/?at=1h&at=2h", "Accept", testserver.HTML)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Body.String(), "given 2 times")
		w = n.h.Get("/?at=1h&nosuch=1", "Accept", testserver.HTML)
		require.Equal(t, http.StatusBadRequest, w.Code)
	})
}

// Before the history begins, a page says since when Muster knows.
func TestBeforeTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		for _, path := range []string{"/", "/groups/" + n.id, "/alerts/0011223344556677"} {
			w := n.h.Get(path+"?at=1999-12-24+18:00", "Accept", testserver.HTML)
			require.Equal(t, http.StatusNotFound, w.Code)
			body := w.Body.String()
			require.Contains(t, body, "Muster does not know this time")
			require.Contains(t, body, "The history begins Sat Jan 1 2000, 00:00:00 UTC.")
			require.Contains(t, body, "That is before the history begins (Jan 1 00:00).")
			require.Contains(t, body, "Fri Dec 24 1999, 18:00:00 UTC")
			require.Contains(t, body, path+"?at=2000-01-01T00:00:00Z", "the next event and the beginning")
			require.NotContains(t, body, "Ages count")
		}
	})
}

// steps returns the texts of the steps on a page, with the times to which they lead.
func steps(body string) map[string]string {
	found := map[string]string{}
	nav := regexp.MustCompile(`(?s)<nav aria-label="Other times">(.*?)</nav>`).FindString(body)
	for _, link := range regexp.MustCompile(`<a class="btn[^"]*" href="([^"]*)"[^>]*>(.*?)</a>`).FindAllStringSubmatch(nav, -1) {
		text := strings.TrimSpace(html.UnescapeString(regexp.MustCompile("<[^>]*>").ReplaceAllString(link[2], "")))
		found[text] = html.UnescapeString(link[1])
	}
	return found
}

// Steps lead to the events of what the page shows, and not beyond the history or the present.
func TestSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		require.Equal(t, map[string]string{
			"‹ event 01:00:00": "/?at=2000-01-01T01:00:00Z", "event 02:00:00 ›": "/?at=2000-01-01T02:00:00Z",
			"−15m": "/?at=2000-01-01T01:15:00Z", "+15m": "/?at=2000-01-01T01:45:00Z",
			"−1h": "/?at=2000-01-01T00:30:00Z", "+1h": "/?at=2000-01-01T02:30:00Z", "Now": "/",
		}, steps(n.page(t, "/?at=2000-01-01T01:30:00Z")))
		require.Equal(t, map[string]string{
			"‹ event 01:00:00": "/?state=all&at=2000-01-01T01:00:00Z", "Now": "/?state=all",
			"−15m": "/?state=all&at=2000-01-01T01:45:00Z", "+15m": "/?state=all&at=2000-01-01T02:15:00Z",
			"−1h": "/?state=all&at=2000-01-01T01:00:00Z", "+1h": "/?state=all&at=2000-01-01T03:00:00Z",
		}, steps(n.page(t, "/?state=all&at="+at(n.ended))), "at an event")
		filtered := steps(n.page(t, `/?filter=alertname%3D"Down"&at=2000-01-01T01:30:00Z`))
		require.Equal(t, "/?filter=alertname%3D%22Down%22&at=2000-01-01T00:00:00Z", filtered["‹ event 00:00:00"])
		require.Equal(t, "/?filter=alertname%3D%22Down%22&at=2000-01-01T02:00:00Z", filtered["event 02:00:00 ›"])
		require.Equal(t, "/?filter=alertname%3D%22Down%22", filtered["Now"])
		group := steps(n.page(t, "/groups/"+n.id+"?range=1h&at=2000-01-01T01:30:00Z"))
		require.Equal(t, "/groups/"+n.id+"?range=1h&at=2000-01-01T00:00:00Z", group["‹ event 00:00:00"])
		last := n.page(t, "/?at="+at(n.ended.Add(50*time.Minute)))
		require.Contains(t, last, `<span class="btn" role="link" aria-disabled="true">no event ›</span>`)
		require.Contains(t, last, `<span class="btn" role="link" aria-disabled="true">&#43;15m</span>`)
		require.NotContains(t, steps(last), "+1h")
		first := n.page(t, "/?at="+at(n.fired))
		require.Contains(t, first, `<span class="btn" role="link" aria-disabled="true">‹ no event</span>`)
		require.Contains(t, first, `<span class="btn" role="link" aria-disabled="true">−15m</span>`)
	})
}

// The next event is found among many, and far away.
func TestTheNextEventAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{})
		post := func(i int) {
			h.PostKept(t, wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"k%d"`, i), "Down", fmt.Sprintf("A%d", i)))
		}
		post(0)
		first := time.Now()
		time.Sleep(20 * 24 * time.Hour)
		for i := range 500 {
			time.Sleep(time.Second)
			post(i + 1)
		}
		time.Sleep(time.Hour)
		for _, from := range []int{0, 1, 7, 100, 498} {
			then := first.Add(20*24*time.Hour + time.Duration(from)*time.Second + time.Millisecond)
			want := first.Add(20*24*time.Hour + time.Duration(from+1)*time.Second)
			require.Contains(t, steps(h.Get("/?at="+at(then)).Body.String()), "event "+want.UTC().Format("15:04:05")+" ›", from)
		}
		require.Contains(t, steps(h.Get("/?at="+at(first.Add(14*24*time.Hour))).Body.String()), "event Jan 21 00:00:01 ›")
		far := steps(h.Get("/?at=" + at(first.Add(10*24*time.Hour))).Body.String())
		for text, href := range far {
			if !strings.HasPrefix(text, "no event until") && !strings.HasPrefix(text, "‹ no event until") {
				continue
			}
			require.Contains(t, href, "?at=2000-01-", "the search goes on from there")
			delete(far, text)
		}
		require.Len(t, far, 5, "both events are more than a week away")
		require.Contains(t, steps(h.Get(`/?filter=alertname%3D"A250"&at=`+at(first.Add(15*24*time.Hour))).Body.String()),
			"event Jan 21 00:04:10 ›")
	})
}

// hasNoPast matches links to other sites, to pages that have no past, and the addresses of forms.
var hasNoPast = regexp.MustCompile(`^action|^href="(http|#|/help|/silences)`)

var hrefs = regexp.MustCompile(`(?:href|action)="([^"]*)"`)

// Every link of a page of the past keeps the time, except for the navigation, Now, other sites,
// and pages that have no past.
func TestLinksOfThePastKeepTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		then := at(n.second.Add(time.Minute))
		for _, path := range []string{
			"/?at=" + then, "/?state=all&sort=name&at=" + then, "/?by=alertname&at=" + then, `/?filter=alertname%3D"Slow"&limit=1&at=` + then,
			"/?limit=1&at=" + then, "/groups/" + n.id + "?range=6h&at=" + then, "/alerts/0011223344556677?source=default&at=" + then,
		} {
			body := n.page(t, path)
			main := body[strings.Index(body, "<main"):strings.Index(body, "</main>")]
			found := 0
			for _, m := range hrefs.FindAllStringSubmatch(main, -1) {
				href := html.UnescapeString(m[1])
				if hasNoPast.MatchString(m[0]) {
					continue
				}
				found++
				u, err := url.Parse(href)
				require.NoError(t, err)
				require.NotEmpty(t, u.Query().Get("at")+u.Query().Get("until"), "%s: %s", path, href)
				w := n.h.Get(href, "Accept", testserver.HTML)
				require.NotEqual(t, http.StatusBadRequest, w.Code, "%s: %s: %s", path, href, w.Body)
			}
			require.Greater(t, found, 3, path)
			if strings.HasPrefix(path, "/?") {
				require.Contains(t, main, `<input type="hidden" name="at" value="2000-01-01T01:01:00Z">`, "the filter keeps it")
			}
		}
		body := n.page(t, `/?filter=alertname%3D"Slow"&state=all&cursor=&at=`+then)
		require.Contains(t, body, `<input type="hidden" name="filter" value="alertname=&#34;Slow&#34;">`, "the field keeps the filter")
		require.Contains(t, body, `<input type="hidden" name="state" value="all">`)
	})
}

// The times on pages of the present lead to the past.
func TestWaysIntoThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		for path, want := range map[string]string{
			"/": `href="/?at=-15m" data-k="-"`, `/?filter=alertname%3D"Down"`: `href="/?filter=alertname%3D%22Down%22&amp;at=-15m"`,
			"/groups/" + n.id: `href="/groups/` + n.id + `?at=-15m" data-k="-"`, "/history": `href="/?at=2000-01-01T01:00:00Z"`,
			"/alerts/0011223344556677": `href="/alerts/0011223344556677?at=2000-01-01T02:00:00Z"`, "/status": `href="/?at=-15m" title`,
			"/help": `<kbd>[  ]</kbd>`, "/silences": `href="/?at=-15m"`,
		} {
			require.Contains(t, n.page(t, path), want, path)
		}
		group := n.page(t, "/groups/"+n.id)
		then := `href="/groups/` + n.id + `?at=2000-01-01T02:00:00Z"`
		for _, id := range []string{"timeline", "notifications", "history"} {
			_, section, _ := strings.Cut(group, `id="`+id+`"`)
			section, _, _ = strings.Cut(section, "</section>")
			require.Contains(t, section, `<a class="then" href="/groups/`+n.id+`?at=2000-01-01T`, id)
			if id != "timeline" {
				require.Contains(t, section, then, id)
			}
		}
		require.Contains(t, n.page(t, "/"), `<input id="f-at" type="datetime-local" name="at"`)
		require.Contains(t, n.page(t, `/history?filter=alertname%3D"Down"`), `href="/?filter=alertname%3D%22Down%22&amp;at=2000-01-01T00:00:00Z"`)
		require.Contains(t, n.page(t, "/groups/"+n.id+"?at=-15m"), "02:45:00 UTC")
	})
}

// fakePast answers with a wall of the test.
type fakePast struct {
	testserver.Past

	wall *history.Wall
	err  error
}

func (f fakePast) At(context.Context, time.Time) (*history.Wall, error) { return f.wall, f.err }

func TestAGapIsNamed(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	then := time.Now().UTC().Truncate(24 * time.Hour).Add(-22 * time.Hour).Add(30 * time.Minute)
	gap := &grouping.Gap{From: then.Add(-2 * time.Minute), To: then.Add(6 * time.Minute)}
	h.UsePast(fakePast{wall: &history.Wall{At: then, KnownSince: then.Add(-time.Hour), Gap: gap, CausesKnown: true}})
	body := h.Get("/?at=" + at(then)).Body.String()
	require.Contains(t, body, "No data from 02:28 to 02:36: this is the state of 02:28.")
	require.NotContains(t, body, "Causes of suppression")
	require.NotContains(t, body, `class="empty good"`, "an empty list proves nothing")
	require.Contains(t, body, "Nothing was firing")
	h.UsePast(fakePast{wall: &history.Wall{At: then, KnownSince: then.Add(-time.Hour)}})
	require.Contains(t, h.Get("/?at="+at(then.Add(time.Second))).Body.String(), "Causes of suppression are not known for this time.")
	h.UsePast(fakePast{err: errors.New("broken")})
	require.Equal(t, http.StatusServiceUnavailable, h.Get("/?at="+at(then.Add(time.Minute)), "Accept", testserver.HTML).Code)
}

// Pages of the past do not displace those of the present.
func TestThePastHasACacheOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		present := n.h.Get("/", "Accept", testserver.HTML)
		cached := n.h.Pages.CachedPages()
		for i := range 100 {
			n.page(t, fmt.Sprintf("/?at=2000-01-01T01:30:%02dZ", i%60))
		}
		require.Equal(t, cached, n.h.Pages.CachedPages())
		require.Equal(t, present.Header().Get("ETag"), n.h.Get("/", "Accept", testserver.HTML).Header().Get("ETag"))
		past := n.h.Get("/?at=2000-01-01T01:30:00Z", "Accept", testserver.HTML)
		require.NotEqual(t, present.Header().Get("ETag"), past.Header().Get("ETag"))
		same := n.h.Get("/?at=2000-01-01T01:30:00Z", "Accept", testserver.HTML, "If-None-Match", past.Header().Get("ETag"))
		require.Equal(t, http.StatusNotModified, same.Code)
		time.Sleep(time.Minute)
		require.Contains(t, n.page(t, "/?at=2000-01-01T01:30:00Z"), ">1h 31m</time> ago", "it is cached for a short time")
	})
}
