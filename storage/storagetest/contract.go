package storagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"muster/grouping"

	"github.com/stretchr/testify/require"
)

// Run checks each sentence of the contract of grouping.GroupStorage. open
// returns an empty storage that is closed at the end of the test.
func Run(t *testing.T, open func(t *testing.T) grouping.GroupStorage) {
	for name, test := range map[string]func(*testing.T, *Writer){
		"every field is stored":                  contractRoundTrip,
		"not found is an answer":                 contractNotFound,
		"different alerts do not conflict":       contractDifferentAlerts,
		"the same alert conflicts":               contractSameAlert,
		"a conflict writes nothing":              contractConflictWritesNothing,
		"a new group that is already stored":     contractUnexpectedGroup,
		"a change to a group that is not stored": contractMissingGroup,
		"newer fields of the group are kept":     contractMetaKept,
		"exclusive":                              contractExclusive,
		"a repeated write is applied once":       contractRepeated,
		"counters never go back":                 contractCounters,
		"a write of several notifications":       contractJoined,
		"delete":                                 contractDelete,
		"delete a group that changed meanwhile":  contractDeleteConflict,
		"a write older than a deletion":          contractTombstone,
		"a removed alert stays removed":          contractRemoved,
		"a deletion causes no later conflict":    contractDeletedThreshold,
		"people":                                 contractPeople,
		"people: many writers of one group":      contractPeopleAtOnce,
		"keys and size":                          contractKeys,
		"all groups are streamed":                contractLoadAll,
		"StoreAll merges":                        contractStoreAll,
		"values are immutable":                   contractImmutable,
		"a hundred writers of one group":         contractConcurrent,
		"events: pages":                          contractEventPages,
		"events: filters":                        contractEventFilters,
		"events: bounded reads":                  contractBoundedReads,
		"events: written once":                   contractEventsOnce,
		"events: a stream":                       contractEventStream,
		"events: a stream while others write":    contractEventStreamDuringWrites,
		"contents of events":                     contractContents,
		"contents: many in one write":            contractManyContents,
		"contents: pushed":                       contractPushedContents,
		"changed events: apart from others":      contractChangedEvents,
		"changed events: pushed":                 contractPushedChanges,
		"checkpoints":                            contractCheckpoints,
		"events: since when they are all there":  contractHistorySince,
		"a cancelled context changes nothing":    contractCancelled,
		"sources: every field is stored":         contractSourceRoundTrip,
		"sources: records":                       contractSourceRecords,
		"sources: a repeated write":              contractSourceRepeated,
		"sources: are not groups":                contractSourceIsNoGroup,
		"sources: many writers of one":           contractSourceConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, NewWriter(open(t)))
		})
	}
}

// NewWriter returns a writer with its own clock.
func NewWriter(s grouping.GroupStorage) *Writer {
	return &Writer{GroupStorage: s, Clock: grouping.NewClock()}
}

// Writer writes groups to a storage in the same way as grouping.Manager.
type Writer struct {
	grouping.GroupStorage
	*grouping.Clock
}

// Key returns the key of a group.
func Key(name string) grouping.Key {
	return grouping.Key{Source: "default", Receiver: "team", GroupKey: `{}:{alertname="` + name + `"}`}
}

// Fingerprint returns the fingerprint of the alert with the name.
func Fingerprint(name string) grouping.Fingerprint {
	return grouping.NewLabels(map[string]string{"alertname": name}).Fingerprint()
}

// FiringAlert returns an alert that fires and was written at the stamp.
func FiringAlert(name, value string, s grouping.Stamp) *grouping.Alert {
	l := grouping.NewLabels(map[string]string{"alertname": name})
	return &grouping.Alert{
		Fingerprint: l.Fingerprint(), Status: grouping.StatusFiring, Labels: l, Stamp: s,
		Annotations: grouping.NewLabels(map[string]string{"value": value}), StartsAt: s.Time(), ChangedAt: s.Time(),
	}
}

// Change returns a write that puts the alerts, each "name=value", into base.
func (w *Writer) Change(base *grouping.AlertGroup, key grouping.Key, alerts ...[2]string) grouping.Change {
	s := w.Stamp()
	g := grouping.AlertGroup{ID: key.ID(), Meta: grouping.Meta{Key: key, CreatedAt: s.Time()}}
	if base != nil {
		g.Deleted, g.Removed, g.Version, g.Notifications = base.Deleted, base.Removed, base.Version, base.Notifications
		if !base.IsTombstone() {
			g.Meta, g.Alerts = base.Meta, slices.Clone(base.Alerts)
		}
	}
	next := map[grouping.Fingerprint]*grouping.Alert{}
	for _, a := range alerts {
		next[Fingerprint(a[0])] = FiringAlert(a[0], a[1], s)
	}
	g.Alerts = slices.DeleteFunc(g.Alerts, func(old *grouping.Alert) bool { return next[old.Fingerprint] != nil })
	g.Alerts = slices.AppendSeq(g.Alerts, maps.Values(next))
	g.UpdatedAt, g.Stamp = s.Time(), s
	event := grouping.Event{
		ID: string(s) + "000000", Time: s.Time(), Kind: grouping.EventNotified, GroupID: g.ID,
		Source: key.Source, Receiver: key.Receiver, Labels: grouping.NewLabels(map[string]string{"alertname": key.GroupKey}),
	}
	return grouping.Change{
		Group: grouping.NewAlertGroup(g), Base: base, Stamp: s, Events: []grouping.Event{event}, Notified: 1,
	}
}

// Removal returns a write that removes an alert from base.
func (w *Writer) Removal(base *grouping.AlertGroup, name string) grouping.Change {
	c := w.Change(base, base.Key)
	g := *c.Group
	g.Alerts = slices.DeleteFunc(slices.Clone(g.Alerts), func(a *grouping.Alert) bool { return a.Fingerprint == Fingerprint(name) })
	g.Removed = map[grouping.Fingerprint]grouping.Stamp{Fingerprint(name): c.Stamp}
	maps.Copy(g.Removed, base.Removed)
	c.Group = grouping.NewAlertGroup(g)
	return c
}

// MustStore stores a change and returns the group as stored.
func (w *Writer) MustStore(t *testing.T, c grouping.Change) *grouping.AlertGroup {
	t.Helper()
	g, err := w.Store(t.Context(), c)
	require.NoError(t, err)
	return g
}

// MustLoad returns a group that must be stored.
func (w *Writer) MustLoad(t *testing.T, key grouping.Key) *grouping.AlertGroup {
	t.Helper()
	g, err := w.Load(t.Context(), key.ID())
	require.NoError(t, err)
	return g
}

// Add stores alerts in the group with the key, which may exist or not.
func (w *Writer) Add(t *testing.T, key grouping.Key, alerts ...[2]string) *grouping.AlertGroup {
	t.Helper()
	base, err := w.Load(t.Context(), key.ID())
	if err != nil {
		require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	}
	return w.MustStore(t, w.Change(base, key, alerts...))
}

// Conflict checks that the error is a conflict and returns the stored group.
func Conflict(t *testing.T, id grouping.ID, err error) *grouping.AlertGroup {
	t.Helper()
	require.ErrorIs(t, err, grouping.ErrVersionMismatch)
	require.NotErrorIs(t, err, grouping.ErrStorage, "a conflict is not a fault")
	var mismatch *grouping.VersionMismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, id, mismatch.ID)
	return grouping.AsGroup(mismatch.Stored)
}

// Values returns the annotation "value" of each alert, by the name of the alert.
func Values(g *grouping.AlertGroup) map[string]string {
	m := map[string]string{}
	for _, a := range g.Alerts {
		m[a.Name()] = a.Annotations.Get("value")
	}
	return m
}

func a(name, value string) [2]string { return [2]string{name, value} }

func contractRoundTrip(t *testing.T, w *Writer) {
	require.NoError(t, w.Ping(t.Context()))
	s := w.Stamp()
	first := time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	now := time.Date(2026, 11, 23, 3, 4, 5, 123_456_789, time.UTC)
	odd := grouping.NewLabels(map[string]string{"alertname": "Größe ☃ \U0001F525", "empty": "", "quote": `"\<&>` + "\u2028\x00\n", "a": "["})
	key := grouping.Key{Source: "prod", Receiver: "team.a/ü", GroupKey: "{}/{a=~\"b|c\"}:{x=\"\x00\"}"}
	g := grouping.NewAlertGroup(grouping.AlertGroup{
		ID: key.ID(),
		Meta: grouping.Meta{
			Key: key, GroupLabels: odd, CommonLabels: odd, CommonAnnotations: odd, RouteLabels: odd,
			ExternalURL: "http://am:9093/?a=b&c", CreatedAt: now, UpdatedAt: last, LastNotifiedAt: first,
			LastReason: "repeat notification", Truncated: 1<<64 - 1, CompleteAt: now, CompleteBy: "http://am-1",
			Settling: true, Stale: true, FlushAt: now, Stamp: s, Opened: s, Ended: s,
			ClosedBy: &grouping.Closing{Person: grouping.Person{Name: "ü<b>", Verified: true}, At: now},
			Beats:    []grouping.Beat{{By: "http://am:9093", At: now, Since: first, EveryMillis: 300_000}},
		},
		Alerts: []*grouping.Alert{
			{
				Fingerprint: "00000000000000ff", Status: grouping.StatusResolved, Labels: odd, Annotations: odd,
				GeneratorURL: "javascript:alert(1)",
				Grafana:      &grouping.Grafana{PanelURL: "http://grafana/<&>", Values: map[string]float64{"A": -1.5e-9, "ü": 0}},
				StartsAt:     first, EndsAt: last, FirstSeenAt: now, LastSeenAt: now, RecordedAt: now,
				ChangedAt: now, ReportedBy: "http://am-0", Disputed: true,
				Recorded:     []grouping.Episode{{StartsAt: first, EndsAt: now, Stamp: s}, {StartsAt: now, Stamp: s}},
				RemovalStamp: grouping.NewStamp(now.Add(-time.Hour), 7, "00000000000000aa"), Stamp: s,
			},
			{Fingerprint: "ffffffffffffffff", Status: grouping.StatusUnreported, Stamp: s},
			FiringAlert("plain", "", s),
		},
		Acks: []*grouping.Ack{
			{ID: "1", Person: grouping.Person{Name: "ü<b>", Verified: true}, At: now, Until: last, Note: "\x00\"", Episode: s, Stamp: s},
			{
				ID: "2", Person: grouping.Person{Name: "jo"}, At: now, Stamp: s,
				Undone: &grouping.Undone{Person: grouping.Person{Name: "mira"}, At: last},
			},
		},
		Notes:   []*grouping.Note{{ID: "n-1_A", Person: grouping.Person{Name: "jo"}, At: now, Text: "a\nb\u2028", Stamp: s}},
		Removed: map[grouping.Fingerprint]grouping.Stamp{"0123456789abcdef": s},
		Deleted: grouping.NewStamp(now.Add(-2*time.Hour), 65535, "00000000000000bb"),
		Version: 41, Notifications: 1 << 40,
	})
	stored := w.MustStore(t, grouping.Change{Group: g, Stamp: s, Notified: 1})
	for _, got := range []*grouping.AlertGroup{stored, w.MustLoad(t, key)} {
		require.True(t, got.Equal(g), "%+v\n%+v", got, g)
		require.Equal(t, int64(42), got.Version)
		require.Equal(t, int64(1<<40+1), got.Notifications)
		require.Equal(t, []any{g.State, g.Counts, g.Name, g.Severity}, []any{got.State, got.Counts, got.Name, got.Severity})
		require.True(t, g.NewestAt.Equal(got.NewestAt))
	}

	event := grouping.Event{
		ID: string(w.Stamp()) + "000000", Time: now, Kind: grouping.EventNotified, GroupID: key.ID(), Source: "prod",
		Receiver: "team.a/ü", Fingerprint: "00000000000000ff", Labels: odd,
		Was: grouping.StatusUnreported, StartsAt: first, EndsAt: last, ObservedAt: now,
		Opened:   &grouping.Opened{GroupKey: key.GroupKey, ExternalURL: "http://am"},
		Notified: &grouping.Notified{Reason: "first notification", ExternalURL: "http://am", Firing: 1, Resolved: 2, Truncated: 3},
	}
	c := w.Change(stored, key, a("plain", "2"))
	c.Events = []grouping.Event{event}
	w.MustStore(t, c)
	page, err := w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, []grouping.Event{event}, page.Events)
}

func contractNotFound(t *testing.T, w *Writer) {
	injection := grouping.ID(string(Key("none").ID()) + "\r\nFLUSHALL")
	for _, id := range []grouping.ID{Key("none").ID(), "", "../../etc", "*", injection} {
		g, err := w.Load(t.Context(), id)
		require.Nil(t, g)
		require.ErrorIs(t, err, grouping.ErrGroupNotFound)
		require.NotErrorIs(t, err, grouping.ErrStorage, "not found is not a fault")
		var notFound *grouping.GroupNotFoundError
		require.ErrorAs(t, err, &notFound)
		require.Equal(t, id, notFound.ID)
		if id != "" {
			page, err := w.Events(t.Context(), grouping.EventQuery{Group: id})
			require.NoError(t, err)
			require.Empty(t, page)
		}
	}
	c := w.Change(nil, Key("none"), a("x", "1"))
	require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: c.Group, Stamp: w.Stamp()}), "the group is already deleted")
	n, err := w.Size(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

func contractDifferentAlerts(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"), a("y", "1"), a("z", "1"))
	// Three writers start from the same group. A write that contained more than its
	// own changes would undo the changes of the others.
	changeX, changeY, removeZ := w.Change(base, key, a("x", "2")), w.Change(base, key, a("y", "2"), a("new", "1")), w.Removal(base, "z")
	w.MustStore(t, changeX)
	w.MustStore(t, removeZ)
	w.MustStore(t, changeY)
	g := w.MustLoad(t, key)
	require.Equal(t, map[string]string{"x": "2", "y": "2", "new": "1"}, Values(g))
	require.Equal(t, removeZ.Stamp, g.Removed[Fingerprint("z")])
	require.Equal(t, int64(4), g.Version)
	require.Equal(t, int64(4), g.Notifications)
}

func contractSameAlert(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"), a("y", "1"))
	for name, ours := range map[string]grouping.Change{
		"changed":  w.Change(base, key, a("x", "ours")),
		"removed":  w.Removal(base, "x"),
		"new":      w.Change(base, key, a("z", "ours")),
		"two of 3": w.Change(base, key, a("x", "ours"), a("y", "ours"), a("w", "ours")),
	} {
		theirs := w.Add(t, key, a("x", name), a("z", name))
		_, err := w.Store(t.Context(), ours)
		stored := Conflict(t, key.ID(), err)
		merged := grouping.Merge(base, stored)
		touched := "x"
		if name == "new" {
			touched = "z"
		}
		require.True(t, merged.Alert(Fingerprint(touched)).Equal(theirs.Alert(Fingerprint(touched))), name)
		// The merged group can be the base of the next write.
		next := w.Change(merged, key, a(touched, "merged "+name))
		got := grouping.Merge(merged, w.MustStore(t, next))
		require.Equal(t, "merged "+name, Values(got)[touched])
	}
	g := w.MustLoad(t, key)
	require.Equal(t, "1", Values(g)["y"])
	require.NotContains(t, Values(g), "w")

	// Removing and changing the same alert conflict, too.
	base = g
	w.MustStore(t, w.Removal(base, "y"))
	_, err := w.Store(t.Context(), w.Change(base, key, a("y", "2")))
	merged := grouping.Merge(base, Conflict(t, key.ID(), err))
	require.Nil(t, merged.Alert(Fingerprint("y")))
	w.MustStore(t, w.Change(merged, key, a("y", "back")))
	require.Equal(t, "back", Values(w.MustLoad(t, key))["y"], "a removed alert that is reported again must be stored")
}

func contractConflictWritesNothing(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"))
	before := w.Add(t, key, a("x", "2"))
	_, err := w.Store(t.Context(), w.Change(base, key, a("new", "1"), a("x", "3")))
	Conflict(t, key.ID(), err)
	after := w.MustLoad(t, key)
	require.True(t, before.Equal(after))
	require.Equal(t, []int64{2, 2}, []int64{after.Version, after.Notifications})
	page, err := w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
}

func contractUnexpectedGroup(t *testing.T, w *Writer) {
	key := Key("g")
	stored := w.Add(t, key, a("x", "1"))
	_, err := w.Store(t.Context(), w.Change(nil, key, a("y", "1")))
	merged := Conflict(t, key.ID(), err)
	require.True(t, merged.Equal(stored), "the whole group must be returned, because the writer knows nothing of it")
	w.MustStore(t, w.Change(merged, key, a("y", "1")))
	require.Equal(t, map[string]string{"x": "1", "y": "1"}, Values(w.MustLoad(t, key)))
}

// A storage that lost a group must not store a part of it as if it were the whole
// group.
func contractMissingGroup(t *testing.T, w *Writer) {
	key := Key("g")
	lost := w.Change(nil, key, a("x", "1")).Group
	_, err := w.Store(t.Context(), w.Change(lost, key, a("y", "1")))
	if err == nil { // then the whole group is stored
		require.Equal(t, map[string]string{"x": "1", "y": "1"}, Values(w.MustLoad(t, key)))
		return
	}
	stored := Conflict(t, key.ID(), err)
	if _, err := w.Load(t.Context(), key.ID()); err == nil {
		require.True(t, grouping.Merge(lost, stored).Equal(lost), "the storage must contain the group that it lost")
		return
	}
	require.True(t, grouping.Merge(lost, stored).Equal(lost))
}

func contractMetaKept(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"))
	older := w.Change(base, key, a("y", "1"))
	newer := w.Change(base, key, a("z", "1"))
	newer.Group = withReason(newer.Group, "newer")
	older.Group = withReason(older.Group, "older")
	w.MustStore(t, newer)
	returned := w.MustStore(t, older)
	for _, g := range []*grouping.AlertGroup{returned, w.MustLoad(t, key)} {
		require.Equal(t, "newer", g.LastReason)
		require.Equal(t, newer.Stamp, g.Stamp)
		require.Contains(t, Values(g), "y", "the alert must be stored nevertheless")
	}
	newest := w.Change(w.MustLoad(t, key), key)
	newest.Group = withReason(newest.Group, "newest")
	require.Equal(t, "newest", w.MustStore(t, newest).LastReason)
	require.Equal(t, "newest", w.MustLoad(t, key).LastReason)
}

func withReason(g *grouping.AlertGroup, reason string) *grouping.AlertGroup {
	c := *g
	c.LastReason = reason
	return grouping.NewAlertGroup(c)
}

func contractExclusive(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"))
	flush := w.Change(base, key)
	flush.Exclusive = true
	w.MustStore(t, flush)
	second := w.Change(base, key)
	second.Exclusive = true
	_, err := w.Store(t.Context(), second)
	stored := Conflict(t, key.ID(), err)
	require.Equal(t, flush.Stamp, stored.Stamp, "only one of two concurrent flushes may write")
	require.Equal(t, flush.Stamp, w.MustLoad(t, key).Meta.Stamp)

	// An older write conflicts as well: it changed the state that the flush was
	// based on.
	third := w.Change(w.MustLoad(t, key), key)
	third.Exclusive = true
	w.Add(t, key, a("y", "1"))
	_, err = w.Store(t.Context(), third)
	Conflict(t, key.ID(), err)
}

func contractRepeated(t *testing.T, w *Writer) {
	key := Key("g")
	withEvent := w.Change(nil, key, a("x", "1"))
	w.MustStore(t, withEvent)
	g := w.MustStore(t, withEvent)
	require.Equal(t, []int64{1, 1}, []int64{g.Version, g.Notifications})

	silent := w.Change(g, key, a("x", "2"))
	silent.Events = nil
	w.MustStore(t, silent)
	g = w.MustStore(t, silent)
	require.Equal(t, []int64{2, 2}, []int64{g.Version, g.Notifications})

	first := w.Change(g, key, a("x", "3"))
	g = w.MustStore(t, first)
	w.MustStore(t, w.Change(g, key, a("y", "1"))) // another write came in between
	_, err := w.Store(t.Context(), first)
	if err != nil {
		Conflict(t, key.ID(), err) // allowed for a storage that loses no answers
	}
	g = w.MustLoad(t, key)
	require.Equal(t, []int64{4, 4}, []int64{g.Version, g.Notifications})
	require.Equal(t, map[string]string{"x": "3", "y": "1"}, Values(g))

	removed := grouping.Change{Base: g, Stamp: w.Stamp()}
	require.NoError(t, w.Delete(t.Context(), removed))
	require.NoError(t, w.Delete(t.Context(), removed))
}

func contractCounters(t *testing.T, w *Writer) {
	key := Key("g")
	c := w.Change(nil, key, a("x", "1"))
	ahead := *c.Group
	ahead.Version, ahead.Notifications = 100, 50
	c.Group, c.Notified = &ahead, 0
	g := w.MustStore(t, c)
	require.Equal(t, []int64{101, 50}, []int64{g.Version, g.Notifications},
		"counters are at least those of the writer, and only a notification increases them")

	behind := w.Change(g, key, a("x", "2"))
	old := *behind.Group
	old.Version, old.Notifications = 1, 1
	behind.Group = &old
	w.MustStore(t, behind)
	g = w.MustLoad(t, key)
	require.Equal(t, []int64{102, 51}, []int64{g.Version, g.Notifications})
}

func contractConcurrent(t *testing.T, w *Writer) {
	key := Key("g")
	const writers = 100
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			c := w.Change(nil, key, a(fmt.Sprint(i), "1"), a(fmt.Sprint("shared ", i%10), fmt.Sprint(i)))
			for try := range 10 * writers {
				_, err := w.Store(context.Background(), c)
				var mismatch *grouping.VersionMismatchError
				switch {
				case err == nil:
					return
				case errors.As(err, &mismatch):
					base := grouping.Merge(c.Base, grouping.AsGroup(mismatch.Stored))
					c = w.Change(base, key, a(fmt.Sprint(i), "1"), a(fmt.Sprint("shared ", i%10), fmt.Sprint(i)))
				case !errors.Is(err, grouping.ErrStorage): // more writers than connections: try again
					t.Error(err)
					return
				}
				<-time.After(rand.N(time.Duration(1+min(try, 20)) * time.Millisecond))
			}
			t.Error("a writer did not succeed")
		})
	}
	wg.Wait()
	g := w.MustLoad(t, key)
	require.Len(t, g.Alerts, writers+10)
	require.Equal(t, int64(writers), g.Version)
	require.Equal(t, int64(writers), g.Notifications)
}

func contractImmutable(t *testing.T, w *Writer) {
	key := Key("g")
	first := w.Add(t, key, a("x", "1"), a("y", "1"))
	loaded := w.MustLoad(t, key)
	c := w.Removal(first, "x")
	w.MustStore(t, c)
	w.Add(t, key, a("y", "2"))
	for _, g := range []*grouping.AlertGroup{first, loaded} {
		require.Equal(t, map[string]string{"x": "1", "y": "1"}, Values(g))
		require.Equal(t, int64(1), g.Version)
		require.Empty(t, g.Removed)
	}
	require.Equal(t, map[string]string{"y": "1"}, Values(c.Group), "the storage must not change the group that it was given")
}
