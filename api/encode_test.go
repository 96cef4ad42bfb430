package api

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/grouping"
)

// anyText draws strings that package json escapes in every way, at every position of the
// eight bytes that are compared at once.
var anyText = rapid.Custom(func(t *rapid.T) string {
	part := rapid.SampledFrom([]string{
		"", "a", "Down", "http://p/graph?a=1&b=2", "<b>", "é", "\"", `\`, "\n", "\b", "\x00", "\x1f", " ", "\x7f",
		"\u2028", "\ufffd", "\xff", "\xe2\x80", "😀", "01234567", "0123456789abcdef",
	})
	return strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, "parts"), "")
})

var anyTime = rapid.SampledFrom([]time.Time{
	{},
	time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 3, 0, 0, 120, time.UTC),
	time.Date(2026, 11, 23, 3, 0, 0, 0, time.FixedZone("", 3600)), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
})

var anyLabels = rapid.Custom(func(t *rapid.T) grouping.Labels {
	return grouping.NewLabels(rapid.MapOfN(anyText, anyText, 0, 4).Draw(t, "map"))
})

func drawAlert(t *rapid.T) *grouping.Alert {
	a := &grouping.Alert{
		Fingerprint: grouping.Fingerprint(anyText.Draw(t, "fingerprint")), Labels: anyLabels.Draw(t, "labels"),
		Status:      rapid.SampledFrom(grouping.Statuses()).Draw(t, "status"),
		Annotations: anyLabels.Draw(t, "annotations"), GeneratorURL: anyText.Draw(t, "URL"),
		StartsAt: anyTime.Draw(t, "start"), EndsAt: anyTime.Draw(t, "end"), FirstSeenAt: anyTime.Draw(t, "first"),
		LastSeenAt: anyTime.Draw(t, "last"), Disputed: rapid.Bool().Draw(t, "disputed"), Unnotified: rapid.Bool().Draw(t, "unnotified"),
		GoneFrom: anyTime.Draw(t, "gone from"), GoneBy: anyTime.Draw(t, "gone by"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "episodes") {
		a.Recorded = append(a.Recorded, grouping.Episode{StartsAt: anyTime.Draw(t, "episode start"), EndsAt: anyTime.Draw(t, "episode end")})
	}
	if rapid.IntRange(0, 4).Draw(t, "Grafana") == 0 {
		a.Grafana = &grouping.Grafana{
			PanelURL: anyText.Draw(t, "panel"), Values: map[string]float64{"A": 1.5}, ValueString: anyText.Draw(t, "value"),
		}
	}
	return a
}

func drawMutes(t *rapid.T) (mutes []grouping.Mute) {
	for range rapid.IntRange(1, 3).Draw(t, "mutes") {
		mutes = append(mutes, grouping.Mute{
			Kind: rapid.SampledFrom(grouping.MuteKinds()).Draw(t, "kind"), ID: anyText.Draw(t, "mute ID"), Rule: anyText.Draw(t, "rule"),
			Since: anyTime.Draw(t, "since"), Ended: anyTime.Draw(t, "ended"), From: grouping.OriginAPI,
		})
	}
	return mutes
}

func drawGroup(t *rapid.T) *grouping.AlertGroup {
	number := rapid.IntRange(0, 1000)
	g := grouping.AlertGroup{ID: grouping.ID(anyText.Draw(t, "ID")), Version: -1, Notifications: int64(number.Draw(t, "notifications"))}
	g.Source, g.Receiver, g.GroupKey = anyText.Draw(t, "source"), anyText.Draw(t, "receiver"), anyText.Draw(t, "key")
	g.GroupLabels, g.CommonLabels = anyLabels.Draw(t, "group labels"), anyLabels.Draw(t, "common labels")
	g.CommonAnnotations, g.RouteLabels = anyLabels.Draw(t, "common annotations"), anyLabels.Draw(t, "route labels")
	g.ExternalURL, g.LastReason = anyText.Draw(t, "URL"), anyText.Draw(t, "reason")
	g.Settling, g.Stale = rapid.Bool().Draw(t, "settling"), rapid.Bool().Draw(t, "stale")
	g.Truncated = uint64(number.Draw(t, "truncated"))
	g.CreatedAt, g.UpdatedAt = anyTime.Draw(t, "created"), anyTime.Draw(t, "updated")
	g.LastNotifiedAt, g.CompleteAt = anyTime.Draw(t, "notified"), anyTime.Draw(t, "complete")
	for range rapid.IntRange(0, 3).Draw(t, "alerts") {
		g.Alerts = append(g.Alerts, drawAlert(t))
	}
	for _, a := range g.Alerts {
		same := func(m *grouping.AlertMutes) bool { return m.Fingerprint == a.Fingerprint }
		if rapid.Bool().Draw(t, "muted") && !slices.ContainsFunc(g.Mutes, same) {
			g.Mutes = append(g.Mutes, &grouping.AlertMutes{Fingerprint: a.Fingerprint, Mutes: drawMutes(t)})
		}
	}
	drawPeople(t, &g)
	slices.SortFunc(g.Mutes, func(x, y *grouping.AlertMutes) int { return cmp.Compare(x.Fingerprint, y.Fingerprint) })
	return grouping.NewAlertGroup(g)
}

// drawPeople sets what people wrote, in some groups.
func drawPeople(t *rapid.T, g *grouping.AlertGroup) {
	if !rapid.Bool().Draw(t, "people") {
		return
	}
	by := grouping.Person{Name: anyText.Draw(t, "name"), Verified: rapid.Bool().Draw(t, "verified")}
	g.Opened = grouping.Stamp(anyText.Draw(t, "episode"))
	g.Acks = []*grouping.Ack{{
		ID: anyText.Draw(t, "ack"), Person: by, At: anyTime.Draw(t, "acknowledged"), Until: anyTime.Draw(t, "until"),
		Note: anyText.Draw(t, "text"), Stamp: "1",
	}}
	g.Notes = []*grouping.Note{{ID: anyText.Draw(t, "note"), Person: by, At: anyTime.Draw(t, "noted"), Text: anyText.Draw(t, "note text")}}
	if rapid.Bool().Draw(t, "closed") {
		g.ClosedBy = &grouping.Closing{Person: by, At: anyTime.Draw(t, "closed at")}
	}
}

// drawEvent draws an event. It can have details of several kinds, a real event has those of its own.
func drawEvent(t *rapid.T) *grouping.Event {
	drawn := func(name string) bool { return rapid.IntRange(0, 4).Draw(t, name) == 0 }
	count := rapid.IntRange(0, 1000)
	e := &grouping.Event{
		ID: anyText.Draw(t, "ID"), Time: anyTime.Draw(t, "time"), Kind: rapid.SampledFrom(grouping.EventKinds()).Draw(t, "kind"),
		GroupID: grouping.ID(anyText.Draw(t, "group")), Source: anyText.Draw(t, "source"), Receiver: anyText.Draw(t, "receiver"),
		Fingerprint: grouping.Fingerprint(anyText.Draw(t, "fingerprint")), Labels: anyLabels.Draw(t, "labels"),
		Was:      rapid.SampledFrom(append(grouping.Statuses(), "")).Draw(t, "was"),
		StartsAt: anyTime.Draw(t, "start"), EndsAt: anyTime.Draw(t, "end"),
	}
	if rapid.Bool().Draw(t, "notified") {
		e.Notified = &grouping.Notified{
			Reason: anyText.Draw(t, "reason"), ExternalURL: anyText.Draw(t, "URL"),
			Firing: count.Draw(t, "firing"), Resolved: count.Draw(t, "resolved"), Truncated: uint64(count.Draw(t, "truncated")),
		}
	}
	if drawn("muted") {
		e.Mute = &drawMutes(t)[0]
	}
	if drawn("delivered") {
		e.Delivery = &grouping.Delivery{Receiver: anyText.Draw(t, "receiver of the delivery"), Firing: count.Draw(t, "delivered alerts")}
	}
	if drawn("gap") {
		e.Gap = &grouping.Gap{From: anyTime.Draw(t, "from"), To: anyTime.Draw(t, "to")}
	}
	if drawn("people") {
		e.People = &grouping.PeopleDetail{Text: anyText.Draw(t, "text"), Until: anyTime.Draw(t, "until")}
	}
	if drawn("silence") {
		e.Silence = &grouping.SilenceChange{ID: anyText.Draw(t, "silence"), EndsAt: anyTime.Draw(t, "end of the silence")}
	}
	return e
}

// anyDetails knows every silence.
type anyDetails struct{}

func (anyDetails) SilenceOf(source, id string) *grouping.Silence {
	return &grouping.Silence{ID: id, CreatedBy: "<" + source + ">", Comment: id, EndsAt: time.Unix(1_800_000_000, 0)}
}

func (anyDetails) MuteSeen(string, grouping.Fingerprint, grouping.Mute) time.Time {
	return time.Unix(1_800_000_000, 5)
}

// Groups, alerts and events are encoded as package json encodes them.
func TestAnswersAreEncodedAsByPackageJSON(t *testing.T) {
	e := &encoder{mutes: anyDetails{}}
	check := func(t *rapid.T, view any, encode func() error) {
		want, wantErr := json.Marshal(view)
		e.text = append(e.text[:0], "before"...)
		err := encode()
		require.Equal(t, wantErr == nil, err == nil)
		if err == nil {
			require.Equal(t, "before"+string(want), string(e.text))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		event := drawEvent(t)
		check(t, viewEvent(event), func() error { return e.event(event) })
		g := drawGroup(t)
		e.now, e.withNotes = anyTime.Draw(t, "now"), rapid.Bool().Draw(t, "with notes")
		check(t, viewGroup(g, e.now, e.withNotes), func() error { return e.group(g) })
		for _, a := range g.Alerts {
			check(t, viewAlert(g, a, e.mutes), func() error { return e.alert(g, a) })
		}
	})
}
