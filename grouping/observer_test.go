package grouping_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage"
)

// observatory is a manager with its own time, whose timers run.
type observatory struct {
	*grouping.Manager

	t      *testing.T
	memory *storage.Memory
	reg    *prometheus.Registry
}

// observing runs a test with an observatory, in a bubble with its own time.
func observing(t *testing.T, opts grouping.Options, test func(o observatory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, reg := memory(), prometheus.NewRegistry()
		m, err := grouping.NewManager(s, grouping.NewClock(), nil, reg, promslog.NewNopLogger(), opts)
		require.NoError(t, err)
		go func() { _ = m.Run(t.Context()) }()
		test(observatory{m, t, s, reg})
	})
}

// notify applies a notification of the group "Down".
func (o observatory) notify(alerts ...grouping.NotifiedAlert) {
	o.t.Helper()
	_, err := o.Ingest(o.t.Context(), notification(alerts...))
	require.NoError(o.t, err)
}

func (o observatory) observe(all ...grouping.Observation) {
	o.t.Helper()
	for i := range all {
		all[i].Instance, all[i].Origin = "am-0", grouping.OriginEvent
		if all[i].At.IsZero() {
			all[i].At = time.Now()
		}
	}
	require.NoError(o.t, o.Observe(o.t.Context(), key.Source, all))
}

// poll applies a whole answer of the API of one Alertmanager.
func (o observatory) poll(url string, alerts ...grouping.ObservedAlert) {
	o.t.Helper()
	o.RecordPoll(key.Source, url, grouping.PollReport{URL: url, LastAt: time.Now()})
	require.NoError(o.t, o.ObservePoll(o.t.Context(), key.Source, url, grouping.Poll{
		At: time.Now(), StartedAt: time.Now().Add(-time.Hour), Version: "0.35.0", Alerts: alerts, Complete: true,
	}))
}

// alert returns the alert of the group "Down".
func (o observatory) alert(a grouping.NotifiedAlert) *grouping.Alert {
	o.t.Helper()
	groups, err := o.ByFingerprint(o.t.Context(), a.Fingerprint)
	require.NoError(o.t, err)
	require.Len(o.t, groups, 1)
	return groups[0].Alert(a.Fingerprint)
}

func (o observatory) silence(id string) grouping.SilenceInfo {
	o.t.Helper()
	s, err := o.Silence(o.t.Context(), "", id)
	require.NoError(o.t, err)
	return s
}

// kinds returns the kinds of the events that are about an alert or a silence, oldest first.
func (o observatory) kinds() (kinds []grouping.EventKind) {
	o.t.Helper()
	for e, err := range o.memory.StreamEvents(o.t.Context(), time.Time{}) {
		require.NoError(o.t, err)
		if e.Fingerprint != "" || e.Silence != nil {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func grouped(a grouping.NotifiedAlert) grouping.Observation {
	return grouping.Observation{Alert: &grouping.ObservedAlert{
		Group: grouping.ObservedGroup{
			Receiver: key.Receiver, GroupKey: key.GroupKey, GroupLabels: grouping.NewLabels(map[string]string{"alertname": "Down"}),
		},
		Alert: a,
	}}
}

// listed is an alert in an answer of the API.
func listed(a grouping.NotifiedAlert, mutes ...grouping.Mute) grouping.ObservedAlert {
	oa := *grouped(a).Alert
	oa.Group.GroupKey, oa.Listed, oa.Mutes = "", true, mutes
	return oa
}

func silence(id string, end time.Duration) grouping.Silence {
	now := time.Now().UTC()
	return grouping.Silence{
		ID: id, StartsAt: now, EndsAt: now.Add(end), UpdatedAt: now, CreatedBy: "dana", Comment: "deploying db",
		MatcherSets: [][]grouping.SilenceMatcher{{{Name: "alertname", Type: "=", Value: "Down"}}},
	}
}

func muted(a grouping.NotifiedAlert, s grouping.Silence) grouping.Observation {
	return grouping.Observation{Muted: &grouping.ObservedMute{
		Fingerprint: a.Fingerprint, Labels: a.Labels, Mute: grouping.Mute{Kind: grouping.MuteSilence, ID: s.ID}, Silence: &s,
	}}
}

// What is observed of a receiver waits until it sends a notification.
func TestObservationsWaitForTheReceiver(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a, b := alert("a"), alert("b")
		s := silence("s-1", time.Hour)
		o.observe(muted(b, s), grouped(a), grouped(b))
		all, err := o.All(o.t.Context())
		require.NoError(o.t, err)
		require.Empty(t, all, "nobody knows whether this receiver is ours")
		time.Sleep(time.Minute)
		o.notify(a)
		require.Equal(o.t, grouping.StatusFiring, o.alert(a).ShownStatus())
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(b).ShownStatus())
		require.True(t, o.alert(b).Unnotified)
	})
}

func TestObservationsOfANamedReceiver(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Receivers = []grouping.SourceReceiver{{Source: key.Source, Receiver: key.Receiver}}
	observing(t, opts, func(o observatory) {
		a := alert("a")
		o.observe(grouped(a))
		require.True(t, o.alert(a).Unnotified)
		kinds := len(o.kinds())
		o.observe(grouped(a))
		require.Len(t, o.kinds(), kinds, "what says nothing new is not written")
	})
}

// An end that is not final can be taken back.
func TestAnObservedEndIsDebounced(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a := alert("a")
		o.notify(a)
		time.Sleep(time.Minute)
		ended := resolved(a)
		o.observe(grouped(ended))
		require.Equal(o.t, grouping.StatusFiring, o.alert(a).Status)
		time.Sleep(time.Second)
		o.observe(grouped(a)) // another Prometheus
		time.Sleep(time.Minute)
		require.Equal(o.t, grouping.StatusFiring, o.alert(a).Status)

		o.observe(grouped(ended))
		time.Sleep(grouping.DefaultOptions.Settle + time.Second)
		require.Equal(o.t, grouping.StatusResolved, o.alert(a).Status)
		require.Equal(o.t, ended.EndsAt, o.alert(a).EndsAt)
		require.Equal(o.t, []grouping.EventKind{grouping.EventFired, grouping.EventResolved}, o.kinds())
	})
}

func TestWhatIsHeardOfASource(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a := alert("a")
		heard := func(at time.Duration, events int) {
			o.RecordHeard(
				key.Source,
				[]grouping.Heard{{Instance: "am-0", Version: "0.35.0", Events: events, At: time.Now().Add(at), ReceivedAt: time.Now()}},
			)
		}
		heard(1400*time.Millisecond, 3)
		heard(time.Second, 4)
		o.notify(a)
		delivered := grouping.Observation{Delivery: &grouping.ObservedDelivery{
			Group: grouped(a).Alert.Group,
			Delivery: grouping.Delivery{
				Receiver:    key.Receiver,
				Integration: "webhook",
				Flush:       "u/1",
			}, Firing: []grouping.Fingerprint{a.Fingerprint},
		}}
		o.observe(delivered, delivered)
		time.Sleep(time.Minute)
		o.notify(a) // its event is lost
		time.Sleep(5 * time.Minute)
		o.RecordPoll(key.Source, "http://am-0", grouping.PollReport{URL: "http://am-0", Failed: map[string]uint64{"slack": 2}})
		time.Sleep(time.Minute)
		o.RecordPoll(
			key.Source,
			"http://am-0",
			grouping.PollReport{URL: "http://am-0", Failed: map[string]uint64{"slack": 5, "email": 0}},
		)

		reports, err := o.SourceReports(o.t.Context())
		require.NoError(o.t, err)
		require.Len(t, reports, 1)
		r := reports[0]
		require.Equal(o.t, []any{key.Source, 1, 7, 1}, []any{r.Source, r.Groups, r.Recorder.LastHour, r.Recorder.Missing})
		require.Equal(o.t, "0.35.0", r.Recorder.Instances[0].Version)
		require.InDelta(t, 1.4, r.Recorder.Instances[0].Skew.Seconds(), 0.01)
		require.Equal(o.t, map[string]uint64{"slack": 3}, r.Pollers[0].FailedLately)
		require.InDelta(t, 1, gathered(t, o.reg, "muster_events_missing_total"), 0)
		n := 0
		for e, err := range o.memory.StreamEvents(o.t.Context(), time.Time{}) {
			require.NoError(o.t, err)
			if e.Delivery != nil {
				n++
			}
		}
		require.Equal(o.t, 1, n, "a delivery that is told twice is one")
		time.Sleep(2 * time.Hour)
		reports, err = o.SourceReports(o.t.Context())
		require.NoError(o.t, err)
		require.Zero(t, reports[0].Recorder.LastHour)
	})
}

func gathered(t *testing.T, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("%s is not exported", name)
	return 0
}

// A mute that only the event recorder tells of ends if flushes do not show it any more. Without
// a notification, a time interval may mute the whole group, so nothing is known.
func TestAMuteThatNoFlushShows(t *testing.T) {
	for name, tc := range map[string]struct {
		notified, heard bool
		from            grouping.Origin
		want            grouping.Status
	}{
		"flushes do not show it":    {true, true, grouping.OriginEvent, grouping.StatusUnreported},
		"the group may be muted":    {false, true, grouping.OriginEvent, grouping.StatusSuppressed},
		"the recorder is not heard": {true, false, grouping.OriginEvent, grouping.StatusSuppressed},
		"the API tells of it":       {true, true, grouping.OriginAPI, grouping.StatusSuppressed},
	} {
		t.Run(name, func(t *testing.T) {
			observing(t, grouping.DefaultOptions, func(o observatory) {
				a, b := alert("a"), alert("b")
				o.notify(a, b)
				inhibition := grouping.Mute{Kind: grouping.MuteInhibition, ID: "00112233445566aa"}
				if tc.from == grouping.OriginAPI {
					o.poll("http://am-0", listed(a, inhibition), listed(b))
				} else {
					o.observe(grouping.Observation{Muted: &grouping.ObservedMute{Fingerprint: a.Fingerprint, Mute: inhibition}})
				}
				o.notify(b)
				require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
				for range 20 {
					time.Sleep(time.Minute)
					if tc.heard {
						o.RecordHeard(key.Source, []grouping.Heard{{Instance: "am-0", Events: 1, At: time.Now(), ReceivedAt: time.Now()}})
					}
					if tc.notified {
						o.notify(b)
					}
				}
				require.Equal(o.t, tc.want, o.alert(a).ShownStatus())
			})
		})
	}
}

// The start or the stop of an Alertmanager ends neither an alert nor a silence.
func TestAStartEndsNothing(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a := alert("a")
		o.notify(a)
		s := silence("s-1", time.Hour)
		o.observe(grouping.Observation{Silence: &s}, muted(a, s))
		kinds := o.kinds()
		time.Sleep(time.Minute)
		for _, version := range []string{"", "0.35.0"} {
			o.observe(grouping.Observation{Started: &grouping.ObservedStart{Version: version}})
		}
		time.Sleep(10 * time.Minute)
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
		require.Equal(o.t, kinds, o.kinds())
	})
}

// A mute that was seen before its alert was known is not about a later firing.
func TestAnOldMuteDoesNotMuteALaterFiring(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Retention = time.Hour
	observing(t, opts, func(o observatory) {
		a, b := alert("a"), alert("b")
		o.notify(b)
		inhibition := grouping.Mute{Kind: grouping.MuteInhibition, ID: "00112233445566aa"}
		o.observe(grouping.Observation{Muted: &grouping.ObservedMute{Fingerprint: a.Fingerprint, Mute: inhibition}})
		o.observe(grouped(a))
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
		time.Sleep(time.Minute)
		final := grouped(resolved(a))
		final.Alert.Final = true
		o.observe(final)
		time.Sleep(2 * time.Hour)
		_, err := o.ByFingerprint(o.t.Context(), a.Fingerprint)
		require.ErrorIs(o.t, err, grouping.ErrGroupNotFound, "it was removed")

		again := a
		again.StartsAt = time.Now()
		o.observe(grouped(again))
		require.Equal(o.t, grouping.StatusFiring, o.alert(a).ShownStatus())
	})
}
