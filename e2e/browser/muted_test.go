package browser

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
)

// muted ingests groups with alerts of every kind of mute, as the API and the event recorder of
// an Alertmanager report them. It returns a group and an alert with suppressed ones.
func (m *muster) muted() (group grouping.ID, alert grouping.Fingerprint) {
	m.t.Helper()
	ctx, now := context.Background(), time.Now().UTC().Truncate(time.Second)
	m.notify("ClusterDown", firing("ClusterDown", "critical", "eu"))
	m.notify("Disk", firing("Disk", "critical", "a"), firing("Disk", "critical", "b"), firing("Disk", "warning", "c"),
		firing("Disk", "warning", "d"))
	group = m.notify("Disk", firing("Disk", "critical", "a"))
	m.notify("Job", firing("Job", "info", "a"))
	silence := func(id, by string, start, end time.Duration) grouping.Silence {
		return grouping.Silence{
			ID: id, CreatedBy: by, Comment: "new disks are ordered, see https://tickets.example.net/OPS-412",
			MatcherSets: [][]grouping.SilenceMatcher{{{Name: "alertname", Type: "=", Value: "Disk"}, {Name: "instance", Type: "=~", Value: "b|c"}}},
			StartsAt:    now.Add(start), EndsAt: now.Add(end), UpdatedAt: now.Add(-3 * time.Hour),
		}
	}
	require.NoError(m.t, m.groups.ObserveSilences(ctx, "default", "http://am", now, []grouping.Silence{
		silence("s0", "rob", -3*time.Hour, -2*time.Hour), silence("s1", "mira", -time.Hour, 8*time.Minute),
		silence("s2", "kim", time.Hour, 2*time.Hour),
	}))
	m.groups.RecordPoll("default", "http://am", grouping.PollReport{
		URL: "http://am", Version: "0.35.0", LastAt: now, Failed: map[string]uint64{"slack": 3},
	})
	m.groups.RecordPoll("default", "http://am-1", grouping.PollReport{URL: "http://am-1", Err: "connection refused", FailingSince: now})
	observed := func(name, severity, instance string, mutes ...grouping.Mute) grouping.ObservedAlert {
		a := firing(name, severity, instance)
		a.StartsAt = now.Add(-10 * time.Minute)
		return grouping.ObservedAlert{
			Group: grouping.ObservedGroup{Receiver: "team", GroupLabels: grouping.NewLabels(map[string]string{"alertname": name})},
			Alert: a, Listed: true, Mutes: mutes,
		}
	}
	byCluster := grouping.Mute{Kind: grouping.MuteInhibition, ID: string(firing("ClusterDown", "critical", "eu").Fingerprint)}
	require.NoError(m.t, m.groups.ObservePoll(ctx, "default", "http://am", grouping.Poll{
		At: now.Add(time.Minute), StartedAt: now.Add(-time.Hour), Version: "0.35.0", Complete: true,
		Alerts: []grouping.ObservedAlert{
			observed("ClusterDown", "critical", "eu"), observed("Disk", "critical", "a"),
			observed("Disk", "critical", "b", grouping.Mute{Kind: grouping.MuteSilence, ID: "s1"}),
			observed("Disk", "warning", "c", grouping.Mute{Kind: grouping.MuteSilence, ID: "s1"}, byCluster),
			observed("Disk", "warning", "d", byCluster), observed("Job", "info", "a", grouping.Mute{Kind: grouping.MuteInterval, ID: "nights"}),
		},
	}))
	labels := grouping.NewLabels(map[string]string{"alertname": "Disk"})
	require.NoError(m.t, m.groups.Observe(ctx, "default", []grouping.Observation{{
		Origin: grouping.OriginEvent, Instance: "am", At: now, Delivery: &grouping.ObservedDelivery{
			Group:    grouping.ObservedGroup{Receiver: "chat", GroupKey: "{}:{}", GroupLabels: labels},
			Firing:   []grouping.Fingerprint{firing("Disk", "critical", "a").Fingerprint},
			Delivery: grouping.Delivery{Receiver: "chat", Integration: "slack", Reason: "new alerts added", Flush: "1"},
		},
	}}))
	return group, firing("Disk", "warning", "c").Fingerprint
}

// The page of a silence that mutes nothing shows its new end, although no group changes. The
// row of an alert that it mutes does so too.
func TestAnOpenPageShowsAnExtendedSilence(t *testing.T) {
	m := startWith(t, testserver.Options{KeepAlive: time.Second})
	m.muted()
	silence, row := open(t, 1440, 900, false), open(t, 1440, 900, false)
	silence.visitLive(m.url + "/silences/s2")
	row.visitLive(m.url + "/?state=suppressed&cause=silence")
	for _, id := range []string{"s1", "s2"} {
		s := *m.groups.SilenceOf("default", id)
		s.Comment, s.EndsAt, s.UpdatedAt = "extended", s.EndsAt.Add(48*time.Hour), time.Now().UTC()
		require.NoError(t, m.groups.ObserveSilences(t.Context(), "default", "http://am", time.Now(), []grouping.Silence{s}))
	}
	silence.until(`document.querySelector('.lead').innerText === 'extended'`)
	row.until(`document.querySelector('.why').innerText.includes('(2d 0h left): extended')`)
	silence.clean()
	row.clean()
}

// hostileMutes makes an alert of a receiver suppressed, with the text in every field of what
// mutes it. It also reports a delivery.
func (m *muster) hostileMutes(text string, round int, a grouping.NotifiedAlert, receiver string) {
	m.t.Helper()
	ctx, now, instance := context.Background(), time.Now().UTC(), fmt.Sprint("http://am/", round)
	require.NoError(m.t, m.groups.ObserveSilences(ctx, "default", instance, now, []grouping.Silence{{
		ID: text, CreatedBy: text, Comment: text, MatcherSets: [][]grouping.SilenceMatcher{{{Name: text, Type: "=", Value: text}}},
		StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Hour), UpdatedAt: now.Add(time.Duration(round) * time.Second),
	}}))
	labels := grouping.NewLabels(map[string]string{"alertname": text, text: text})
	group := grouping.ObservedGroup{Receiver: receiver, GroupKey: fmt.Sprint(text, round), GroupLabels: labels}
	observations := []grouping.Observation{{Alert: &grouping.ObservedAlert{Group: group, Alert: a}}, {Delivery: &grouping.ObservedDelivery{
		Group: group, Firing: []grouping.Fingerprint{a.Fingerprint},
		Delivery: grouping.Delivery{Receiver: text, Integration: text, Reason: text, Flush: text},
	}}}
	for _, kind := range grouping.MuteKinds() {
		observations = append(observations, grouping.Observation{Muted: &grouping.ObservedMute{
			Fingerprint: a.Fingerprint, Labels: a.Labels, Mute: grouping.Mute{Kind: kind, ID: text, Rule: text},
		}})
	}
	for i := range observations {
		o := &observations[i]
		o.Origin, o.Instance, o.At = grouping.OriginEvent, text, now.Add(time.Duration(i)*time.Second)
	}
	require.NoError(m.t, m.groups.Observe(ctx, "default", observations))
	m.groups.RecordPoll("default", text, grouping.PollReport{URL: text, Version: text, Err: text, FailingSince: now})
}
