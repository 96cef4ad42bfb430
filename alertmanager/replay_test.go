package alertmanager_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/alertmanager"
	"muster/grouping"
	"muster/internal/recording"
	"muster/internal/testserver"
	"muster/internal/wire"
	"muster/storage"
)

// ways are the ways by which Muster hears of a recorded scenario, beside the webhook.
type ways struct {
	recorder, api bool
	// times is how often each request is sent. 0 means once.
	times int
	// order changes the order of the requests of the recorder. The others stay in theirs.
	order func(entries []recording.Entry)
}

// played is a Muster after a scenario was replayed to it.
type played struct {
	*testserver.Server

	memory *storage.Memory
}

// replay plays a recording to a Muster at the times of its arrival, and then waits until
// what is not final has become so.
func replay(t *testing.T, r recording.Recording, w ways) played {
	t.Helper()
	entries := slices.DeleteFunc(r.Of(recording.Event, recording.Webhook, recording.API), func(e recording.Entry) bool {
		return !e.Accepted() || e.Kind == recording.Event && !w.recorder || e.Kind == recording.API && !w.api
	})
	if w.order != nil {
		w.order(entries)
	}
	time.Sleep(time.Until(entries[0].Received.Add(-time.Minute)))
	opts := grouping.DefaultOptions
	// The scenarios were recorded with short times.
	opts.Wait, opts.Interval, opts.Settle = time.Second, 2*time.Second, time.Second
	memory := storage.NewMemory(storage.DefaultMemoryOptions())
	s := played{testserver.New(t, testserver.Options{Groups: opts, Storage: memory, Clock: grouping.NewClock()}), memory}
	go func() { _ = s.Manager.Run(t.Context()) }()
	now := entries[0].Received
	for _, e := range entries {
		if e.Received.After(now) {
			now = e.Received
		}
		time.Sleep(time.Until(now))
		for range max(1, w.times) {
			play(t, s, e)
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	return s
}

// play sends one request, or hands over one answer of the API as the poller does.
func play(t *testing.T, s played, e recording.Entry) {
	t.Helper()
	switch {
	case e.Kind == recording.Webhook:
		w := s.Do(http.MethodPost, "/webhook", bytes.NewReader(e.Body))
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	case e.Kind == recording.Event:
		w := s.Do(http.MethodPost, "/events", bytes.NewReader(e.Body))
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	case strings.HasPrefix(e.Path, "/api/v2/alerts/groups"):
		var groups []*wire.APIGroup
		for g, err := range wire.ReadGroups(bytes.NewReader(e.Body)) {
			require.NoError(t, err)
			groups = append(groups, g)
		}
		alerts, leftOut := alertmanager.Observe(256, groups...)
		require.Zero(t, leftOut)
		require.NoError(t, s.Manager.ObservePoll(t.Context(), "default", e.From, grouping.Poll{
			At: time.Now(), StartedAt: time.Now().Add(-time.Hour), Version: e.Version, Alerts: alerts, Complete: true,
		}))
	case strings.HasPrefix(e.Path, "/api/v2/silences"):
		var silences []grouping.Silence
		for one, err := range wire.ReadSilences(bytes.NewReader(e.Body)) {
			require.NoError(t, err)
			silence, ok := alertmanager.ObserveSilence(one)
			require.True(t, ok)
			silences = append(silences, silence)
		}
		require.NoError(t, s.Manager.ObserveSilences(t.Context(), "default", e.From, time.Now(), silences))
	}
}

// known is what Muster knows of an alert in one group.
type known struct {
	group *grouping.AlertGroup
	alert *grouping.Alert
}

// alertsOf returns the alerts of all groups by fingerprint.
func alertsOf(t *testing.T, s played) map[string][]known {
	t.Helper()
	groups, err := s.Manager.All(t.Context())
	require.NoError(t, err)
	slices.SortFunc(groups, func(a, b *grouping.AlertGroup) int { return strings.Compare(a.GroupKey, b.GroupKey) })
	all := map[string][]known{}
	for _, g := range groups {
		for _, a := range g.Alerts {
			all[string(a.Fingerprint)] = append(all[string(a.Fingerprint)], known{g, a})
		}
	}
	return all
}

// mutedBy returns what mutes an alert or did, in any group, of one kind.
func mutedBy(alerts []known, kind grouping.MuteKind) []string {
	ids := map[string]bool{}
	for _, k := range alerts {
		for _, m := range slices.Concat(k.alert.Mutes(), k.alert.EndedMutes()) {
			if m.Kind == kind {
				ids[m.ID] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// requireExpected requires that Muster knows what can be known from the event recorder.
func requireExpected(t *testing.T, r recording.Recording, s played) {
	t.Helper()
	alerts := alertsOf(t, s)
	counted := map[string]bool{}
	for _, ks := range alerts {
		for _, k := range ks {
			counted[k.group.Receiver] = true
		}
	}
	for fp, want := range r.Expect.Alerts {
		groups := slices.DeleteFunc(slices.Clone(want.Groups), func(g recording.ExpectedGroup) bool { return !counted[g.Receiver] })
		if len(groups) == 0 {
			continue
		}
		got := alerts[fp]
		for _, g := range groups {
			require.True(t, slices.ContainsFunc(got, func(k known) bool {
				return k.group.Receiver == g.Receiver && k.group.GroupKey == g.GroupKey
			}), "alert %s in group %s %s", fp, g.Receiver, g.GroupKey)
		}
		require.ElementsMatch(t, want.SilencedBy, mutedBy(got, grouping.MuteSilence), "silences of %s", fp)
		require.ElementsMatch(t, want.InhibitedBy, mutedBy(got, grouping.MuteInhibition), "inhibitions of %s", fp)
		for _, k := range got {
			require.Equal(t, episodesOf(want.Episodes), episodesOf(k.alert.Episodes()), "episodes of %s in %s:\n%+v", fp, k.group.GroupKey, *k.alert)
			if last := want.Episodes[len(want.Episodes)-1]; !last.EndsAt.IsZero() {
				require.Equal(t, grouping.StatusResolved, k.alert.Status)
			}
		}
	}
	requireSilences(t, r, s)
	requireDeliveries(t, r, s)
}

// episodesOf returns episodes as text.
func episodesOf[E any](all []E) (texts []string) {
	for _, e := range all {
		var from, to time.Time
		switch e := any(e).(type) {
		case grouping.Episode:
			from, to = e.StartsAt, e.EndsAt
		case recording.ExpectedEpisode:
			from, to = e.StartsAt, e.EndsAt
		}
		text := from.UTC().Format(time.RFC3339Nano) + " to "
		if !to.IsZero() {
			text += to.UTC().Format(time.RFC3339Nano)
		}
		texts = append(texts, text)
	}
	return texts
}

func requireSilences(t *testing.T, r recording.Recording, s played) {
	t.Helper()
	page, err := s.Manager.Silences(t.Context(), grouping.SilenceQuery{Limit: grouping.MaxLimit})
	require.NoError(t, err)
	require.Len(t, page.Silences, len(r.Expect.Silences))
	for _, got := range page.Silences {
		want, ok := r.Expect.Silences[got.ID]
		require.True(t, ok, got.ID)
		require.Equal(t, []string{want.CreatedBy, want.Comment}, []string{got.CreatedBy, got.Comment})
		var muted []string
		for _, m := range got.Muted {
			if id := string(m.Alert.Fingerprint); !slices.Contains(muted, id) {
				muted = append(muted, id)
			}
		}
		require.ElementsMatch(t, want.Muted, muted, "muted by %s", got.ID)
	}
}

func requireDeliveries(t *testing.T, r recording.Recording, s played) {
	t.Helper()
	type key struct {
		receiver, integration string
		index                 uint64
	}
	want := map[key]int{}
	for _, n := range r.Expect.Notifications {
		want[key{n.Receiver, n.Integration, n.Index}] = n.Count
	}
	got, once := map[key]int{}, map[string]bool{}
	for e, err := range s.memory.StreamEvents(t.Context(), time.Time{}) {
		require.NoError(t, err)
		d := e.Delivery
		if d == nil {
			continue
		}
		if id := fmt.Sprint(e.ObservedAt, d.Flush, d.Receiver, d.Integration, d.Index); !once[id] {
			once[id] = true
			got[key{d.Receiver, d.Integration, d.Index}]++
		}
	}
	require.Equal(t, want, got)
}

// The recorded scenarios give what an expert concludes, also if requests come twice, late or
// in another order.
func TestRecordedScenarios(t *testing.T) {
	late := func(entries []recording.Entry) {
		end := entries[len(entries)-1].Received
		slices.SortStableFunc(entries, func(a, b recording.Entry) int { return isEvent(a) - isEvent(b) })
		for i := range entries {
			if entries[i].Kind == recording.Event {
				entries[i].Received = end
			}
		}
	}
	modes := map[string]ways{
		"recorder": {recorder: true}, "twice": {recorder: true, times: 2}, "late": {recorder: true, order: late},
		"recorder and API": {recorder: true, api: true},
	}
	for seed := range uint64(8) {
		modes["shuffled "+strconv.FormatUint(seed, 10)] = ways{recorder: true, order: shuffled(seed)}
	}
	for _, r := range recording.All(t) {
		if len(r.Of(recording.Event)) == 0 {
			continue
		}
		for _, mode := range slices.Sorted(maps.Keys(modes)) {
			t.Run(r.Name+"/"+mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := replay(t, r, modes[mode])
					requireExpected(t, r, s)
					if modes[mode].api {
						requireEnds(t, r, s)
					}
				})
			})
		}
	}
}

// requireEnds requires that Muster knows how the silences ended, which only the API tells.
func requireEnds(t *testing.T, r recording.Recording, s played) {
	t.Helper()
	for id, want := range r.Expect.Silences {
		if want.APIAtTheEnd == nil {
			continue
		}
		got, err := s.Manager.Silence(t.Context(), "default", id)
		require.NoError(t, err)
		end := map[string]grouping.SilenceEnd{recording.EndByTime: grouping.EndTime, recording.EndByHand: grouping.EndEarly}[want.End]
		if want.End == "" && got.EndsAt.Before(time.Now()) {
			end = grouping.EndTime // it ended while the replay waited
		}
		require.Equal(t, end, got.End, id)
		require.WithinDuration(t, want.APIAtTheEnd.EndsAt, got.EndsAt, time.Millisecond)
	}
}

// Without a recorder, the API tells the same but for the deliveries, the ends that a mute
// swallowed and what happened between two polls.
func TestRecordedScenariosWithTheAPIAlone(t *testing.T) {
	for _, r := range recording.All(t) {
		t.Run(r.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := replay(t, r, ways{api: true})
				requireEnds(t, r, s)
				seen := false
				for fp, got := range alertsOf(t, s) {
					want := r.Expect.Alerts[fp]
					if !want.WebhookOnly { // the expectation has the mutes of events
						require.Subset(t, want.SilencedBy, mutedBy(got, grouping.MuteSilence))
						require.Subset(t, want.InhibitedBy, mutedBy(got, grouping.MuteInhibition))
					}
					seen = seen || len(mutedBy(got, grouping.MuteSilence))+len(mutedBy(got, grouping.MuteInhibition))+
						len(mutedBy(got, grouping.MuteInterval)) > 0
					for _, k := range got {
						requireAPIEpisodes(t, want.Episodes, k.alert)
					}
				}
				mutes := slices.ContainsFunc(slices.Collect(maps.Values(r.Expect.Alerts)), func(a recording.ExpectedAlert) bool {
					return len(a.SilencedBy)+len(a.InhibitedBy) > 0
				})
				require.True(t, seen || !mutes || r.Name == "e6-restart", "some mutes are seen")
			})
		})
	}
}

// requireAPIEpisodes requires that the episodes of an alert are among the expected ones, and that
// it ended if a notification said so.
func requireAPIEpisodes(t *testing.T, want []recording.ExpectedEpisode, a *grouping.Alert) {
	t.Helper()
	for _, got := range a.Episodes() {
		i := slices.IndexFunc(want, func(e recording.ExpectedEpisode) bool { return e.StartsAt.Sub(got.StartsAt).Abs() < time.Millisecond })
		require.GreaterOrEqual(t, i, 0, "an episode that began at %s", got.StartsAt)
		if !got.EndsAt.IsZero() && i+1 == len(want) {
			// A notification may know a sender's first end only.
			require.WithinDuration(t, want[i].EndsAt, got.EndsAt, 2*time.Second)
		}
	}
	if last := want[len(want)-1]; last.WebhookLastSaid == "firing" && !last.EndsAt.IsZero() {
		require.NotEqual(t, grouping.StatusResolved, a.Status, "nobody reported the end")
	}
}

// With neither, Muster knows what the notifications say, and no more.
func TestRecordedScenariosWithTheWebhookAlone(t *testing.T) {
	for _, r := range recording.All(t) {
		t.Run(r.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := replay(t, r, ways{})
				for fp, got := range alertsOf(t, s) {
					for _, k := range got {
						requireAPIEpisodes(t, r.Expect.Alerts[fp].Episodes, k.alert)
						require.False(t, k.alert.Unnotified)
						require.Empty(t, k.group.Mutes)
					}
				}
				reports, err := s.Manager.SourceReports(t.Context())
				require.NoError(t, err)
				for _, report := range reports {
					require.Zero(t, report.Recorder)
					require.Empty(t, report.Pollers)
				}
			})
		})
	}
}

func isEvent(e recording.Entry) int {
	if e.Kind == recording.Event {
		return 1
	}
	return 0
}

// shuffled puts the requests of the recorder into a random order.
func shuffled(seed uint64) func([]recording.Entry) {
	return func(entries []recording.Entry) {
		var places []int
		for i, e := range entries {
			if e.Kind == recording.Event {
				places = append(places, i)
			}
		}
		random := rand.New(rand.NewPCG(seed, 1))
		random.Shuffle(len(places), func(i, j int) {
			a, b := &entries[places[i]], &entries[places[j]]
			*a, *b = *b, *a
			a.Received, b.Received = b.Received, a.Received // each time keeps its place
		})
	}
}
