package demo

import (
	"context"
	"strconv"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/wire"
)

// event is an event of the event recorder, as Alertmanager 0.35 writes it.
type event struct {
	At       time.Time `json:"@timestamp"`
	Instance string    `json:"instance"`
	Data     object    `json:"data"`
}

type object map[string]any

// version is that of the Alertmanagers of the story.
const version = "0.35.0"

// reasons are the reasons of notifications as events write them.
var reasons = map[string]string{
	"first notification":      "NOTIFY_REASON_FIRST_NOTIFICATION",
	"new alerts added":        "NOTIFY_REASON_NEW_ALERTS_IN_GROUP",
	"some alerts resolved":    "NOTIFY_REASON_NEW_RESOLVED_ALERTS",
	"all alerts resolved":     "NOTIFY_REASON_ALL_ALERTS_RESOLVED",
	"repeat interval elapsed": "NOTIFY_REASON_REPEAT_INTERVAL_ELAPSED",
}

// startups returns that the Alertmanagers started.
func startups(at time.Time) (all []event) {
	for _, replica := range both {
		all = append(all, event{at.UTC(), instanceOf(replica), object{"alertmanagerStartupEvent": object{"version": version}}})
	}
	return all
}

// instanceOf returns the host name of an Alertmanager.
func instanceOf(replica string) string {
	instance, _, _ := strings.Cut(strings.TrimPrefix(replica, "https://"), ".")
	return instance
}

// events returns the events of a group: who was notified of the messages, and what a flush
// found muted.
func (g *group) events(start, now time.Time, messages []wire.Message) (all []event) {
	add := func(replica string, kind string, payload object) {
		all = append(all, event{now.UTC(), instanceOf(replica), object{kind: payload}})
	}
	for i := range messages {
		m := &messages[i]
		add(m.ExternalURL, "notification", g.notification(m, integration{g.receiver, "webhook"}))
		if i > 0 {
			continue // one of the replicas notifies the others
		}
		for _, other := range g.others {
			add(m.ExternalURL, "notification", g.notification(m, other))
		}
	}
	if now.Sub(g.flushedAt) < groupInterval {
		return all
	}
	g.flushedAt = now
	g.flushes++
	for _, a := range g.alerts {
		for _, told := range g.flush(a, start, now) {
			add(g.replicas[0], told.kind, told.payload)
		}
	}
	return all
}

// told is what one event says.
type told struct {
	kind    string
	payload object
}

// flush returns what the events of a flush say of an alert that can be muted.
func (g *group) flush(a *alert, start, now time.Time) (all []told) {
	firing, from, to := a.episode(start, now)
	if from.IsZero() || a.silence == nil && a.inhibitedBy == nil && a.interval == "" {
		return nil
	}
	if s := a.silence; s != nil && s.active(start, now) && !s.told {
		s.told = true
		all = append(all, told{"silenceCreated", object{"silence": s.object(start)}})
	}
	if !firing {
		if a.endedMuted(start, now) && !a.toldEnd.Equal(to) {
			a.toldEnd = to
			all = append(all, told{"alertResolved", g.grouped(a, from, to, true)})
		}
		return all
	}
	all = append(all, told{"alertGrouped", g.grouped(a, from, now.Add(4*time.Minute), false)})
	muted := object{"labels": a.labels, "fingerprint": a.fingerprint()}
	switch {
	case !a.muted(start, now):
	case a.silence != nil:
		all = append(all, told{"silenceMutedAlert", object{"silence": a.silence.object(start), "mutedAlert": muted}})
	case a.inhibitedBy != nil:
		all = append(all, told{"inhibitionMutedAlert", object{
			"inhibitRules": []object{{"name": "etcd down"}}, "mutedAlert": muted,
			"inhibitingFingerprints": []string{a.inhibitedBy.fingerprint()},
		}})
	}
	return all
}

// notification returns that an integration accepted a message.
func (g *group) notification(m *wire.Message, to integration) object {
	lists := map[grouping.Status][]object{}
	all := make([]object, 0, len(m.Alerts))
	for i := range m.Alerts {
		a := &m.Alerts[i]
		fp := decimal(grouping.Fingerprint(a.Fingerprint))
		lists[a.Status] = append(lists[a.Status], object{"fingerprint": fp})
		all = append(all, object{"fingerprint": fp, "details": object{
			"fingerprint": fp, "labels": a.Labels, "annotations": a.Annotations, "startsAt": a.StartsAt, "endsAt": a.EndsAt,
			"resolved": a.Status == grouping.StatusResolved,
		}})
	}
	info := g.info(to.receiver)
	info["groupUuid"] = string(grouping.Key{Receiver: to.receiver, GroupKey: g.key()}.ID())
	return object{
		"alerts": all, "firingAlerts": lists[grouping.StatusFiring], "resolvedAlerts": lists[grouping.StatusResolved],
		"groupInfo": info, "repeatInterval": strconv.Itoa(int(repeatInterval.Seconds())) + "s",
		"reason": reasons[m.NotificationReason], "flushId": strconv.Itoa(g.flushes + 1), "integration": object{"name": to.name},
	}
}

// grouped returns that an alert is in the group.
func (g *group) grouped(a *alert, from, to time.Time, resolved bool) object {
	fp := a.fingerprint()
	return object{"alert": object{"fingerprint": fp, "details": object{
		"fingerprint": fp, "labels": a.labels, "annotations": a.annotations, "startsAt": from.UTC(), "endsAt": to.UTC(), "resolved": resolved,
	}}, "groupInfo": g.info(g.receiver)}
}

func (g *group) info(receiver string) object {
	return object{"groupKey": g.key(), "groupLabels": g.labels(), "receiverName": receiver}
}

func (s *silence) object(start time.Time) object {
	matchers := []object{{
		"type": "TYPE_EQUAL", "name": s.name, "pattern": s.value, "rendered": s.name + "=" + strconv.Quote(s.value),
	}}
	from := start.Add(s.from).UTC()
	return object{
		"id": s.id, "matchers": matchers, "matcherSets": []object{{"matchers": matchers}}, "startsAt": from, "updatedAt": from,
		"endsAt": start.Add(s.to).UTC(), "createdBy": s.by, "comment": s.comment,
	}
}

func (a *alert) fingerprint() string { return decimal(a.labels.Fingerprint()) }

// decimal returns a fingerprint as events write it.
func decimal(fp grouping.Fingerprint) string {
	n, err := strconv.ParseUint(string(fp), 16, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// pollInterval is the time between two polls of the story, and pagerFails is when the pager
// fails, relative to the start of the story.
const pollInterval = 5 * time.Second

var pagerFails = [2]time.Duration{20 * time.Second, 50 * time.Second}

// poll tells which alerts a time interval mutes, because no event does, and how many
// notifications failed.
func poll(ctx context.Context, to poller, groups []*group, start, now time.Time) error {
	if now.Sub(start)%pollInterval >= tick {
		return nil
	}
	p := grouping.Poll{At: now.UTC(), StartedAt: start.Add(-time.Hour).UTC(), Version: version}
	for _, g := range groups {
		for _, a := range g.alerts {
			if _, from, _ := a.episode(start, now); a.interval != "" && !from.IsZero() {
				p.Alerts = append(p.Alerts, grouping.ObservedAlert{
					Group: grouping.ObservedGroup{Receiver: g.receiver, GroupLabels: g.labels()},
					Alert: grouping.NotifiedAlert{
						Fingerprint: a.labels.Fingerprint(), Status: grouping.StatusFiring, Labels: a.labels, Annotations: a.annotations,
						StartsAt: from.UTC(),
					},
					Listed: true, Mutes: []grouping.Mute{{Kind: grouping.MuteInterval, ID: a.interval}},
				})
			}
		}
	}
	failed := uint64(0)
	for at := pagerFails[0]; at < min(now.Sub(start), pagerFails[1]); at += pollInterval {
		failed++
	}
	to.RecordPoll(grouping.DefaultSource, single[0], grouping.PollReport{
		URL: single[0], Version: p.Version, LastAt: now.UTC(), Failed: map[string]uint64{"pagerduty": failed},
	})
	return to.ObservePoll(ctx, grouping.DefaultSource, single[0], p)
}
