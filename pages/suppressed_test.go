package pages_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// Every page says who silences an alert, until when and why, and counts it apart.
func TestPagesSayWhatMutes(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	h.Silence(t)
	page := func(path string) string {
		w := h.Get(path, "Accept", testserver.HTML)
		require.Equal(t, http.StatusOK, w.Code, path)
		return w.Body.String()
	}
	const by = "by <b>mira</b> until <time data-abs="
	list := page("/")
	require.Contains(t, list, "<b>2</b> suppressed")
	require.Contains(t, list, "Nothing is firing that is not suppressed")
	require.Contains(t, list, "1 group with 1 critical alert is suppressed.")
	require.Contains(t, list, `data-badge="0"`)
	suppressed := page("/?state=suppressed&cause=silence&silence=s1")
	require.Contains(t, suppressed, `<article class="row crit mute"`)
	require.Contains(t, suppressed, "Silenced "+by)
	require.Contains(t, suppressed, "silence: s1")
	require.NotContains(t, page("/?silence=s2"), "<article")
	require.NotContains(t, page("/?state=firing"), "<article")
	group := page("/groups/" + id)
	require.Contains(t, group, by)
	require.Contains(t, group, `<a href="/silences/s1">Silence</a>`)
	require.Contains(t, group, "not notified")
	require.Contains(t, page("/alerts/0011223344556677"), by)
	history := page("/history")
	require.Contains(t, history, "suppressed: silenced by mira until ")

	silences := page("/silences")
	require.Contains(t, silences, "2 alerts are silenced")
	require.Contains(t, silences, `<a href="/?state=suppressed&amp;silence=s1">2 alerts</a> now`)
	require.Contains(t, page("/silences?filter=canary&state=active"), "mira")
	require.NotContains(t, page("/silences?filter=nosuch"), "canary")
	require.Contains(t, page("/silences/s1?source=default"), "Silence by mira")
	require.Equal(t, http.StatusNotFound, h.Get("/silences/s1?source=other", "Accept", testserver.HTML).Code)
	require.Equal(t, http.StatusNotFound, h.Get("/silences/s9", "Accept", testserver.HTML).Code)
	require.Contains(t, page("/status"), "<b>answers</b>")
}

// A row shows the end that the silence has now. Its page is cached until something changes.
func TestAnExtendedSilenceIsShown(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	h.Silence(t)
	page := func() string { return h.Get("/?state=suppressed", "Accept", testserver.HTML).Body.String() }
	require.Contains(t, page(), "canary")
	s := *h.Manager.SilenceOf("default", "s1")
	s.Comment, s.EndsAt, s.UpdatedAt = "extended", s.EndsAt.Add(24*time.Hour), time.Now().UTC()
	require.NoError(t, h.Manager.ObserveSilences(t.Context(), "default", "http://am", time.Now(), []grouping.Silence{s}))
	got := page()
	require.Contains(t, got, "extended")
	require.Contains(t, got, s.EndsAt.Format(time.RFC3339))
	require.NotContains(t, got, "canary")
	history := h.Get("/history", "Accept", testserver.HTML).Body.String()
	require.Contains(t, history, `<a href="/silences/s1">silence by mira</a> <bdi>until `)
	require.Contains(t, h.Get("/silences/s1", "Accept", testserver.HTML).Body.String(), "silence changed")
}
