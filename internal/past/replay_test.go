package past_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/grouping"
	"muster/history"
	"muster/storage"
)

// live drives a manager with a clock of its own, and remembers what it showed after each step.
type live struct {
	t       *rapid.T
	storage *storage.Memory
	manager *grouping.Manager
	opts    grouping.Options
	now     time.Time
	shown   []moment
}

// moment is the state after a step.
type moment struct {
	at     time.Time
	step   string
	groups []*grouping.AlertGroup
}

const source = "default"

func newLive(t *rapid.T) *live {
	opts := storage.DefaultMemoryOptions()
	l := &live{t: t, storage: storage.NewMemory(opts), opts: grouping.DefaultOptions, now: time.Now().UTC().Truncate(time.Second)}
	l.opts.MaxAlerts = rapid.SampledFrom([]int{3, 100}).Draw(t, "maximum of alerts")
	l.opts.MaxGroups = rapid.SampledFrom([]int{2, 100}).Draw(t, "maximum of groups")
	l.opts.Receivers = []grouping.SourceReceiver{{Source: source, Receiver: "team"}}
	l.restart()
	return l
}

func (l *live) restart() {
	clock := grouping.NewClockOf(func() time.Time { return l.now }, func() time.Duration { return 0 })
	var err error
	l.manager, err = grouping.NewManager(l.storage, clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), l.opts)
	require.NoError(l.t, err)
	_, err = l.manager.RestoreGroups(l.t.Context())
	require.NoError(l.t, err)
}

// remember remembers the state, and lets some time pass.
func (l *live) remember(step string) {
	groups, err := l.manager.All(l.t.Context())
	require.NoError(l.t, err)
	l.shown = append(l.shown, moment{l.now, step, groups})
	l.now = l.now.Add(rapid.SampledFrom([]time.Duration{
		time.Millisecond, 3 * time.Second, 20 * time.Second, 2 * time.Minute, 6 * time.Minute, 5 * time.Hour, 26 * time.Hour, 8 * 24 * time.Hour,
	}).Draw(l.t, "pause"))
}

func labelsOf(pairs ...string) grouping.Labels {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return grouping.NewLabels(m)
}

func (l *live) key() grouping.Key {
	keys := []string{"{}:{g=\"a\"}", "{}:{g=\"b\"}", "{}/{x}:{g=\"a\"}"}
	return grouping.Key{Source: source, Receiver: "team", GroupKey: rapid.SampledFrom(keys).Draw(l.t, "key")}
}

func groupLabels(k grouping.Key) grouping.Labels {
	return labelsOf("g", k.GroupKey[len(k.GroupKey)-3:len(k.GroupKey)-2])
}

// alert draws an alert of a group.
func (l *live) alert(k grouping.Key) grouping.NotifiedAlert {
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(l.t, "alert")
	a := grouping.NotifiedAlert{
		Status: grouping.StatusFiring, GeneratorURL: rapid.SampledFrom([]string{"", "http://prometheus"}).Draw(l.t, "generator"),
		Labels: labelsOf("g", groupLabels(k).Get("g"), "alertname", name,
			"severity", rapid.SampledFrom([]string{"critical", "warning"}).Draw(l.t, "severity")),
		Annotations: labelsOf("summary", rapid.SampledFrom([]string{"1", "2"}).Draw(l.t, "summary")),
		StartsAt: l.now.Add(-rapid.SampledFrom([]time.Duration{
			time.Second, time.Minute, 6 * time.Minute, time.Hour, 27 * time.Hour,
		}).Draw(l.t, "age")).Truncate(time.Hour),
	}
	if rapid.IntRange(0, 3).Draw(l.t, "own start") == 0 {
		a.StartsAt = l.now.Add(-time.Second)
	}
	a.Fingerprint = grouping.Fingerprint(fmt.Sprintf("%016x", name+groupLabels(k).Get("g"))[:16])
	if rapid.IntRange(0, 2).Draw(l.t, "ends") == 0 {
		ago := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Minute}).Draw(l.t, "end")
		a.Status, a.EndsAt = grouping.StatusResolved, l.now.Add(-ago)
	}
	return a
}

func (l *live) notify() {
	k := l.key()
	n := grouping.Notification{
		Key: k, GroupLabels: groupLabels(k), ExternalURL: rapid.SampledFrom([]string{"http://am-0", "http://am-1"}).Draw(l.t, "sender"),
		CommonLabels: groupLabels(k), Truncated: uint64(max(0, rapid.IntRange(-3, 1).Draw(l.t, "truncated"))), Reason: "first",
	}
	for range rapid.IntRange(0, 4).Draw(l.t, "alerts") {
		n.Alerts = append(n.Alerts, l.alert(k))
	}
	if len(n.Alerts) > 0 {
		n.CommonAnnotations = n.Alerts[0].Annotations
	}
	if rapid.Bool().Draw(l.t, "common") { // as Alertmanager says it
		shared := func(of func(i int) grouping.Labels) grouping.Labels { return grouping.SharedLabels(len(n.Alerts), of) }
		n.CommonLabels = shared(func(i int) grouping.Labels { return n.Alerts[i].Labels })
		n.CommonAnnotations = shared(func(i int) grouping.Labels { return n.Alerts[i].Annotations })
	}
	if rapid.IntRange(0, 3).Draw(l.t, "route") == 0 {
		n.RouteLabels = labelsOf("route", "x")
	}
	_, err := l.manager.Ingest(l.t.Context(), n)
	if err != nil {
		require.ErrorAs(l.t, err, new(*grouping.FullError))
	}
}

func (l *live) mute() grouping.Mute {
	return grouping.Mute{
		Kind: rapid.SampledFrom(grouping.MuteKinds()).Draw(l.t, "kind"), ID: rapid.SampledFrom([]string{"s1", "s2"}).Draw(l.t, "mute"),
		Rule: rapid.SampledFrom([]string{"", "rule"}).Draw(l.t, "rule"),
	}
}

// heardAt draws the time of an observation.
func (l *live) heardAt() time.Time {
	return l.now.Add(-rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, time.Minute, 10 * time.Minute}).Draw(l.t, "delay"))
}

func (l *live) observe() {
	k := l.key()
	group := grouping.ObservedGroup{Receiver: k.Receiver, GroupKey: k.GroupKey, GroupLabels: groupLabels(k)}
	var all []grouping.Observation
	for range rapid.IntRange(1, 3).Draw(l.t, "observations") {
		o := grouping.Observation{Origin: grouping.OriginEvent, Instance: "am-0", At: l.heardAt()}
		a := l.alert(k)
		switch rapid.IntRange(0, 3).Draw(l.t, "what") {
		case 0:
			o.Muted = &grouping.ObservedMute{Fingerprint: a.Fingerprint, Labels: a.Labels, Mute: l.mute()}
		case 1:
			o.Delivery = &grouping.ObservedDelivery{
				Group: group, Delivery: grouping.Delivery{Receiver: "team", Integration: "slack", Flush: fmt.Sprint(l.now.UnixNano())},
				Firing: []grouping.Fingerprint{a.Fingerprint},
			}
		default:
			o.Alert = &grouping.ObservedAlert{Group: group, Alert: a, Final: rapid.Bool().Draw(l.t, "final")}
		}
		all = append(all, o)
	}
	require.NoError(l.t, l.manager.Observe(l.t.Context(), source, all))
}

func (l *live) poll() {
	p := grouping.Poll{At: l.heardAt(), StartedAt: l.now.Add(-24 * time.Hour), Complete: rapid.IntRange(0, 3).Draw(l.t, "complete") > 0}
	for range rapid.IntRange(0, 3).Draw(l.t, "listed") {
		k := l.key()
		a := l.alert(k)
		a.Status, a.EndsAt = grouping.StatusFiring, time.Time{}
		oa := grouping.ObservedAlert{Group: grouping.ObservedGroup{Receiver: k.Receiver, GroupLabels: groupLabels(k)}, Alert: a, Listed: true}
		for range rapid.IntRange(0, 2).Draw(l.t, "mutes") {
			oa.Mutes = append(oa.Mutes, l.mute())
		}
		p.Alerts = append(p.Alerts, oa)
	}
	url := rapid.SampledFrom([]string{"http://am-0", "http://am-1"}).Draw(l.t, "polled")
	require.NoError(l.t, l.manager.ObservePoll(l.t.Context(), source, url, p))
}

func (l *live) silences() {
	s := grouping.Silence{
		ID: rapid.SampledFrom([]string{"s1", "s2"}).Draw(l.t, "silence"), StartsAt: l.now.Add(-time.Hour),
		EndsAt: l.now.Add(rapid.SampledFrom([]time.Duration{-time.Minute, time.Minute, 24 * time.Hour}).Draw(l.t, "ends")), UpdatedAt: l.now,
	}
	require.NoError(l.t, l.manager.ObserveSilences(l.t.Context(), source, "http://am-0", l.now, []grouping.Silence{s}))
}

func (l *live) remove() {
	k := l.key()
	err := l.manager.RemoveAlertFromGroup(l.t.Context(), k.ID(), l.alert(k).Fingerprint)
	if err != nil {
		require.ErrorIs(l.t, err, grouping.ErrGroupNotFound)
	}
}

func (l *live) add() {
	k := l.key()
	if _, err := l.manager.AddAlertToGroup(l.t.Context(), k, l.alert(k)); err != nil {
		require.ErrorAs(l.t, err, new(*grouping.FullError))
	}
}

// person lets a person write. What is refused or repeated changes nothing.
func (l *live) person() {
	groups, err := l.manager.All(l.t.Context())
	require.NoError(l.t, err)
	if len(groups) == 0 {
		return
	}
	slices.SortFunc(groups, func(x, y *grouping.AlertGroup) int { return cmp.Compare(x.ID, y.ID) })
	g := rapid.SampledFrom(groups).Draw(l.t, "group")
	id, by := g.ID, grouping.Person{Name: rapid.SampledFrom([]string{"mira", "jo"}).Draw(l.t, "person")}
	switch rapid.SampledFrom([]string{"ack", "ack", "undo", "note", "close"}).Draw(l.t, "what") {
	case "ack":
		r := grouping.AckRequest{By: by, Note: "on it", Episode: g.Opened}
		if rapid.Bool().Draw(l.t, "ends") {
			r.Until = l.now.Add(time.Hour)
		}
		_, err = l.manager.Acknowledge(l.t.Context(), id, r)
	case "undo":
		if len(g.Acks) > 0 {
			_, err = l.manager.Unacknowledge(l.t.Context(), id, grouping.UnackRequest{By: by, Ack: rapid.SampledFrom(g.Acks).Draw(l.t, "ack").ID})
		}
	case "note":
		_, err = l.manager.AddNote(l.t.Context(), id, grouping.NoteRequest{
			By: by, ID: rapid.SampledFrom([]string{"", "x"}).Draw(l.t, "id"), Text: "text",
		})
	case "close":
		_, err = l.manager.Close(l.t.Context(), id, grouping.CloseRequest{By: by})
	}
	if err != nil {
		require.ErrorIs(l.t, err, grouping.ErrEpisodeOver)
	}
}

func (l *live) flush() {
	_, err := l.manager.CleanupExpiredGroups(l.t.Context())
	require.NoError(l.t, err)
}

// run makes random steps.
func (l *live) run() {
	steps := map[string]func(){
		"notify": l.notify, "notify again": l.notify, "observe": l.observe, "poll": l.poll, "silences": l.silences,
		"remove": l.remove, "add": l.add, "flush": l.flush, "restart": l.restart,
		"person": l.person, "person again": l.person,
	}
	names := slices.Sorted(maps.Keys(steps))
	for range rapid.IntRange(1, 14).Draw(l.t, "steps") {
		step := rapid.SampledFrom(names).Draw(l.t, "step")
		steps[step]()
		l.remember(step)
	}
}

// shownAlert and shownGroup are what must be equal then and now.
type shownAlert struct {
	Status, Shown              grouping.Status
	Labels, Annotations        map[string]string
	GeneratorURL               string
	Starts, Ends, Gone, GoneBy string
	Changed                    string
	Mutes                      []string
}

type shownGroup struct {
	Key                                           grouping.Key
	GroupLabels, Common, CommonAnnotations, Route map[string]string
	ExternalURL, Name                             string
	State                                         grouping.State
	Counts                                        grouping.Counts
	Severity                                      grouping.Severity
	Severities                                    map[string]int
	Newest                                        string
	Stale                                         bool
	Truncated                                     uint64
	LastNotified                                  string
	Opened                                        grouping.Stamp
	ClosedBy                                      string
	Acks, Notes                                   []string
	Acknowledged                                  string
	Alerts                                        map[grouping.Fingerprint]shownAlert
}

func shown(groups []*grouping.AlertGroup, at time.Time) map[grouping.ID]shownGroup {
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	all := map[grouping.ID]shownGroup{}
	for _, g := range groups {
		s := shownGroup{
			Key: g.Key, GroupLabels: maps.Collect(g.GroupLabels.All()), Common: maps.Collect(g.CommonLabels.All()),
			CommonAnnotations: maps.Collect(g.CommonAnnotations.All()), Route: maps.Collect(g.RouteLabels.All()),
			ExternalURL: g.ExternalURL, Name: g.Name, State: g.State, Counts: g.Counts, Severity: g.Severity, Severities: maps.Clone(g.Severities),
			Newest: text(g.NewestAt), Stale: g.Stale, Truncated: g.Truncated, LastNotified: text(g.LastNotifiedAt),
			Alerts: map[grouping.Fingerprint]shownAlert{}, Opened: g.Opened,
		}
		if c := g.ClosedBy; c != nil {
			s.ClosedBy = c.Name + text(c.At)
		}
		for _, a := range g.Acks {
			s.Acks = append(s.Acks, fmt.Sprint(a.ID, a.Person, text(a.At), text(a.Until), a.Note, a.Episode, a.Undone))
		}
		for _, n := range g.Notes {
			s.Notes = append(s.Notes, fmt.Sprint(n.ID, n.Person, text(n.At), n.Text))
		}
		if a := g.Ack(at); a != nil {
			s.Acknowledged = fmt.Sprint(a.ID, " new since: ", g.NewSince(a))
		}
		for _, a := range g.Alerts {
			sa := shownAlert{
				Status: a.Status, Shown: a.ShownStatus(), Labels: maps.Collect(a.Labels.All()), Annotations: maps.Collect(a.Annotations.All()),
				GeneratorURL: a.GeneratorURL, Starts: text(a.StartsAt), Ends: text(a.EndsAt), Gone: text(a.GoneFrom), GoneBy: text(a.GoneBy),
				Changed: text(a.ChangedAt),
			}
			for _, m := range slices.Concat(a.Mutes(), a.EndedMutes()) {
				sa.Mutes = append(sa.Mutes, fmt.Sprint(m.Kind, m.ID, m.Rule, m.From, text(m.Since), text(m.Ended)))
			}
			s.Alerts[a.Fingerprint] = sa
		}
		all[g.ID] = s
	}
	return all
}

// at returns the state at a time, replayed from the base.
func (l *live) at(base history.Base, from, t time.Time) []*grouping.AlertGroup {
	ctx := l.t.Context()
	wall, err := history.At(base, l.manager.StreamEvents(ctx, from), t, func(events []grouping.Event) (map[string]grouping.Content, error) {
		return l.manager.Contents(ctx, events)
	})
	require.NoError(l.t, err)
	return wall.Groups
}

// checkpoint returns what was shown at a moment, after it was stored as a checkpoint.
func (l *live) checkpoint(m moment) []*grouping.AlertGroup {
	c := grouping.Checkpoint{Stamp: l.manager.Stamp(), Groups: m.groups}
	data, err := c.Encode()
	require.NoError(l.t, err)
	now := map[grouping.ID]*grouping.AlertGroup{}
	groups, err := l.manager.All(l.t.Context())
	require.NoError(l.t, err)
	if rapid.Bool().Draw(l.t, "shared") {
		for _, g := range groups {
			now[g.ID] = g
		}
	}
	read, err := grouping.DecodeCheckpoint(data, func(id grouping.ID) *grouping.AlertGroup { return now[id] })
	require.NoError(l.t, err)
	return read.Groups
}

// The state that is replayed is the one that was live at that moment, whatever happened. This
// also holds from a checkpoint in between, and if events before it come again.
func TestTheReplayedStateIsThatOfThatTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLive(t)
		l.run()
		base := rapid.IntRange(0, len(l.shown)-1).Draw(t, "base")
		groups := l.checkpoint(l.shown[base])
		for i, m := range l.shown {
			require.Equal(t, shown(m.groups, m.at), shown(l.at(history.Base{}, time.Time{}, m.at), m.at),
				"after step %d (%s) at %s", i, m.step, m.at)
			if i < base {
				continue
			}
			from := l.shown[base].at.Add(-rapid.SampledFrom([]time.Duration{0, time.Minute, 100 * time.Hour}).Draw(t, "before"))
			require.Equal(t, shown(m.groups, m.at), shown(l.at(history.Base{Groups: groups}, from, m.at), m.at),
				"after step %d (%s) at %s, from step %d", i, m.step, m.at, base)
			wall := history.Base{Groups: l.at(history.Base{}, time.Time{}, l.shown[base].at), Until: l.shown[base].at}
			require.Equal(t, shown(m.groups, m.at), shown(l.at(wall, wall.Until, m.at), m.at),
				"after step %d (%s) at %s, from the wall at step %d", i, m.step, m.at, base)
		}
	})
}
