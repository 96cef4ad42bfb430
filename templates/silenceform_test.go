package templates

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates/internal/fixture"
)

// writable makes a site on which people may silence.
func writable(s *Site) { s.Silencing.Sources, s.GroupInterval = []string{"default"}, 5*time.Minute }

// formInput returns the input of the form for a new silence with a preview.
func formInput(muted []*grouping.AlertGroup, values url.Values) *SilenceFormInput {
	in := &SilenceFormInput{
		Form: query.ParseSilenceForm(values), By: grouping.Person{Name: "oncall", Verified: true}, Firings: 31, FiredAlerts: 12, Group: muted[1],
	}
	in.Form.Source = "default"
	if in.Form.Err == nil && len(in.Form.Matchers) > 0 {
		p := grouping.PreviewSilence(muted, "default", in.Form.Matchers, muted[1].ID)
		in.Preview = &p
	}
	return in
}

// silencingStates returns the pages on which people silence.
func silencingStates(t testing.TB, groups []*grouping.AlertGroup) map[string]Page {
	muted := append(fixture.Muted(night), groups...)
	form := func(values url.Values, change func(*Site, *SilenceFormInput)) Page {
		s, in := newSite(muted), formInput(muted, values)
		if writable(s); change != nil {
			change(s, in)
		}
		return NewSilenceFormPage(s, in)
	}
	silence := func(id string, change func(*Site, *grouping.SilenceInfo)) Page {
		for _, of := range fixture.SilencePage(night, muted).Silences {
			if of.ID == id {
				s, own := newSite(muted), *of.Silence
				of.Silence = &own
				if writable(s); change != nil {
					change(s, &of)
				}
				return NewSilencePage(s, of, nil)
			}
		}
		t.Fatalf("no silence %s", id)
		return nil
	}
	shop := url.Values{"filter": {`alertname="KubePodCrashLooping", namespace="shop"`}}
	dana := grouping.Person{Name: "dana", Verified: true}
	group := newSite(muted)
	writable(group)
	refused := silence(fixture.Mira, nil)
	refused.(*SilencePage).Refuse(400, "am-0 refused:", "bad matcher")
	badEnd := silence(fixture.Mira, nil)
	badEnd.(*SilencePage).Refuse(400, "", "")
	badEnd.(*SilencePage).RefuseEnd(query.ParseExtendForm(url.Values{"length": {"soon"}}), "soon is not a duration.")
	return map[string]Page{
		"newsilence": form(shop, nil),
		"newempty":   form(nil, nil),
		"newbad": form(url.Values{"filter": {`a=="b"`}, "for": {"other"}}, func(_ *Site, in *SilenceFormInput) {
			in.Checked, in.Status = true, 400
		}),
		"newwide": form(url.Values{"filter": {`severity="critical"`}, "for": {"until"}, "until": {"2026-11-23T09:00"}}, nil),
		"newunverified": form(shop, func(s *Site, in *SilenceFormInput) {
			s.Silencing.Sources = []string{"default", "edge"}
			in.By, in.BadName, in.Status, in.Firings = grouping.Person{}, "a name is required", 400, 0
			in.Since = night.Add(-time.Hour)
		}),
		"newrefused": form(shop, func(_ *Site, in *SilenceFormInput) {
			in.Status, in.Problem, in.Answered, in.Firings = 400, "am-0:9093 refused:", "bad matcher", -1
		}),
		"newcannot": form(shop, func(s *Site, _ *SilenceFormInput) { s.Sources[0].Pollers = s.Sources[0].Pollers[1:] }),
		"notallowed": func() Page {
			return NewRefusedPage(newSite(muted), 403, "only people whose names are verified may change silences, so sign in")
		}(),
		"silencewrite": silence(fixture.Mira, func(_ *Site, of *grouping.SilenceInfo) {
			of.Write = &grouping.SilenceWrite{By: dana, Kind: grouping.EventSilenceChanged, At: night.Add(-3 * time.Second)}
		}),
		"silencelong": silence(fixture.Rob, func(_ *Site, of *grouping.SilenceInfo) {
			by := grouping.Person{Name: of.CreatedBy, Verified: true}
			of.Write = &grouping.SilenceWrite{By: by, Kind: grouping.EventSilenceCreated, At: night.Add(-time.Hour), Confirmed: true}
		}),
		"silencewaiting": silence(fixture.Next, func(s *Site, _ *grouping.SilenceInfo) { s.Silencing.AsksName = true }),
		"silenceagain": silence(fixture.Old, func(_ *Site, of *grouping.SilenceInfo) {
			of.Write = &grouping.SilenceWrite{By: dana, Kind: grouping.EventSilenceExpired, At: night, Confirmed: true}
		}),
		"silencerefused": refused,
		"silencebadend":  badEnd,
		"silenceswrite":  silencesPage(t, "", muted, muted, writable),
		"groupwrite":     NewGroupPage(group, GroupView{Range: rangeEpisode}, muted[1], fixture.Events(muted[1])),
	}
}

// Each state of the pages on which people silence shows its texts.
func TestSilencingStates(t *testing.T) {
	r := newRenderer(t)
	pages := silencingStates(t, fixture.Groups(night))
	for name, want := range map[string][]string{
		"newsilence": {
			"← KubePodCrashLooping", "2h: until 05:02 UTC", "oncallverified by your sign-in", "Would mute 4 alerts now",
			"4 critical, in 1 group; 2 more are suppressed already; 2 more are unreported",
			"In the last 7 days these matchers would have muted 31 firings of 12 alerts. Show them",
		},
		"newempty":   {"New silence", "All of them must match."},
		"newbad":     {"Invalid matchers:", "Say how long it lasts, such as 90m or 3d.", "Say why, and name a ticket if there is one."},
		"newwide":    {"These matchers also match", "other groups:", "5h 57m: until 09:00 UTC"},
		"newrefused": {"am-0:9093 refused: bad matcher"},
		"newunverified": {
			"Source", "A name is required.", "Muster cannot verify this name.",
			"Since 02:02 UTC, when the history begins, these matchers would have muted 0 firings.",
		},
		"newcannot":  {"alertmanager-1.example.net:9093 does not answer. Nothing can be created now.", "Would mute 4 alerts now"},
		"notallowed": {"Only people whose names are verified may change silences, so sign in."},
		"silencewrite": {
			"Changed 3s ago. Alertmanager has not confirmed it yet.", "End at (UTC)", "in 4h, 07:02", "Expire now…",
			"2 critical alerts will be notified again, within the group interval (5m).", "Copy to a new one…", "In Alertmanager",
			"changed by dana, Nov 23 03:02 UTC",
		},
		"silencelong":    {"a day later, Dec 22 08:02"},
		"silencewaiting": {"It has not begun, so it mutes nothing."},
		"silenceagain":   {"Again…"},
		"silencerefused": {"am-0 refused: bad matcher"},
		"silencebadend":  {"soon is not a duration.", "or in", "or at a time in UTC"},
		"silenceswrite":  {"New silence…", "Again… as mira: OPS-398"},
		"groupwrite":     {"Silence…"},
	} {
		page := renderPage(t, r, pages[name])
		said := text(t, page)
		for _, w := range want {
			require.Contains(t, said, w, name)
		}
		checkStructure(t, "report "+name, strings.Replace(page, "data-live", "data-was-live", 1))
	}
	require.Equal(t, "as typed in Alertmanager", pages["silencewrite"].(*SilencePage).Facts[0].Remark, "another person changed it")
	require.Empty(t, pages["silencelong"].(*SilencePage).Facts[0].Remark, "Muster verified the name")
	require.Equal(t, 403, pages["notallowed"].Code())
	require.Equal(t, 400, pages["newbad"].Code())
	require.Equal(t, 200, pages["newsilence"].Code())
	for _, name := range []string{"newsilence", "newrefused", "silencerefused"} {
		require.NotContains(t, renderPage(t, r, pages[name]), "data-live=", name)
	}
	require.NotContains(t, renderPage(t, r, pages["newcannot"]), `method="post"`)
	require.Contains(t, renderPage(t, r, pages["groupwrite"]), `href="/am/silences/new?filter=alertname%3D%22KubePodCrashLooping%22`)
	require.NotContains(t, renderPage(t, r, pages["groupwrite"]), "/#/silences/new")
}
