package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// goBack makes a page show the state of night, seen 19 minutes and 20 seconds later.
func goBack(s *Site) {
	s.Links, s.Sources, s.ListedBy = s.Links.Then(s.Now), nil, nil
	s.Past = &Past{
		Clock: s.Now.Add(19*time.Minute + 20*time.Second), KnownSince: s.Now.AddDate(0, 0, -20), CausesKnown: true,
		Before: NextEvent{At: s.Now.Add(-58 * time.Second)}, After: NextEvent{At: s.Now.Add(24 * time.Hour)},
	}
}

func TestTheBannerOfThePast(t *testing.T) {
	r := newRenderer(t)
	groups := fixture.Groups(night)
	body := renderPage(t, r, listPage(t, groups, "state=all", goBack))
	require.Contains(t, text(t, body), "Mon Nov 23, 03:02:14 UTC as it was, 19m 20s ago "+
		"‹ event 03:01:16 −1h −15m +15m +1h event Nov 24 03:02:14 › Now "+
		"Ages count to that time. Live updates, acknowledging and silencing are off. Go to (UTC) Go")
	require.Contains(t, body, `<a class="btn" href="/am/?state=all&amp;at=2026-11-23T02:47:14Z" title="15 minutes back" data-k="-">`)
	require.Contains(t, body, `<a class="btn first" href="/am/?state=all" data-k="0">Now</a>`)
	require.Contains(t, body, `<span class="btn" role="link" aria-disabled="true">&#43;1h</span>`, "that is in the future")
	require.Contains(t, body, `<input id="goto" type="datetime-local" name="at" step="1" value="2026-11-23T03:02:14">`)
	require.Contains(t, body, "now 03:21 UTC")
	require.NotContains(t, body, `id="f-at"`, "one field is enough")

	s := newSite(groups)
	goBack(s)
	s.Past.Clock, s.Past.CausesKnown = night.AddDate(1, 0, 0), false
	s.Past.Gap = &grouping.Gap{From: night.Add(-20 * time.Second), To: night.Add(24 * time.Hour)}
	banner := s.pastBanner(Links.AllGroups)
	require.Equal(t, "Mon Nov 23 2026, 03:02:14 UTC", banner.When)
	require.Equal(t, []string{
		"No data from 03:01 to Nov 24 03:02: this is the state of 03:01.", "Causes of suppression are not known for this time.",
	}, banner.Warnings)
}

// What belongs to the present is not on a page of the past.
func TestThePastHasNoNoticesAboutSources(t *testing.T) {
	r := newRenderer(t)
	groups := fixture.Groups(night)
	silent := func(s *Site) {
		for name, source := range s.Totals.Sources {
			source.LastNotification = s.Now.Add(-47 * time.Minute)
			s.Totals.Sources[name] = source
		}
		s.StaleAfter = 40 * time.Minute
		s.Heartbeats[0].State = grouping.HeartbeatLate
		s.Storage = grouping.StorageStatus{Mode: "redis", DegradedSince: s.Now.Add(-4 * time.Minute)}
		s.StartedAt, s.Storage.Restored = s.Now.Add(-time.Minute), 17
	}
	present := text(t, renderPage(t, r, listPage(t, groups, "", silent)))
	require.Contains(t, present, "No notification for 47m")
	require.Contains(t, present, "is late")
	require.Contains(t, present, "before restart")
	past := text(t, renderPage(t, r, listPage(t, groups, "", func(s *Site) {
		silent(s)
		goBack(s)
	})))
	require.NotContains(t, past, "No notification for 47m")
	require.NotContains(t, past, "is late:")
	require.NotContains(t, past, "before restart")
	require.Contains(t, past, "Redis has not answered since 02:58:14 UTC (23m 20s)", "by the clock of now")
}

// Every field of a page of the past is escaped.
func TestAHostilePast(t *testing.T) {
	r := newRenderer(t)
	for _, s := range hostile {
		g, events := hostileGroup(s)
		site := newSite([]*grouping.AlertGroup{g})
		goBack(site)
		for _, p := range []Page{
			NewGroupPage(site, GroupView{Range: rangeEpisode}, g, events),
			NewGroupsPage(site, viewOfState("all"), grouping.GroupPage{Groups: []*grouping.AlertGroup{g}, Total: 1}),
			NewAlertPage(site, AlertView{Source: s}, g.Alerts[0].Fingerprint, []*grouping.AlertGroup{g}, events),
			NewBeforePage(site, LabelsView(grouping.LabelsOf([]grouping.Label{{Name: "a", Value: s}}), s, s).Page),
		} {
			elements, attrs, hrefs := parts(t, renderPage(t, r, p))
			require.False(t, elements["iframe"] || elements["img"] || elements["object"], s)
			require.False(t, attrs["a onclick"] || attrs["input onfocus"] || attrs["a onmouseover"] || attrs["input onclick"], s)
			for _, href := range hrefs {
				require.Regexp(t, `^(/am/|#|https?://)`, href)
			}
		}
	}
}

func TestWeightOfThePast(t *testing.T) {
	r := newRenderer(t)
	present := zipped([]byte(renderPage(t, r, listPage(t, fixture.Groups(night), "", nil))))
	past := zipped([]byte(renderPage(t, r, listPage(t, fixture.Groups(night), "", goBack))))
	t.Logf("present %d, past %d bytes zipped", present, past)
	require.LessOrEqual(t, past, present+600)
}
