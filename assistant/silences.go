package assistant

import (
	"cmp"
	"context"
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Silence is a silence of Alertmanager.
type Silence struct {
	ID         string   `json:"id"`
	Source     string   `json:"source"`
	State      string   `json:"state" jsonschema:"active, pending or expired"`
	CreatedBy  string   `json:"createdBy"`
	Comment    string   `json:"comment"`
	Matchers   []string `json:"matchers"`
	OtherSets  int      `json:"otherSets,omitempty" jsonschema:"number of further sets of matchers"`
	StartsAt   string   `json:"startsAt,omitempty"`
	EndsAt     string   `json:"endsAt,omitempty"`
	Ended      string   `json:"ended,omitempty" jsonschema:"expired if it ended as planned, endedEarly if somebody ended it"`
	Muted      int      `json:"muted" jsonschema:"number of alerts that it was seen to mute"`
	MutesNow   int      `json:"mutesNow" jsonschema:"number of them that it mutes now"`
	Expected   int      `json:"expected" jsonschema:"number of other alerts that it matches"`
	SomeAlerts []string `json:"someAlerts,omitempty" jsonschema:"fingerprints of some of these alerts"`
}

// silenceAnswer is a silence as the API answers it.
type silenceAnswer struct {
	ID         string       `json:"id"`
	Source     string       `json:"source"`
	State      string       `json:"state"`
	CreatedBy  string       `json:"createdBy"`
	Comment    string       `json:"comment"`
	Matchers   []string     `json:"matchers"`
	OrMatchers [][]string   `json:"orMatchers"`
	StartsAt   string       `json:"startsAt"`
	EndsAt     string       `json:"endsAt"`
	Ended      string       `json:"ended"`
	Expected   some[string] `json:"expected"`
	Muted      some[muted]  `json:"muted"`
}

// muted is an alert that a silence mutes or muted.
type muted struct {
	Fingerprint string `json:"fingerprint"`
	Active      bool   `json:"active"`
}

// maxSome is the number of fingerprints of alerts of a silence in an answer.
const maxSome = 5

// some are the first entries of a list that can be very long, and how many it has.
type some[T any] struct {
	first []T
	total int
	// active is the number of muted alerts that are active.
	active int
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *some[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if token, err := dec.ReadToken(); err != nil || token.Kind() != jsontext.KindBeginArray {
		return cmp.Or(err, errNoList)
	}
	for dec.PeekKind() != jsontext.KindEndArray {
		var one T
		if err := json.UnmarshalDecode(dec, &one); err != nil {
			return err
		}
		if s.total++; len(s.first) < maxSome {
			s.first = append(s.first, one)
		}
		if m, ok := any(one).(muted); ok && m.Active {
			s.active++
		}
	}
	_, err := dec.ReadToken()
	return err
}

func (a *silenceAnswer) shape(s *shaper) Silence {
	shaped := Silence{
		ID: s.text(a.ID), Source: s.text(a.Source), State: s.text(a.State), CreatedBy: s.text(a.CreatedBy), Comment: s.text(a.Comment),
		Matchers: s.texts(a.Matchers, maxMatchers), OtherSets: len(a.OrMatchers), StartsAt: s.text(a.StartsAt), EndsAt: s.text(a.EndsAt),
		Ended: s.text(a.Ended), Muted: a.Muted.total, MutesNow: a.Muted.active, Expected: a.Expected.total,
	}
	for _, m := range a.Muted.first {
		shaped.SomeAlerts = append(shaped.SomeAlerts, s.text(m.Fingerprint))
	}
	for _, fp := range a.Expected.first {
		if len(shaped.SomeAlerts) < maxSome {
			shaped.SomeAlerts = append(shaped.SomeAlerts, s.text(fp))
		}
	}
	return shaped
}

func (v *Silence) write(t *text) {
	t.line("Silence %s of source %s is %s from %s to %s, by %s: %s",
		data(v.ID), data(v.Source), word(v.State), word(v.StartsAt), word(v.EndsAt), data(v.CreatedBy), data(v.Comment))
	t.line("  matchers: %s", list(v.Matchers))
	if v.OtherSets > 0 {
		t.line("  or %d further sets of matchers", v.OtherSets)
	}
	t.line("  It muted %d alerts, mutes %d of them now, and matches %d others.", v.Muted, v.MutesNow, v.Expected)
}

// silencesInput are the arguments of list_silences.
type silencesInput struct {
	State  string `json:"state,omitempty"`
	Filter string `json:"filter,omitempty"`
	Source string `json:"source,omitempty"`
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// Silences is a page of silences.
type Silences struct {
	Notice   string    `json:"notice"`
	Total    int       `json:"total" jsonschema:"number of silences that the arguments select"`
	Silences []Silence `json:"silences"`
	Next     string    `json:"next,omitempty" jsonschema:"cursor of the next page"`
	LeftOut  []string  `json:"leftOut,omitempty" jsonschema:"what the answer does not have, and how to get it"`
	URL      string    `json:"url" jsonschema:"the page with these silences, for people"`
}

func (s *server) addSilences() {
	addTool(s, tool{
		name: "list_silences", title: "Silences", properties: map[string]property{
			"state": oneOf("only silences in this state. Without it, all: active ones first", "active", "pending", "expired"),
			"filter": {about: `matchers such as namespace="payments" select silences with a matcher of that name. ` +
				"Words are searched in matchers, creator and comment"},
			"source": sourceProperty, "limit": atMost("silences"), "cursor": cursorProperty,
		},
		about: "Lists the silences of Alertmanager that Muster knows: who made them, why, until when, and how many alerts they mute.",
	}, s.listSilences)
}

func (s *server) listSilences(ctx context.Context, in silencesInput) (*mcp.CallToolResult, Silences, error) {
	wanted := entriesOf(in.Limit)
	query := url.Values{}
	set(query, "state", in.State)
	set(query, "filter", in.Filter)
	set(query, "source", in.Source)
	return fit(ctx, wanted, func(ctx context.Context, entries int, shape *shaper) (Silences, string, error) {
		var got struct {
			Total    int             `json:"total"`
			Silences []silenceAnswer `json:"silences"`
			Next     string          `json:"next"`
		}
		asked := withPage(query, entries, in.Cursor)
		if err := s.client.get(ctx, &got, asked, "silences"); err != nil {
			return Silences{}, "", err
		}
		out := Silences{Notice: notice, Total: got.Total, Silences: []Silence{}, Next: visible(got.Next), URL: s.client.page(query, "silences")}
		t := newText()
		t.line("%d of %d silences. %s", len(got.Silences), out.Total, out.URL)
		for i := range got.Silences {
			shaped := got.Silences[i].shape(shape)
			out.Silences = append(out.Silences, shaped)
			shaped.write(t)
		}
		var left leftOut
		left.next(len(out.Silences), wanted, out.Next)
		left.texts(shape, s.client.page(asked, "api", "v1", "silences"))
		out.LeftOut = left
		return out, t.end(left), nil
	})
}
