// Package demo plays made-up notifications into a webhook, so that anyone sees
// a living Muster with one command. They have the shape and the habits of those
// that real Alertmanagers send (see testdata/corpus): all alerts of a group each
// time, copies from the replicas of a cluster, cut lists, a heartbeat.
package demo

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"muster/grouping"
	"muster/internal/webhook"
)

// Settings of the play: it is fast, so that a minute shows what a night has.
const (
	tick   = time.Second
	repeat = 45 * time.Second
)

// Play sends the story's notifications to the webhook until the context ends.
func Play(ctx context.Context, to http.Handler, path string, logger *slog.Logger) error {
	start := time.Now()
	groups := story()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		now := time.Now()
		for _, g := range groups {
			for _, m := range g.notifications(start, now) {
				if code := post(ctx, to, path, m); code != http.StatusOK && ctx.Err() == nil {
					logger.Warn("The demo's notification was refused", "code", code, "groupKey", m.GroupKey)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func post(ctx context.Context, to http.Handler, path string, m webhook.Message) int {
	body, err := json.Marshal(m)
	if err != nil {
		return http.StatusInternalServerError
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError
	}
	r.Header.Set("Content-Type", "application/json")
	answer := answer{header: http.Header{}}
	to.ServeHTTP(&answer, r)
	return answer.code
}

// answer keeps the status of a response.
type answer struct {
	header http.Header
	code   int
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(code int) { a.code = cmp.Or(a.code, code) }

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return io.Discard.Write(p)
}

// group is an aggregation group of the story.
type group struct {
	receiver string
	by       []string
	alerts   []*alert
	// replicas are the Alertmanagers that each send a copy.
	replicas []string
	// most cuts the list, as max_alerts does; 0: whole.
	most int

	sentAt time.Time
	sent   string // what the last notification said
	firing int    // how many alerts it listed as firing
}

// alert is an alert of the story. It fires in turns.
type alert struct {
	labels      grouping.Labels
	annotations grouping.Labels
	// since is when it began, before the start of the play where negative; it
	// fires for on, is quiet for off, and so on. on 0: it goes on firing.
	since   time.Duration
	on, off time.Duration
	// silenced is when, after the start, an operator silences it for a while.
	silenced time.Duration
}

const silenceFor = 40 * time.Second

// at tells of the alert at a time: whether it fires, since when, and where it
// is quiet until when its last episode went.
func (a *alert) at(start, now time.Time) (firing bool, from, to time.Time) {
	began := start.Add(a.since)
	if now.Before(began) {
		return false, time.Time{}, time.Time{}
	}
	if a.on == 0 {
		return true, began, time.Time{}
	}
	turn := a.on + a.off
	from = began.Add(now.Sub(began) / turn * turn)
	if to = from.Add(a.on); now.Before(to) {
		return true, from, time.Time{}
	}
	return false, from, to
}

func (a *alert) muted(start, now time.Time) bool {
	since := now.Sub(start.Add(a.silenced))
	return a.silenced > 0 && since >= 0 && since < silenceFor
}

// notifications returns what the group's Alertmanagers send now: something when
// what there is to say changed, or was said long ago.
func (g *group) notifications(start, now time.Time) []webhook.Message {
	var (
		listed []webhook.Alert
		firing int
		said   strings.Builder
	)
	for _, a := range g.alerts {
		on, from, to := a.at(start, now)
		if from.IsZero() || a.muted(start, now) || !on && now.Sub(to) > 2*repeat {
			continue
		}
		t := webhook.Alert{
			Status: grouping.StatusResolved, Labels: a.labels, Annotations: a.annotations,
			StartsAt: from.UTC(), EndsAt: to.UTC(), Fingerprint: string(a.labels.Fingerprint()),
			GeneratorURL: "https://prometheus.example.net/graph?g0.expr=" + a.labels["alertname"],
		}
		if on {
			t.Status, t.EndsAt = grouping.StatusFiring, time.Time{}
			firing++
		}
		listed = append(listed, t)
		said.WriteString(t.Fingerprint + string(t.Status) + t.StartsAt.String())
	}
	says := said.String()
	if firing == 0 && (g.sent == "" || !hasNews(g.sent, says)) || says == g.sent && now.Sub(g.sentAt) < repeat {
		return nil
	}
	reason := g.reason(says, firing)
	g.sent, g.sentAt, g.firing = says, now, firing
	cut := uint64(0)
	for ; g.most > 0 && len(listed) > g.most; cut++ {
		listed = listed[:len(listed)-1]
	}
	messages := make([]webhook.Message, 0, len(g.replicas))
	for _, replica := range g.replicas {
		messages = append(messages, g.message(listed, firing, cut, reason, replica))
	}
	return messages
}

func hasNews(sent, says string) bool { return sent != says && says != "" }

func (g *group) reason(says string, firing int) string {
	switch {
	case g.sent == "":
		return "first notification"
	case says == g.sent:
		return "repeat interval elapsed"
	case firing == 0:
		return "all alerts resolved"
	case firing > g.firing:
		return "new alerts added"
	default:
		return "some alerts resolved"
	}
}

func (g *group) message(listed []webhook.Alert, firing int, cut uint64, reason, replica string) webhook.Message {
	status := "resolved"
	if firing > 0 {
		status = "firing"
	}
	labels := grouping.Labels{}
	for _, name := range g.by {
		labels[name] = g.alerts[0].labels[name]
	}
	commonLabels, commonAnnotations := maps.Clone(listed[0].Labels), maps.Clone(listed[0].Annotations)
	for _, a := range listed[1:] {
		keepEqual(commonLabels, a.Labels)
		keepEqual(commonAnnotations, a.Annotations)
	}
	return webhook.Message{
		Data: &webhook.Data{
			Receiver: g.receiver, Status: status, Alerts: listed, NotificationReason: reason, GroupLabels: labels,
			CommonLabels: commonLabels, CommonAnnotations: commonAnnotations, RouteLabels: grouping.Labels{}, ExternalURL: replica,
		},
		Version: "4", GroupKey: fmt.Sprintf("{}/{receiver=%q}:{%s}", g.receiver, keyOf(labels)), TruncatedAlerts: cut,
	}
}

func keepEqual(common, other grouping.Labels) {
	maps.DeleteFunc(common, func(name, value string) bool { return other[name] != value })
}

func keyOf(labels grouping.Labels) string {
	pairs := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return strings.Join(pairs, ", ")
}
