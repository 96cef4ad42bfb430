package assistant

import (
	"cmp"
	"context"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Alert is an alert of a group.
type Alert struct {
	Fingerprint  string            `json:"fingerprint"`
	Status       string            `json:"status" jsonschema:"firing, suppressed, unreported or resolved"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	StartsAt     string            `json:"startsAt,omitempty"`
	EndsAt       string            `json:"endsAt,omitempty"`
	LastSeenAt   string            `json:"lastSeenAt,omitempty"`
	Disputed     bool              `json:"disputed,omitempty" jsonschema:"whether the replicas of Alertmanager contradict each other"`
	Notified     bool              `json:"notified" jsonschema:"whether a notification listed it"`
	Mutes        []Mute            `json:"mutes"`
}

// maxMutes is the maximum number of mutes of an alert in an answer.
const maxMutes = 3

func (a Alert) shape(s *shaper) Alert {
	for _, field := range []*string{&a.Fingerprint, &a.Status, &a.GeneratorURL, &a.StartsAt, &a.EndsAt, &a.LastSeenAt} {
		*field = s.text(*field)
	}
	a.Labels, a.Annotations = s.labels(a.Labels), s.labels(a.Annotations)
	mutes := []Mute{}
	for i, m := range a.Mutes {
		if i == maxMutes {
			s.cut += len(a.Mutes) - i
			break
		}
		mutes = append(mutes, m.shape(s))
	}
	a.Mutes = mutes
	return a
}

func (a *Alert) write(t *text) {
	t.line("Alert %s is %s, %s: %s", word(a.Fingerprint), word(a.Status), spanText(Span{a.StartsAt, a.EndsAt}), pairs(a.Labels))
	t.labels("  annotations", a.Annotations)
	for _, m := range a.Mutes {
		t.line("  %s", m.text())
	}
	if !a.Notified {
		t.line("  No notification listed it.")
	}
	if a.Disputed {
		t.line("  The replicas of Alertmanager contradict each other about it.")
	}
	if a.GeneratorURL != "" {
		t.line("  from %s", data(a.GeneratorURL))
	}
}

// Note is what a person wrote about a group.
type Note struct {
	By       string `json:"by"`
	Verified bool   `json:"verified"`
	At       string `json:"at"`
	Text     string `json:"text"`
}

// maxNotes is the maximum number of notes in an answer. The newest ones are kept.
const maxNotes = 5

// Before says how often a group fired before.
type Before struct {
	Since           string   `json:"since"`
	Firings7d       *int     `json:"firings7d,omitempty"`
	Firings30d      int      `json:"firings30d"`
	Resolved        int      `json:"resolved" jsonschema:"number of firings that were resolved. The durations are theirs"`
	MedianSeconds   *float64 `json:"medianSeconds,omitempty"`
	P90Seconds      *float64 `json:"p90Seconds,omitempty"`
	LongerThanUsual bool     `json:"longerThanUsual"`
	Last            *Span    `json:"last,omitempty"`
}

func (b *Before) shape(s *shaper) *Before {
	if b == nil {
		return nil
	}
	shaped := *b
	shaped.Since = s.text(b.Since)
	if b.Last != nil {
		shaped.Last = &Span{s.text(b.Last.StartsAt), s.text(b.Last.EndsAt)}
	}
	return &shaped
}

func (b *Before) write(t *text) {
	t.line("It fired %d times since %s, of which %d were resolved.", b.Firings30d, word(b.Since), b.Resolved)
	if b.MedianSeconds != nil && b.P90Seconds != nil {
		t.line("Half of them took up to %.0f s, nine of ten up to %.0f s.", *b.MedianSeconds, *b.P90Seconds)
	}
	if b.LongerThanUsual {
		t.line("It takes longer than usual now.")
	}
}

// groupInput are the arguments of show_group.
type groupInput struct {
	ID     string `json:"id"`
	At     string `json:"at,omitempty"`
	Status string `json:"status,omitempty"`
	Skip   int    `json:"skip,omitempty"`
	Alerts int    `json:"alerts,omitempty"`
	Events int    `json:"events,omitempty"`
}

// GroupDetail is a group with its alerts and its timeline.
type GroupDetail struct {
	Notice string `json:"notice"`
	past
	Group    Group    `json:"group"`
	Before   *Before  `json:"before,omitempty" jsonschema:"how often the group fired before"`
	Notes    []Note   `json:"notes,omitempty" jsonschema:"the last notes of people"`
	Alerts   []Alert  `json:"alerts"`
	Timeline []Event  `json:"timeline" jsonschema:"the newest first"`
	LeftOut  []string `json:"leftOut,omitempty" jsonschema:"what the answer does not have, and how to get it"`
}

// groupAnswer is a group as the API answers it.
type groupAnswer struct {
	past
	Group
	Before *Before   `json:"before"`
	Notes  []Note    `json:"notes"`
	Alerts alertPage `json:"alerts"`
}

// alertPage is a part of the alerts of a group. It skips the others while it reads them, because
// a group can have 10,000.
type alertPage struct {
	status    string // "": any
	skip, max int

	alerts []Alert
	total  int // with the status
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (p *alertPage) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if token, err := dec.ReadToken(); err != nil || token.Kind() != jsontext.KindBeginArray {
		return cmp.Or(err, errNoList)
	}
	for dec.PeekKind() != jsontext.KindEndArray {
		var a Alert
		if err := json.UnmarshalDecode(dec, &a); err != nil {
			return err
		}
		if p.status != "" && a.Status != p.status {
			continue
		}
		if p.total++; p.total > p.skip && len(p.alerts) < p.max {
			p.alerts = append(p.alerts, a)
		}
	}
	_, err := dec.ReadToken()
	return err
}

// groupID matches the ID of a group.
var groupID = regexp.MustCompile(`^[0-9a-f]{20}$`)

func (s *server) addGroup() {
	addTool(s, tool{
		name: "show_group", title: "One group with its timeline",
		about: "Shows one alert group with its alerts, its acknowledgement and notes, how often it fired before, and its timeline.",
		properties: map[string]property{
			"id":     {about: "ID of the group, 20 hex digits"},
			"at":     {about: "the state of a past time: " + aTime + ". The timeline then ends there", usual: "the present"},
			"status": oneOf("only alerts with this status", "firing", "suppressed", "unreported", "resolved"),
			"skip":   {about: "number of alerts to skip, to read on in a large group", max: 1_000_000},
			"alerts": atMost("alerts"), "events": atMost("events of the timeline"),
		},
	}, s.showGroup)
}

func (s *server) showGroup(ctx context.Context, in groupInput) (*mcp.CallToolResult, GroupDetail, error) {
	if !groupID.MatchString(in.ID) {
		return nil, GroupDetail{}, errNoID
	}
	alerts, events := entriesOf(in.Alerts), entriesOf(in.Events)
	return fit(ctx, max(alerts, events), func(ctx context.Context, entries int, shape *shaper) (GroupDetail, string, error) {
		return s.tryGroup(ctx, in, min(alerts, entries), min(events, entries), shape)
	})
}

// tryGroup answers with so many alerts and events.
func (s *server) tryGroup(ctx context.Context, in groupInput, alerts, events int, shape *shaper) (GroupDetail, string, error) {
	query := url.Values{}
	set(query, "at", in.At)
	got := groupAnswer{Alerts: alertPage{status: in.Status, skip: in.Skip, max: alerts}}
	if err := s.client.get(ctx, &got, query, "groups", in.ID); err != nil {
		return GroupDetail{}, "", err
	}
	until := url.Values{}
	set(until, "until", got.At)
	var timeline Events
	if err := s.client.get(ctx, &timeline, withPage(until, events, ""), "groups", in.ID, "events"); err != nil {
		return GroupDetail{}, "", err
	}
	out := GroupDetail{
		Notice: notice, past: got.past.shape(shape), Group: got.Group.shape(shape, s.client, in.At), Before: got.Before.shape(shape),
		Alerts: []Alert{}, Timeline: []Event{},
	}
	for _, n := range got.Notes[max(0, len(got.Notes)-maxNotes):] {
		out.Notes = append(out.Notes, Note{shape.text(n.By), n.Verified, shape.text(n.At), shape.text(n.Text)})
	}
	for _, a := range got.Alerts.alerts {
		out.Alerts = append(out.Alerts, a.shape(shape))
	}
	for _, e := range timeline.Events {
		e.GroupID = "" // it is that of the group
		out.Timeline = append(out.Timeline, e.shape(shape))
	}
	var left leftOut
	if rest := got.Alerts.total - in.Skip - len(out.Alerts); rest > 0 {
		left.add("%d more alerts. Ask again with skip %d, or with a status", rest, in.Skip+len(out.Alerts))
	}
	if n := len(got.Notes) - len(out.Notes); n > 0 {
		left.add("%d older notes. They are at %s", n, out.Group.URL)
	}
	if timeline.Next != "" {
		left.add("older events of the timeline. Ask list_events with group %s and cursor %s", word(in.ID), word(timeline.Next))
	}
	left.texts(shape, s.client.page(query, "api", "v1", "groups", in.ID))
	out.LeftOut = left
	return out, out.text(left), nil
}

// text returns the text of the answer.
func (d *GroupDetail) text(left leftOut) string {
	t := newText()
	d.past.write(t)
	d.Group.write(t)
	t.line("Its page: %s", d.Group.URL)
	if d.Before != nil {
		d.Before.write(t)
	}
	for _, n := range d.Notes {
		t.line("Note by %s%s at %s: %s", data(n.By), verified(n.Verified), word(n.At), data(n.Text))
	}
	for i := range d.Alerts {
		d.Alerts[i].write(t)
	}
	t.line("Timeline, the newest first:")
	for i := range d.Timeline {
		d.Timeline[i].write(t)
	}
	return strings.TrimRight(t.end(left), "\n")
}
