package assistant

import (
	"context"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Event is an event of the history.
type Event struct {
	Time        string            `json:"time"`
	Kind        string            `json:"kind"`
	GroupID     string            `json:"groupId,omitempty"`
	Source      string            `json:"source,omitempty"`
	Receiver    string            `json:"receiver,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty"`
	Labels      map[string]string `json:"labels"`
	Was         string            `json:"was,omitempty" jsonschema:"status of the alert before"`
	StartsAt    string            `json:"startsAt,omitempty"`
	EndsAt      string            `json:"endsAt,omitempty"`
	Reason      string            `json:"reason,omitempty"`
	Integration string            `json:"integration,omitempty"`
	Firing      *int              `json:"firing,omitempty"`
	Resolved    *int              `json:"resolved,omitempty"`
	Truncated   *int              `json:"truncated,omitempty"`
	Mute        *Mute             `json:"mute,omitempty"`
	Silence     *SilenceChange    `json:"silence,omitempty"`
	From        string            `json:"from,omitempty"`
	To          string            `json:"to,omitempty"`
	By          string            `json:"by,omitempty" jsonschema:"the person who acknowledged, wrote a note or closed"`
	Verified    *bool             `json:"verified,omitempty" jsonschema:"whether the person signed in under this name"`
	Text        string            `json:"text,omitempty" jsonschema:"what the person wrote"`
	Until       string            `json:"until,omitempty"`
}

// Mute is what mutes an alert.
type Mute struct {
	Kind    string `json:"kind" jsonschema:"silence, inhibition or interval"`
	ID      string `json:"id"`
	Rule    string `json:"rule,omitempty"`
	By      string `json:"by,omitempty"`
	Comment string `json:"comment,omitempty"`
	Since   string `json:"since,omitempty"`
	Until   string `json:"until,omitempty"`
}

func (m Mute) shape(s *shaper) Mute {
	return Mute{s.text(m.Kind), s.text(m.ID), s.text(m.Rule), s.text(m.By), s.text(m.Comment), s.text(m.Since), s.text(m.Until)}
}

func (m Mute) text() string {
	said := "muted by " + word(m.Kind) + " " + data(m.ID)
	if m.By != "" {
		said += " of " + data(m.By)
	}
	if m.Comment != "" {
		said += ", comment " + data(m.Comment)
	}
	return said + until(m.Until)
}

// SilenceChange is what an event says about a silence.
type SilenceChange struct {
	ID        string   `json:"id"`
	CreatedBy string   `json:"createdBy,omitempty"`
	By        string   `json:"by,omitempty" jsonschema:"the person who changed it through Muster"`
	Verified  bool     `json:"verified,omitempty"`
	Comment   string   `json:"comment,omitempty"`
	Matchers  []string `json:"matchers,omitempty"`
	StartsAt  string   `json:"startsAt,omitempty"`
	EndsAt    string   `json:"endsAt,omitempty"`
}

// maxMatchers is the maximum number of matchers of a silence in an answer.
const maxMatchers = 10

// shape returns a copy of the event whose texts are safe to show.
func (e Event) shape(s *shaper) Event {
	for _, field := range []*string{
		&e.Time, &e.Kind, &e.GroupID, &e.Source, &e.Receiver, &e.Fingerprint, &e.Was, &e.StartsAt, &e.EndsAt, &e.Reason, &e.Integration,
		&e.From, &e.To, &e.By, &e.Text, &e.Until,
	} {
		*field = s.text(*field)
	}
	e.Labels = s.labels(e.Labels)
	if e.Mute != nil {
		mute := e.Mute.shape(s)
		e.Mute = &mute
	}
	if c := e.Silence; c != nil {
		e.Silence = &SilenceChange{
			ID: s.text(c.ID), CreatedBy: s.text(c.CreatedBy), By: s.text(c.By), Verified: c.Verified,
			Comment: s.text(c.Comment), Matchers: s.texts(c.Matchers, maxMatchers),
			StartsAt: s.text(c.StartsAt), EndsAt: s.text(c.EndsAt),
		}
	}
	return e
}

// write adds the event to the text as one line.
func (e *Event) write(t *text) {
	said := word(e.Time) + " " + word(e.Kind)
	add := func(name, shown, value string) {
		if value != "" {
			said += ", " + name + " " + shown
		}
	}
	add("group", word(e.GroupID), e.GroupID)
	add("alert", word(e.Fingerprint), e.Fingerprint)
	add("source", data(e.Source), e.Source)
	add("receiver", data(e.Receiver), e.Receiver)
	add("was", word(e.Was), e.Was)
	add("starts", word(e.StartsAt), e.StartsAt)
	add("ended", word(e.EndsAt), e.EndsAt)
	add("integration", data(e.Integration), e.Integration)
	add("reason", data(e.Reason), e.Reason)
	add("from", word(e.From), e.From)
	add("to", word(e.To), e.To)
	add("by", data(e.By)+verified(e.Verified == nil || *e.Verified), e.By)
	add("until", word(e.Until), e.Until)
	add("text", data(e.Text), e.Text)
	if e.Mute != nil {
		said += ", " + e.Mute.text()
	}
	if c := e.Silence; c != nil {
		said += ", silence " + data(c.ID) + " of " + data(c.CreatedBy) + ", comment " + data(c.Comment) + " " + list(c.Matchers) + until(c.EndsAt)
		add("changed through Muster by", data(c.By)+verified(c.Verified), c.By)
	}
	t.line("%s %s", said, pairs(e.Labels))
	if e.Firing != nil && e.Resolved != nil {
		t.line("  %d firing, %d resolved", *e.Firing, *e.Resolved)
	}
}

// eventsInput are the arguments of list_events.
type eventsInput struct {
	Filter   string `json:"filter,omitempty"`
	Kind     string `json:"kind,omitempty"`
	Group    string `json:"group,omitempty"`
	Alert    string `json:"alert,omitempty"`
	Receiver string `json:"receiver,omitempty"`
	Source   string `json:"source,omitempty"`
	Since    string `json:"since,omitempty"`
	Until    string `json:"until,omitempty"`
	Limit    int    `json:"limit,omitempty"`
	Cursor   string `json:"cursor,omitempty"`
}

// eventKinds are the kinds of events.
const eventKinds = "opened, closed, fired, refired, reopened, resolved, unreported, returned, notified, delivered, suppressed, " +
	"unsuppressed, silenceCreated, silenceChanged, silenceExpired, acknowledged, unacknowledged, noted, stale, expired, gap"

// Events is a page of the history.
type Events struct {
	Notice  string   `json:"notice"`
	Events  []Event  `json:"events" jsonschema:"the newest first"`
	Next    string   `json:"next,omitempty" jsonschema:"cursor of the next page"`
	LeftOut []string `json:"leftOut,omitempty" jsonschema:"what the answer does not have, and how to get it"`
	URL     string   `json:"url" jsonschema:"the page with these events, for people"`
}

func (s *server) addEvents() {
	addTool(s, tool{
		name: "list_events", title: "History of alerts", properties: map[string]property{
			"filter": filterProperty, "receiver": receiverProperty, "source": sourceProperty, "since": sinceProperty, "until": untilProperty,
			"kind":  {about: "kinds joined by commas: " + eventKinds, usual: "all"},
			"group": {about: "ID of a group"}, "alert": {about: "fingerprint of an alert"},
			"limit": atMost("events"), "cursor": cursorProperty,
		},
		about: "Lists what happened to alerts and groups, the newest first: what fired, resolved, was notified, suppressed or silenced.",
	}, s.listEvents)
}

func (s *server) listEvents(ctx context.Context, in eventsInput) (*mcp.CallToolResult, Events, error) {
	wanted := entriesOf(in.Limit)
	query := in.query()
	return fit(ctx, wanted, func(ctx context.Context, entries int, shape *shaper) (Events, string, error) {
		var got Events
		asked := withPage(query, entries, in.Cursor)
		if err := s.client.get(ctx, &got, asked, "events"); err != nil {
			return got, "", err
		}
		out := Events{Notice: notice, Events: []Event{}, Next: visible(got.Next), URL: s.client.page(query, "history")}
		t := newText()
		t.line("%d events, the newest first. %s", len(got.Events), out.URL)
		for _, e := range got.Events {
			shaped := e.shape(shape)
			out.Events = append(out.Events, shaped)
			shaped.write(t)
		}
		var left leftOut
		left.next(len(out.Events), wanted, out.Next)
		left.texts(shape, s.client.page(asked, "api", "v1", "events"))
		out.LeftOut = left
		return out, t.end(left), nil
	})
}

// query returns the parameters of the API without those of a page.
func (in eventsInput) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{
		"filter": in.Filter, "kind": in.Kind, "group": in.Group, "alert": in.Alert, "receiver": in.Receiver, "source": in.Source,
		"since": in.Since, "until": in.Until,
	} {
		set(query, name, value)
	}
	return query
}
