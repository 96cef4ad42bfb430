package receiver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/recording"
	"muster/internal/wire"
)

var testRules = eventRules{maxAlerts: 10_000, maxLabels: 20}

// observe converts the events of a body, which must be good.
func observe(t *testing.T, body string) (all []grouping.Observation) {
	t.Helper()
	for raw, err := range wire.RawEvents([]byte(body)) {
		require.NoError(t, err)
		e, err := raw.Decode()
		require.NoError(t, err)
		said, bad := testRules.observations(e, e.At)
		require.Nil(t, bad)
		all = append(all, said...)
	}
	return all
}

// What the recorded events say is what an expert concludes from them.
func TestRecordedEventsBecomeObservations(t *testing.T) {
	for _, r := range recording.All(t) {
		t.Run(r.Name, func(t *testing.T) {
			s := summary{
				episodes: map[string]time.Time{}, groups: map[string]bool{}, silencedBy: map[string]bool{}, inhibitedBy: map[string]bool{},
				silences: map[string]*grouping.Silence{}, deliveries: map[string]map[string]bool{},
			}
			for _, e := range r.Of(recording.Event) {
				if !e.Accepted() {
					continue
				}
				for _, o := range observe(t, string(e.Body)) {
					require.Equal(t, grouping.OriginEvent, o.Origin)
					require.True(t, strings.HasPrefix(o.Instance, "alertmanager-"), o.Instance)
					require.Equal(t, time.UTC, o.At.Location())
					require.WithinDuration(t, e.Received, o.At, 15*time.Second)
					s.add(t, &o)
				}
			}
			s.require(t, r.Expect)
		})
	}
}

// summary is what many observations say.
type summary struct {
	episodes    map[string]time.Time // the last final end by fingerprint and start
	groups      map[string]bool
	silencedBy  map[string]bool
	inhibitedBy map[string]bool
	silences    map[string]*grouping.Silence
	deliveries  map[string]map[string]bool // flushes by receiver and integration
}

func (s *summary) add(t *testing.T, o *grouping.Observation) {
	t.Helper()
	switch {
	case o.Alert != nil:
		a := &o.Alert.Alert
		require.Equal(t, a.Labels.Fingerprint(), a.Fingerprint)
		s.groups[fmt.Sprint(a.Fingerprint, o.Alert.Group.Receiver, o.Alert.Group.GroupKey)] = true
		require.Equal(t, a.Status == grouping.StatusResolved, !a.EndsAt.IsZero())
		if o.Alert.Final {
			require.Equal(t, grouping.StatusResolved, a.Status)
			if key := fmt.Sprint(a.Fingerprint, a.StartsAt); a.EndsAt.After(s.episodes[key]) {
				s.episodes[key] = a.EndsAt
			}
		}
	case o.Muted != nil && o.Muted.Mute.Kind == grouping.MuteSilence:
		require.Equal(t, o.Muted.Mute.ID, o.Muted.Silence.ID)
		require.Equal(t, o.Muted.Labels.Fingerprint(), o.Muted.Fingerprint)
		s.silencedBy[fmt.Sprint(o.Muted.Fingerprint, o.Muted.Mute.ID)] = true
		s.addSilence(o.Muted.Silence)
	case o.Muted != nil:
		require.Equal(t, grouping.MuteInhibition, o.Muted.Mute.Kind)
		require.Nil(t, o.Muted.Silence)
		require.NotEmpty(t, o.Muted.Mute.Rule)
		s.inhibitedBy[fmt.Sprint(o.Muted.Fingerprint, o.Muted.Mute.ID)] = true
	case o.Silence != nil:
		s.addSilence(o.Silence)
	case o.Delivery != nil:
		d := &o.Delivery.Delivery
		require.Equal(t, o.Delivery.Group.Receiver, d.Receiver)
		require.NotEmpty(t, d.Reason)
		require.NotEqual(t, "unknown", reasonLabel(d.Reason))
		require.Positive(t, d.Firing+d.Resolved)
		key := fmt.Sprint(d.Receiver, d.Integration, d.Index)
		if s.deliveries[key] == nil {
			s.deliveries[key] = map[string]bool{}
		}
		s.deliveries[key][fmt.Sprint(o.Instance, d.Flush)] = true
	default:
		require.NotNil(t, o.Started)
	}
}

func (s *summary) addSilence(silence *grouping.Silence) {
	if known := s.silences[silence.ID]; known == nil || silence.UpdatedAt.After(known.UpdatedAt) {
		s.silences[silence.ID] = silence
	}
}

// require compares the summary with what can be known of a recording.
func (s *summary) require(t *testing.T, expect recording.Expect) {
	t.Helper()
	want := summary{episodes: map[string]time.Time{}, groups: map[string]bool{}, silencedBy: map[string]bool{}, inhibitedBy: map[string]bool{}}
	for fp, a := range expect.Alerts {
		for _, id := range a.SilencedBy {
			want.silencedBy[fp+id] = true
		}
		for _, by := range a.InhibitedBy {
			want.inhibitedBy[fp+by] = true
		}
		if a.WebhookOnly {
			continue
		}
		for _, g := range a.Groups {
			want.groups[fp+g.Receiver+g.GroupKey] = true
		}
		for _, e := range a.Episodes {
			if e.AlertResolved > 0 {
				want.episodes[fmt.Sprint(fp, e.StartsAt.UTC())] = e.EndsAt.UTC()
			}
		}
	}
	if len(s.episodes) > 0 || len(s.groups) > 0 {
		require.Equal(t, want.groups, s.groups)
		require.Equal(t, want.episodes, s.episodes)
		require.Equal(t, want.silencedBy, s.silencedBy)
		require.Equal(t, want.inhibitedBy, s.inhibitedBy)
	}
	for _, n := range expect.Notifications {
		require.Len(t, s.deliveries[fmt.Sprint(n.Receiver, n.Integration, n.Index)], n.Count, "%+v", n)
	}
	require.Len(t, s.deliveries, len(expect.Notifications))
	for id, got := range s.silences {
		silence := expect.Silences[id]
		require.Equal(t, silence.CreatedBy, got.CreatedBy)
		require.Equal(t, silence.Comment, got.Comment)
		require.Len(t, got.MatcherSets, 1)
		var matchers []string
		for _, m := range got.MatcherSets[0] {
			matchers = append(matchers, fmt.Sprintf("%s%s%q", m.Name, m.Type, m.Value))
		}
		require.ElementsMatch(t, silence.Matchers, matchers)
	}
}
