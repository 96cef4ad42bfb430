package assistant

import (
	"context"
	"fmt"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Row has the numbers of a report for the alerts with one key.
type Row struct {
	Key               string   `json:"key"`
	Firings           int      `json:"firings" jsonschema:"episodes that began"`
	FiringsBefore     *int     `json:"firingsBefore,omitempty" jsonschema:"the same in the time of equal length before"`
	SecondsFiring     float64  `json:"secondsFiring"`
	Ended             int      `json:"ended" jsonschema:"episodes whose end is known"`
	MedianSeconds     *float64 `json:"medianSeconds,omitempty"`
	P90Seconds        *float64 `json:"p90Seconds,omitempty"`
	Flaps             int      `json:"flaps" jsonschema:"firings within an hour after the last one of the alert ended"`
	SelfResolvedShare *float64 `json:"selfResolvedShare,omitempty" jsonschema:"share of ended that was over within 5 minutes"`
	SuppressedShare   *float64 `json:"suppressedShare,omitempty"`
	AcknowledgedShare *float64 `json:"acknowledgedShare,omitempty"`
	Notifications     int      `json:"notifications"`
	LastAt            string   `json:"lastAt,omitempty"`
}

func (r Row) shape(s *shaper) Row {
	r.Key, r.LastAt = s.text(r.Key), s.text(r.LastAt)
	return r
}

func (r *Row) write(t *text, of string) {
	before := ""
	if r.FiringsBefore != nil {
		before = fmt.Sprintf(" (%d in the time before)", *r.FiringsBefore)
	}
	t.line("%s: %d firings%s, %.0f s firing, %d flaps, %d notifications", of, r.Firings, before, r.SecondsFiring, r.Flaps, r.Notifications)
}

// Received is the number of notifications of a receiver.
type Received struct {
	Receiver      string `json:"receiver"`
	Notifications int    `json:"notifications"`
}

// Day has the firings of a day.
type Day struct {
	Day     string `json:"day"`
	Firings int    `json:"firings"`
}

// reportInput are the arguments of report.
type reportInput struct {
	Since  string `json:"since,omitempty"`
	Until  string `json:"until,omitempty"`
	By     string `json:"by,omitempty"`
	Filter string `json:"filter,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// Report says what the alerts of a time cost.
type Report struct {
	Notice     string     `json:"notice"`
	Since      string     `json:"since"`
	Until      string     `json:"until"`
	KnownSince string     `json:"knownSince,omitempty" jsonschema:"when the history begins, if that is later than since"`
	Totals     Row        `json:"totals"`
	By         []Row      `json:"by" jsonschema:"most firings first"`
	Receivers  []Received `json:"receivers" jsonschema:"most notifications first"`
	Days       []Day      `json:"days"`
	Gaps       []Gap      `json:"gaps" jsonschema:"when Muster was not running. The numbers are then lower bounds"`
	LeftOut    []string   `json:"leftOut,omitempty" jsonschema:"what the answer does not have, and how to get it"`
	URL        string     `json:"url" jsonschema:"the page of the report, for people"`
}

func (s *server) addReport() {
	addTool(s, tool{
		name: "report", title: "Report about a time", properties: map[string]property{
			"since": {about: sinceProperty.about, usual: "7d"}, "until": untilProperty, "filter": filterProperty, "limit": atMost("rows"),
			"by": {about: "the label of the rows, such as alertname, namespace or severity, or the word receiver", usual: "alertname"},
		},
		about: "Says what the alerts of a time cost: how often they fired, for how long, how many notifications they made, " +
			"the noisiest first, compared with the time before.",
	}, s.report)
}

func (s *server) report(ctx context.Context, in reportInput) (*mcp.CallToolResult, Report, error) {
	query := url.Values{}
	set(query, "since", in.Since)
	set(query, "until", in.Until)
	set(query, "by", in.By)
	set(query, "filter", in.Filter)
	var got Report
	if err := s.client.get(ctx, &got, query, "report"); err != nil {
		return nil, Report{}, err
	}
	return fit(ctx, entriesOf(in.Limit), func(_ context.Context, entries int, shape *shaper) (Report, string, error) {
		var left leftOut
		out := Report{
			Notice: notice, Since: shape.text(got.Since), Until: shape.text(got.Until), KnownSince: shape.text(got.KnownSince),
			Totals: got.Totals.shape(shape), By: []Row{}, Receivers: []Received{}, Days: []Day{}, Gaps: []Gap{}, URL: s.client.page(query, "report"),
		}
		for _, r := range first(&left, "rows", got.By, entries, out.URL) {
			out.By = append(out.By, r.shape(shape))
		}
		for _, r := range first(&left, "receivers", got.Receivers, entries, out.URL) {
			out.Receivers = append(out.Receivers, Received{shape.text(r.Receiver), r.Notifications})
		}
		for _, d := range first(&left, "days", got.Days, maxEntries, out.URL) {
			out.Days = append(out.Days, Day{shape.text(d.Day), d.Firings})
		}
		for _, g := range first(&left, "gaps", got.Gaps, entries, out.URL) {
			out.Gaps = append(out.Gaps, Gap{shape.text(g.From), shape.text(g.To)})
		}
		left.add("the heat map of weekdays and hours. It is at %s", out.URL)
		left.texts(shape, s.client.page(query, "api", "v1", "report"))
		out.LeftOut = left
		return out, out.text(left), nil
	})
}

// text returns the text of the answer.
func (r *Report) text(left leftOut) string {
	t := newText()
	t.line("From %s to %s. %s", word(r.Since), word(r.Until), r.URL)
	if r.KnownSince != "" {
		t.line("The history begins at %s.", word(r.KnownSince))
	}
	r.Totals.write(t, "All alerts")
	for i := range r.By {
		r.By[i].write(t, data(r.By[i].Key))
	}
	for _, received := range r.Receivers {
		t.line("Receiver %s got %d notifications.", data(received.Receiver), received.Notifications)
	}
	for _, d := range r.Days {
		t.line("%s: %d firings", word(d.Day), d.Firings)
	}
	for _, g := range r.Gaps {
		t.line("Muster was not running from %s to %s, so the numbers are lower bounds.", word(g.From), word(g.To))
	}
	return t.end(left)
}

// first returns at most n entries of a list, and says what it left out.
func first[T any](left *leftOut, what string, list []T, n int, url string) []T {
	if len(list) <= n {
		return list
	}
	left.add("%d more %s. Ask for a larger limit, or see %s", len(list)-n, what, url)
	return list[:n]
}
