package pages_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/testserver"
)

// knownPast has reports of a history that the test makes.
type knownPast struct {
	testserver.Past

	digest *history.Digest
}

func (p knownPast) Report(_ context.Context, q history.ReportQuery) (*history.Report, error) {
	return p.digest.Report(q), nil
}

func (p knownPast) Counted(_ context.Context, q history.CountedQuery) (*history.Counted, error) {
	return p.digest.Counted(q), nil
}

// busyWeek is a history from November 1 to 24: an alert of two receivers with 260 firings that
// flaps, one that is lost, one without a severity, and a receiver that only deliveries name.
func busyWeek() *history.Digest {
	start := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	d := history.NewDigest(start, nil)
	writes := uint16(0)
	add := func(when time.Duration, e grouping.Event) {
		writes++
		e.Time = start.Add(when)
		e.ID = string(grouping.NewStamp(e.Time, writes, "0123abcd")) + "000000"
		d.Add(&e)
	}
	alert := func(when time.Duration, kind grouping.EventKind, receiver string, labels grouping.Labels, began, ended time.Duration) {
		key := grouping.Key{Source: "prod", Receiver: receiver, GroupKey: labels.Get("alertname")}
		e := grouping.Event{
			Kind: kind, GroupID: key.ID(), Source: "prod", Receiver: receiver, Fingerprint: labels.Fingerprint(), Labels: labels,
			StartsAt: start.Add(began),
		}
		if ended > 0 {
			e.EndsAt = start.Add(ended)
		}
		add(when, e)
		reason := history.KnownReasons()[int(writes)%5]
		if writes%7 == 0 {
			reason = "a new reason"
		}
		add(when, grouping.Event{
			Kind: grouping.EventNotified, GroupID: key.ID(), Source: "prod", Receiver: receiver,
			Notified: &grouping.Notified{Reason: reason, Firing: 1},
		})
	}
	cpu := grouping.NewLabels(map[string]string{"alertname": "CPU", "severity": "critical", "pod": "a"})
	mem := grouping.NewLabels(map[string]string{"alertname": `Mem "and" <more>`, "severity": "warning"})
	odd := grouping.NewLabels(map[string]string{"alertname": "Odd"})
	for i := range time.Duration(260) {
		began := i * 2 * time.Hour
		ended := began + 4*time.Minute + i%50*time.Minute
		if i == 200 {
			alert(began, grouping.EventFired, "team", mem, began, 0)
			alert(began, grouping.EventFired, "team", odd, began, 0)
		}
		alert(began+time.Minute, grouping.EventFired, "team", cpu, began, 0)
		alert(began+time.Minute, grouping.EventFired, "other", cpu, began, 0)
		if i%8 == 0 {
			key := grouping.Key{Source: "prod", Receiver: "team", GroupKey: "CPU"}
			add(began+2*time.Minute, grouping.Event{
				Kind: grouping.EventDelivered, GroupID: key.ID(), Source: "prod", Receiver: "team",
				Delivery: &grouping.Delivery{
					Receiver: "pager", Integration: "slack", Reason: history.KnownReasons()[0], Flush: strconv.Itoa(int(i)), Firing: 1,
				},
			})
		}
		if i%10 == 0 {
			alert(began+2*time.Minute, grouping.EventSuppressed, "team", cpu, began, 0)
		}
		alert(ended, grouping.EventResolved, "team", cpu, began, ended)
		alert(ended, grouping.EventResolved, "other", cpu, began, ended)
		if again := ended + 10*time.Minute; i%40 == 30 {
			alert(again, grouping.EventRefired, "team", cpu, again, 0)
			alert(again+time.Minute, grouping.EventResolved, "team", cpu, again, again+time.Minute)
		}
		if i == 200 {
			alert(began+time.Hour, grouping.EventUnreported, "team", mem, began, 0)
		}
	}
	for _, from := range []time.Duration{18, 19} {
		gap := grouping.Gap{From: start.Add(from * 24 * time.Hour), To: start.Add(from*24*time.Hour + 8*time.Minute)}
		add(22*24*time.Hour+from, grouping.Event{Kind: grouping.EventGap, Gap: &gap})
	}
	return d
}

var (
	anchor  = regexp.MustCompile(`<a [^>]*?href="([^"]*)"[^>]*>([^<]*)</a>(?: <small>([^<]*)</small>)?`)
	listRow = regexp.MustCompile(`<tr data-key|<tr><td data-h="from"`)
	heading = regexp.MustCompile(`<h1>([^<]*)</h1>`)
)

// listed follows a link to the list behind a number, and all its pages. It returns how many rows
// there are, and the heading.
func listed(t *testing.T, h *testserver.Server, href string) (rows int, title string) {
	t.Helper()
	for range 20 {
		w := h.Get(href, "Accept", testserver.HTML)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", href, w.Body)
		page := w.Body.String()
		rows += len(listRow.FindAllString(page, -1))
		title = html.UnescapeString(heading.FindStringSubmatch(page)[1])
		next := ""
		for _, a := range anchor.FindAllStringSubmatch(page, -1) {
			if a[2] == "Next page" {
				next = html.UnescapeString(a[1])
			}
		}
		if next == "" {
			return rows, title
		}
		href = next
	}
	require.Fail(t, "too many pages", href)
	return 0, ""
}

// Every number of a report leads to a list of as many rows.
func TestNumbersOfAReportLeadToWhatTheyCount(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	past := knownPast{digest: busyWeek()}
	h.UsePast(past)
	const window = "since=2026-11-16T03:14:00Z&until=2026-11-23T03:14:00Z"
	for _, ask := range []string{window, window + "&by=receiver", window + "&by=pod", window + "&filter=alertname%3D%22CPU%22"} {
		page := h.Get("/report?"+ask, "Accept", testserver.HTML).Body.String()
		found := map[string]int{}
		for _, a := range anchor.FindAllStringSubmatch(page, -1) {
			href, text, small := html.UnescapeString(a[1]), a[2], a[3]
			if !strings.HasPrefix(href, "/report/list?") {
				continue
			}
			u, err := url.Parse(href)
			require.NoError(t, err)
			number := u.Query().Get("number")
			rows, title := listed(t, h, href)
			found[number]++
			switch number {
			case "firing": // the duration is in the heading
				require.Contains(t, title, text, href)
			case "ended", "selfResolved", "suppressed", "acknowledged": // shares and durations say of how many
				if word, is := strings.CutSuffix(small, " firings"); is {
					words := strings.Fields(word)
					require.Equal(t, words[len(words)-1], strconv.Itoa(rows), href)
				}
			case "flaps":
				if strings.HasSuffix(text, "alert") || strings.HasSuffix(text, "alerts") {
					require.True(t, strings.HasPrefix(title, text), "%s: %s", href, title)
					continue
				}
				require.Equal(t, text, strconv.Itoa(rows), href)
			default: // "12", "3 critical", "2 gaps", "1 firing without a known end"
				require.Equal(t, strings.Fields(text)[0], strconv.Itoa(rows), href)
			}
			if number != "firing" && number != "flaps" {
				require.True(t, strings.HasPrefix(title, strconv.Itoa(rows)+" "), "%s: %s", href, title)
			}
		}
		for _, number := range []string{"firings", "firing", "ended", "selfResolved", "suppressed", "flaps", "notifications"} {
			require.Positive(t, found[number], "%s: %s", ask, number)
		}
		require.Equal(t, 1, found["gaps"], ask)
		require.Greater(t, found["firings"], 80, "%s: the cells of the heat map, the days and the rows", ask)
	}
	rows, _ := listed(t, h, "/report/list?"+window+"&number=notifications&receiver=pager")
	require.Equal(t, 10, rows, "only deliveries tell of it: every 16 hours from Nov 16 08:00 to Nov 22 08:00")
}

// A bad query of the list says what is wrong.
func TestQueriesOfReportLists(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, bad := range []string{
		"number=x", "hour=24", "weekday=monday", "severity=bad", "reason=no", "from=-1", "x=1", "since=-1h&until=-2h",
	} {
		require.Equal(t, http.StatusBadRequest, h.Get("/report/list?"+bad, "Accept", testserver.HTML).Code, bad)
	}
	w := h.Get("/report/list", "Accept", testserver.HTML)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "0 firings")
	require.Equal(t, http.StatusBadRequest, h.Get(`/report/list?filter=a%3D%3D%22`, "Accept", testserver.HTML).Code)
	h.UsePast(busyPast{})
	require.Equal(t, http.StatusServiceUnavailable, h.Get("/report/list", "Accept", testserver.HTML).Code)
}
