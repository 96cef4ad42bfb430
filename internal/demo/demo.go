// Package demo plays an invented story of notifications and events into the doors of
// Muster, so that one command shows it with data. They look like those of a real
// Alertmanager (see testdata/corpus and testdata/events). Each notification lists all
// alerts of a group. Some are truncated, some are sent by both replicas of a cluster, and
// one is a heartbeat. The events tell what mutes alerts, and who else is notified. People
// acknowledge two groups, and one of them gets a note and new alerts.
package demo

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"muster/grouping"
	"muster/internal/wire"
)

// The intervals of the story are short, so that one minute shows the events of a
// night.
const (
	tick           = time.Second
	repeatInterval = 45 * time.Second
	groupInterval  = 5 * time.Second // between two flushes of a group
)

// Target is the Muster to which the story is played.
type Target struct {
	Handler                 http.Handler
	WebhookPath, EventsPath string
	// Polls gets what only the API of an Alertmanager tells: time intervals.
	Polls poller
	// People gets what people write.
	People people
}

// poller is what the story needs of the domain. An error of ObservePoll is temporary: the
// next poll says the same.
type poller interface {
	ObservePoll(ctx context.Context, source, url string, p grouping.Poll) error
	RecordPoll(source, url string, r grouping.PollReport)
}

// Play plays the story until the context ends. It always returns nil.
func Play(ctx context.Context, to Target, logger *slog.Logger) error {
	start := time.Now()
	groups, events := story(), startups(start)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		now := time.Now()
		for _, g := range groups {
			messages := g.notifications(start, now)
			for _, m := range messages {
				if code := post(ctx, to.Handler, to.WebhookPath, m); code != http.StatusOK && ctx.Err() == nil {
					logger.Warn("Notification of the demo rejected", "code", code, "groupKey", m.GroupKey)
				}
			}
			g.write(ctx, to.People, logger, start, now)
			events = append(events, g.events(start, now, messages)...)
		}
		if len(events) > 0 {
			if code := post(ctx, to.Handler, to.EventsPath, events); code != http.StatusOK && ctx.Err() == nil {
				logger.Warn("Events of the demo rejected", "code", code)
			}
			events = nil
		}
		if err := poll(ctx, to.Polls, groups, start, now); err != nil && ctx.Err() == nil {
			logger.Warn("Poll of the demo rejected", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func post(ctx context.Context, to http.Handler, path string, m any) int {
	body, err := json.Marshal(m)
	if err != nil {
		return http.StatusInternalServerError
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError
	}
	r.Header.Set("Content-Type", "application/json")
	recorder := statusRecorder{header: http.Header{}}
	to.ServeHTTP(&recorder, r)
	return recorder.code
}

// statusRecorder is a ResponseWriter that records the status code and discards the
// body.
type statusRecorder struct {
	header http.Header
	code   int
}

func (r *statusRecorder) Header() http.Header { return r.header }

func (r *statusRecorder) WriteHeader(code int) { r.code = cmp.Or(r.code, code) }

func (r *statusRecorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return io.Discard.Write(p)
}

// group is an aggregation group of the story.
type group struct {
	receiver string
	groupBy  []string
	alerts   []*alert
	// replicas are the external URLs of the Alertmanagers. Each sends a copy.
	replicas []string
	// maxAlerts truncates the notifications, like max_alerts of Alertmanager. 0
	// means no limit.
	maxAlerts int
	// others are integrations of other receivers that get the same notifications.
	others []integration
	acts   []act // what people write, the first one first

	// The last notification: when it was sent, the state that it described, and
	// the number of its firing alerts.
	sentAt     time.Time
	sentState  string
	sentFiring int
	flushedAt  time.Time // the time of the last flush
	flushes    int
}

// integration is one integration of a receiver.
type integration struct{ receiver, name string }

// alert is an alert of the story.
type alert struct {
	labels      grouping.Labels
	annotations grouping.Labels
	// since is the start of the first episode, relative to the start of the story.
	since time.Duration
	// firingFor and quietFor alternate. If firingFor is 0, the alert never
	// resolves.
	firingFor, quietFor time.Duration
	// What mutes the alert, if anything: a silence, another alert that fires, or a time
	// interval that is always active.
	silence     *silence
	inhibitedBy *alert
	interval    string

	toldEnd time.Time // the last end that an event told
}

// silence is a silence of the story. Its times are relative to the start of the story.
type silence struct {
	id, by, comment string
	name, value     string // the matcher
	from, to        time.Duration
	told            bool // whether an event told that it was created
}

// episode returns the last episode of the alert. If the alert fires, to is zero. If
// it has not fired yet, from is zero, too.
func (a *alert) episode(start, now time.Time) (firing bool, from, to time.Time) {
	began := start.Add(a.since)
	if now.Before(began) {
		return false, time.Time{}, time.Time{}
	}
	if a.firingFor == 0 {
		return true, began, time.Time{}
	}
	cycle := a.firingFor + a.quietFor
	from = began.Add(now.Sub(began) / cycle * cycle)
	if to = from.Add(a.firingFor); now.Before(to) {
		return true, from, time.Time{}
	}
	return false, from, to
}

// muted reports whether no notification lists the alert.
func (a *alert) muted(start, now time.Time) bool {
	if a.inhibitedBy != nil {
		firing, _, _ := a.inhibitedBy.episode(start, now)
		return firing
	}
	return a.interval != "" || a.silence != nil && a.silence.active(start, now)
}

func (s *silence) active(start, now time.Time) bool {
	since := now.Sub(start)
	return since >= s.from && since < s.to
}

// endedMuted reports whether the alert ended while it was muted. Then no notification ever
// tells its end.
func (a *alert) endedMuted(start, now time.Time) bool {
	firing, _, to := a.episode(start, now)
	return !firing && !to.IsZero() && a.muted(start, to)
}

// notifications returns the messages that the group's Alertmanagers send now. They
// send if the state of the group changed, or if the repeat interval elapsed.
func (g *group) notifications(start, now time.Time) []wire.Message {
	var (
		listed []wire.Alert
		firing int
		state  strings.Builder
	)
	for _, a := range g.alerts {
		fires, from, to := a.episode(start, now)
		if from.IsZero() || a.muted(start, now) || a.endedMuted(start, now) || !fires && now.Sub(to) > 2*repeatInterval {
			continue
		}
		t := wire.Alert{
			Status: grouping.StatusResolved, Labels: a.labels, Annotations: a.annotations,
			StartsAt: from.UTC(), EndsAt: to.UTC(), Fingerprint: string(a.labels.Fingerprint()),
			GeneratorURL: "https://prometheus.example.net/graph?g0.expr=" + a.labels.Get("alertname"),
		}
		if fires {
			t.Status, t.EndsAt = grouping.StatusFiring, time.Time{}
			firing++
		}
		listed = append(listed, t)
		state.WriteString(t.Fingerprint + string(t.Status) + t.StartsAt.String())
	}
	current := state.String()
	if firing == 0 && (g.sentState == "" || !hasChanged(g.sentState, current)) ||
		current == g.sentState && now.Sub(g.sentAt) < repeatInterval {
		return nil
	}
	reason := g.reason(current, firing)
	g.sentState, g.sentAt, g.sentFiring = current, now, firing
	truncated := uint64(0)
	for ; g.maxAlerts > 0 && len(listed) > g.maxAlerts; truncated++ {
		listed = listed[:len(listed)-1]
	}
	messages := make([]wire.Message, 0, len(g.replicas))
	for _, replica := range g.replicas {
		messages = append(messages, g.message(listed, firing, truncated, reason, replica))
	}
	return messages
}

func hasChanged(sent, current string) bool { return sent != current && current != "" }

// reason returns Alertmanager's reason for a notification.
func (g *group) reason(current string, firing int) string {
	switch {
	case g.sentState == "":
		return "first notification"
	case current == g.sentState:
		return "repeat interval elapsed"
	case firing == 0:
		return "all alerts resolved"
	case firing > g.sentFiring:
		return "new alerts added"
	default:
		return "some alerts resolved"
	}
}

func (g *group) message(listed []wire.Alert, firing int, truncated uint64, reason, replica string) wire.Message {
	status := "resolved"
	if firing > 0 {
		status = "firing"
	}
	labels := g.labels()
	commonLabels := grouping.SharedLabels(len(listed), func(i int) grouping.Labels { return listed[i].Labels })
	commonAnnotations := grouping.SharedLabels(len(listed), func(i int) grouping.Labels { return listed[i].Annotations })
	return wire.Message{
		Data: &wire.Data{
			Receiver: g.receiver, Status: status, Alerts: listed, NotificationReason: reason, GroupLabels: labels,
			CommonLabels: commonLabels, CommonAnnotations: commonAnnotations, RouteLabels: grouping.Labels{}, ExternalURL: replica,
		},
		Version: "4", GroupKey: g.key(), TruncatedAlerts: truncated,
	}
}

// labels returns the group labels.
func (g *group) labels() grouping.Labels {
	list := make([]grouping.Label, 0, len(g.groupBy))
	for _, name := range g.groupBy {
		list = append(list, grouping.Label{Name: name, Value: g.alerts[0].labels.Get(name)})
	}
	return grouping.LabelsOf(list)
}

func (g *group) key() string {
	return fmt.Sprintf("{}/{receiver=%q}:{%s}", g.receiver, keyOf(g.labels()))
}

// keyOf returns labels as they appear in a group key.
func keyOf(labels grouping.Labels) string {
	pairs := make([]string, 0, labels.Len())
	for name, value := range labels.All() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
	}
	return strings.Join(pairs, ", ")
}
