package assistant

import (
	"context"
	"maps"
	"net/url"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Counts is the number of alerts of a group by status.
type Counts struct {
	Firing     int `json:"firing"`
	Suppressed int `json:"suppressed"`
	Unreported int `json:"unreported"`
	Resolved   int `json:"resolved"`
}

// Span is a time. Without an end it continues.
type Span struct {
	StartsAt string `json:"startsAt,omitempty"`
	EndsAt   string `json:"endsAt,omitempty"`
}

// Gap is a time in which Muster was not running.
type Gap struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Ack is the acknowledgement of a group.
type Ack struct {
	By       string `json:"by"`
	Verified bool   `json:"verified" jsonschema:"whether the person signed in under this name"`
	At       string `json:"at"`
	Until    string `json:"until,omitempty"`
	Note     string `json:"note,omitempty"`
	NewSince int    `json:"newSince" jsonschema:"number of alerts that began to fire after it"`
}

// Closing says who closed a group that its sender did not close.
type Closing struct {
	By       string `json:"by"`
	Verified bool   `json:"verified"`
	At       string `json:"at"`
}

// Group is an alert group.
type Group struct {
	ID                string            `json:"id"`
	Source            string            `json:"source" jsonschema:"the cluster of Alertmanagers"`
	Receiver          string            `json:"receiver"`
	State             string            `json:"state" jsonschema:"firing, mixed, suppressed, unreported or resolved"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	Counts            Counts            `json:"counts"`
	Stale             bool              `json:"stale,omitempty" jsonschema:"whether it fires without a notification for long"`
	Truncated         int               `json:"truncated,omitempty" jsonschema:"number of alerts that the last notification left out"`
	CreatedAt         string            `json:"createdAt,omitempty"`
	UpdatedAt         string            `json:"updatedAt,omitempty"`
	LastNotifiedAt    string            `json:"lastNotifiedAt,omitempty"`
	ResolvedAt        string            `json:"resolvedAt,omitempty"`
	Notifications     int               `json:"notifications"`
	LastReason        string            `json:"lastReason,omitempty"`
	Episodes          []Span            `json:"episodes" jsonschema:"the last times in which the group fired"`
	Ack               *Ack              `json:"ack,omitempty"`
	ClosedBy          *Closing          `json:"closedBy,omitempty" jsonschema:"the person who closed it, because its sender did not"`
	URL               string            `json:"url" jsonschema:"the page of the group, for people"`
}

// maxEpisodes is the maximum number of episodes in an answer. The newest ones are kept.
const maxEpisodes = 5

// shape returns a copy of the group whose texts are safe to show.
func (g Group) shape(s *shaper, c *Client, at string) Group {
	g.ID, g.State = s.text(g.ID), s.text(g.State)
	g.Source, g.Receiver, g.LastReason = s.text(g.Source), s.text(g.Receiver), s.text(g.LastReason)
	g.GroupLabels, g.CommonAnnotations = s.labels(g.GroupLabels), s.labels(g.CommonAnnotations)
	g.CommonLabels = s.labels(g.CommonLabels)
	g.CreatedAt, g.UpdatedAt = s.text(g.CreatedAt), s.text(g.UpdatedAt)
	g.LastNotifiedAt, g.ResolvedAt = s.text(g.LastNotifiedAt), s.text(g.ResolvedAt)
	g.Episodes = shapeSpans(s, g.Episodes)
	if ack := g.Ack; ack != nil {
		g.Ack = &Ack{
			By: s.text(ack.By), Verified: ack.Verified, At: s.text(ack.At), Until: s.text(ack.Until), Note: s.text(ack.Note), NewSince: ack.NewSince,
		}
	}
	if c := g.ClosedBy; c != nil {
		g.ClosedBy = &Closing{s.text(c.By), c.Verified, s.text(c.At)}
	}
	query := url.Values{}
	if at != "" {
		query.Set("at", at)
	}
	g.URL = c.page(query, "groups", g.ID)
	return g
}

// shapeSpans returns the last episodes.
func shapeSpans(s *shaper, from []Span) []Span {
	to := []Span{}
	for _, one := range from[max(0, len(from)-maxEpisodes):] {
		to = append(to, Span{s.text(one.StartsAt), s.text(one.EndsAt)})
	}
	return to
}

// write adds the group to the text.
func (g *Group) write(t *text) {
	t.line("Group %s is %s: %d firing, %d suppressed, %d unreported, %d resolved. Source %s, receiver %s.",
		word(g.ID), word(g.State), g.Counts.Firing, g.Counts.Suppressed, g.Counts.Unreported, g.Counts.Resolved, data(g.Source), data(g.Receiver))
	t.labels("  group labels", g.GroupLabels)
	t.labels("  common labels", g.CommonLabels)
	t.labels("  common annotations", g.CommonAnnotations)
	if n := len(g.Episodes); n > 0 {
		t.line("  %s", spanText(g.Episodes[n-1]))
	}
	if g.LastNotifiedAt != "" {
		t.line("  %d notifications, the last one at %s, reason %s", g.Notifications, word(g.LastNotifiedAt), data(g.LastReason))
	}
	if g.Stale {
		t.line("  It fires, but no notification arrived for long. It may be over.")
	}
	if g.Truncated > 0 {
		t.line("  The last notification left out %d alerts.", g.Truncated)
	}
	if a := g.Ack; a != nil {
		t.line("  acknowledged by %s%s at %s%s, note %s. %d alerts are new since then.",
			data(a.By), verified(a.Verified), word(a.At), until(a.Until), data(a.Note), a.NewSince)
	}
	if c := g.ClosedBy; c != nil {
		t.line("  closed by %s%s at %s, because its sender did not", data(c.By), verified(c.Verified), word(c.At))
	}
}

func spanText(s Span) string {
	if s.EndsAt == "" {
		return "fires since " + word(s.StartsAt)
	}
	return "fired from " + word(s.StartsAt) + " to " + word(s.EndsAt)
}

func until(at string) string {
	if at == "" {
		return ""
	}
	return " until " + word(at)
}

func verified(is bool) string {
	if is {
		return ""
	}
	return " (name not verified)"
}

// past says which past state an answer has.
type past struct {
	At         string `json:"at,omitempty" jsonschema:"the time of the state; absent for the present"`
	KnownSince string `json:"knownSince,omitempty" jsonschema:"the history begins then"`
	Gap        *Gap   `json:"gap,omitempty" jsonschema:"Muster was not running at that time; the state is that of its begin"`
}

func (p past) shape(s *shaper) past {
	p.At, p.KnownSince = s.text(p.At), s.text(p.KnownSince)
	if g := p.Gap; g != nil {
		p.Gap = &Gap{s.text(g.From), s.text(g.To)}
	}
	return p
}

func (p past) write(t *text) {
	if p.At == "" {
		t.line("State of now.")
		return
	}
	t.line("State at %s, as Muster knew it then. The history begins at %s.", word(p.At), word(p.KnownSince))
	if g := p.Gap; g != nil {
		t.line("Muster was not running from %s to %s. The state is that of the begin of this gap.", word(g.From), word(g.To))
	}
}

// groupsInput are the arguments of list_groups.
type groupsInput struct {
	Filter   string   `json:"filter,omitempty"`
	State    []string `json:"state,omitempty"`
	Receiver string   `json:"receiver,omitempty"`
	Source   string   `json:"source,omitempty"`
	Ack      string   `json:"ack,omitempty"`
	Sort     string   `json:"sort,omitempty"`
	Limit    int      `json:"limit,omitempty"`
	Cursor   string   `json:"cursor,omitempty"`
}

// stateInput are the arguments of state_at.
type stateInput struct {
	At string `json:"at"`
	groupsInput
}

// Groups is a page of groups.
type Groups struct {
	Notice string `json:"notice"`
	past
	Total   int      `json:"total" jsonschema:"number of groups that the arguments select"`
	Groups  []Group  `json:"groups"`
	Next    string   `json:"next,omitempty" jsonschema:"cursor of the next page"`
	LeftOut []string `json:"leftOut,omitempty" jsonschema:"what the answer does not have, and how to get it"`
	URL     string   `json:"url" jsonschema:"the page with these groups, for people"`
}

func groupProperties() map[string]property {
	return map[string]property{
		"at": {about: aTime}, "filter": filterProperty, "receiver": receiverProperty, "source": sourceProperty,
		"state": oneOf("states of groups. firing selects every group with a firing alert. Without it, all",
			"firing", "mixed", "suppressed", "unreported", "resolved"),
		"ack":   oneOf("only groups that a person acknowledged (yes) or did not (no), or that have new alerts since (new)", "yes", "no", "new"),
		"sort":  {about: "order of the groups", words: []any{"severity", "newest", "name", "count", "updated"}, usual: "severity"},
		"limit": atMost("groups"), "cursor": cursorProperty,
	}
}

func (s *server) addGroups() {
	addTool(s, tool{
		name: "list_groups", title: "List alert groups", properties: groupProperties(),
		about: "Lists alert groups as they are now, the most urgent first. Use show_group for the alerts of one group.",
	}, func(ctx context.Context, in groupsInput) (*mcp.CallToolResult, Groups, error) {
		return s.listGroups(ctx, "", in)
	})
	addTool(s, tool{
		name: "state_at", title: "State at a time", properties: groupProperties(),
		about: "Lists alert groups as they were at a past time, as Muster knew them then. It answers what fired at that time.",
	}, func(ctx context.Context, in stateInput) (*mcp.CallToolResult, Groups, error) {
		return s.listGroups(ctx, in.At, in.groupsInput)
	})
}

// listGroups lists the groups of the present, or of a time.
func (s *server) listGroups(ctx context.Context, at string, in groupsInput) (*mcp.CallToolResult, Groups, error) {
	wanted := entriesOf(in.Limit)
	query := in.query()
	set(query, "at", at)
	return fit(ctx, wanted, func(ctx context.Context, entries int, shape *shaper) (Groups, string, error) {
		var got Groups
		asked := withPage(query, entries, in.Cursor)
		if err := s.client.get(ctx, &got, asked, "groups"); err != nil {
			return got, "", err
		}
		out := Groups{
			Notice: notice, past: got.past.shape(shape), Total: got.Total, Groups: []Group{}, Next: visible(got.Next), URL: s.client.page(query),
		}
		for _, g := range got.Groups {
			out.Groups = append(out.Groups, g.shape(shape, s.client, at))
		}
		var left leftOut
		left.next(len(out.Groups), wanted, out.Next)
		left.texts(shape, s.client.page(asked, "api", "v1", "groups"))
		out.LeftOut = left
		t := newText()
		out.past.write(t)
		t.line("%d of %d groups. %s", len(out.Groups), out.Total, out.URL)
		for i := range out.Groups {
			out.Groups[i].write(t)
		}
		return out, t.end(left), nil
	})
}

// query returns the parameters of the API without those of a page.
func (in groupsInput) query() url.Values {
	query := url.Values{}
	set(query, "filter", in.Filter)
	set(query, "receiver", in.Receiver)
	set(query, "source", in.Source)
	set(query, "ack", in.Ack)
	set(query, "sort", in.Sort)
	for _, state := range in.State {
		query.Add("state", state)
	}
	return query
}

// set sets a parameter, unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// withPage returns the parameters of a page of a list.
func withPage(query url.Values, limit int, cursor string) url.Values {
	page := url.Values{"limit": {strconv.Itoa(limit)}}
	maps.Copy(page, query)
	set(page, "cursor", cursor)
	return page
}
