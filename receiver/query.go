package receiver

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// parseListQuery reads what selects groups from a URL's query.
func parseListQuery(v url.Values) (q grouping.ListQuery, err error) {
	q.Receiver, q.Source, q.Cursor = v.Get("receiver"), v.Get("source"), v.Get("cursor")
	q.Sort = grouping.Sort(v.Get("sort"))
	for _, state := range list(v["state"]) {
		q.States = append(q.States, grouping.State(state))
	}
	if q.Matchers, err = parseFilter(v["filter"]); err != nil {
		return q, err
	}
	q.Limit, err = parseLimit(v.Get("limit"))
	return q, err
}

// eventCursor is what a cursor of the history looks like: an event's ID. Any
// other text would stand for some place in it, too.
var eventCursor = regexp.MustCompile(`^[0-9a-f]{38,40}$`)

// parseEventQuery reads what selects history from a URL's query.
func parseEventQuery(v url.Values) (q grouping.EventQuery, err error) {
	if q.Cursor = v.Get("cursor"); q.Cursor != "" && !eventCursor.MatchString(q.Cursor) {
		return q, fmt.Errorf("%w: cursor: not one that this server gave out", grouping.ErrBadQuery)
	}
	for _, kind := range list(v["kind"]) {
		q.Kinds = append(q.Kinds, grouping.EventKind(kind))
	}
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"since", &q.Since}, {"until", &q.Until}} {
		if text := v.Get(t.name); text != "" {
			if *t.at, err = parseTime(text); err != nil {
				return q, fmt.Errorf("%w: %s: %s is neither an RFC 3339 time nor Unix seconds", grouping.ErrBadQuery, t.name, quoted(text))
			}
		}
	}
	if q.Matchers, err = parseFilter(v["filter"]); err != nil {
		return q, err
	}
	q.Limit, err = parseLimit(v.Get("limit"))
	return q, err
}

// parseFilter reads Alertmanager matchers: one parameter each, or several in
// one, joined by commas.
func parseFilter(filters []string) (labels.Matchers, error) {
	var all labels.Matchers
	for _, text := range filters {
		if strings.TrimSpace(text) == "" {
			continue
		}
		matchers, err := parse.Matchers(text)
		if err != nil {
			return nil, fmt.Errorf("%w: filter: %w", grouping.ErrBadQuery, err)
		}
		all = append(all, matchers...)
	}
	return all, nil
}

func parseLimit(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > grouping.MaxLimit {
		return 0, fmt.Errorf("%w: limit: %s is not a number between 1 and %d", grouping.ErrBadQuery, quoted(text), grouping.MaxLimit)
	}
	return n, nil
}

func parseTime(text string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1<<37 {
		return time.UnixMilli(int64(seconds * 1000)).UTC(), nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

// list splits repeated and comma-joined values.
func list(values []string) []string {
	var all []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				all = append(all, item)
			}
		}
	}
	return all
}
