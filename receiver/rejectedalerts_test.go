package receiver_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/receiver"
)

// An invalid alert does not affect the others. They are stored; it is rejected,
// counted as truncated and named in the answer.
func TestInvalidAlertDoesNotAffectOthers(t *testing.T) {
	for name, tc := range map[string]struct{ bad, reason, sentence string }{
		"a start before the year 0 in UTC": { // Alertmanager accepts and sends it
			wiretest.Named("Odd", wiretest.Start, `"startsAt":"0000-01-01T00:00:00+14:00"`), receiver.AlertRejectedTime,
			`alerts[20].startsAt: must be between the years 0 and 9999 in UTC (alert "Odd")`,
		},
		"no start": {wiretest.Named("Odd", wiretest.Start+",", ""), receiver.AlertRejectedTime, `alerts[20].startsAt: is missing (alert "Odd")`},
		"a start that is not a time": {
			wiretest.Named("Odd", wiretest.Start, `"startsAt":"soon"`), receiver.AlertRejectedTime,
			`alerts[20].startsAt: is not an RFC 3339 time (alert "Odd")`,
		},
		"an end after 9999": {
			wiretest.Named("Odd", `"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-05:00"), receiver.AlertRejectedTime,
			`alerts[20].endsAt: must be between the years 0 and 9999 in UTC (alert "Odd")`,
		},
		"an unknown status": {
			wiretest.Named("Odd", `"firing"`, `"pending"`), receiver.AlertRejectedStatus,
			`alerts[20].status: is "pending", must be "firing" or "resolved" (alert "Odd")`,
		},
		"labels in a list": {
			wiretest.Named("Odd", `{"alertname":"Odd"}`, `["Odd"]`), receiver.AlertRejectedMalformed,
			"alerts[20].labels: must not be a JSON array",
		},
		"a number as a label": {
			wiretest.Named("Odd", `"alertname":"Odd"`, `"alertname":"Odd","n":1`), receiver.AlertRejectedMalformed,
			`alerts[20].labels.n: must not be a JSON number (alert "Odd")`,
		},
		"a text": {`"x"`, receiver.AlertRejectedMalformed, "alerts[20]: must not be a JSON string"},
		"null":   {"null", receiver.AlertRejectedStatus, `alerts[20].status: is "", must be "firing" or "resolved"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := testserver.New(t, testserver.Options{})
			alerts := make([]string, 0, 21)
			for i := range 20 {
				alerts = append(alerts, wiretest.Named(fmt.Sprint("Good", i)))
			}
			id := grouping.ID(h.PostKept(t, wiretest.Listing(alerts...)))
			alerts[3] = wiretest.Named("Changed") // the whole body is decoded again
			kept := h.PostResult(t, wiretest.Listing(append(alerts, tc.bad)...))
			require.Equal(t, id, kept.Group)
			require.Equal(t, uint64(1), kept.Cut)
			require.Equal(t, []string{tc.sentence}, kept.LeftOut)
			g, err := h.Manager.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, 21, g.Counts.Firing, "a truncated list does not remove alerts")
			require.Equal(t, uint64(1), g.Truncated)
			require.InDelta(t, 1, h.Counter(t, "muster_alerts_refused_total", "reason", tc.reason), 0)
			require.Contains(t, h.Get("/status").Body.String(), "alert rejected: alerts[20]")
			require.InDelta(t, 0, h.Counter(t, "muster_notifications_rejected_total", "reason", "bad_message"), 0)
		})
	}
}

// A body without any valid alert is rejected, because nothing was stored.
func TestBodyWithoutValidAlertsIsRejected(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	bad := wiretest.Named("Odd", `"firing"`, `"pending"`)
	h.RequireRejected(t, "three", h.Post(wiretest.Listing(bad, bad, bad)), http.StatusBadRequest,
		`alerts[0].status: is "pending", must be "firing" or "resolved"`)
	require.Empty(t, h.Stored(t)[len(`{"groups":[],"total":0}`)+1:len(`{"groups":[],"total":0}`)+1])
}

func TestOnlyFirstRejectedAlertsAreNamed(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxAlerts: 100})
	bad := make([]string, 50)
	for i := range bad {
		bad[i] = wiretest.Named("Odd", `"firing"`, `"pending"`)
	}
	kept := h.PostResult(t, wiretest.Listing(append([]string{wiretest.Named("Good")}, bad...)...))
	require.Equal(t, uint64(50), kept.Cut)
	require.Len(t, kept.LeftOut, receiver.MaxRejectedDetails)
	h.RequireRejected(t, "too many", h.Post(wiretest.Listing(append([]string{wiretest.Named("Good")}, append(bad, bad...)...)...)),
		http.StatusRequestEntityTooLarge, "")
}

func TestTruncatedAlertsDoNotOverflow(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	text := strings.Replace(wiretest.Listing(wiretest.Named("Good"), wiretest.Named("Odd", `"firing"`, `"pending"`)), wiretest.Truncated,
		`"truncatedAlerts":18446744073709551615`, 1)
	kept := h.PostResult(t, text)
	g, err := h.Manager.Get(t.Context(), kept.Group)
	require.NoError(t, err)
	require.Equal(t, uint64(math.MaxUint64), g.Truncated)
	require.Equal(t, uint64(1), kept.Cut)
}

// A firing alert has no end, so an invalid endsAt does not reject it.
func TestEndOfFiringAlertIsIgnored(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	kept := h.PostResult(t, wiretest.Listing(wiretest.Named("Odd", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-05:00")))
	require.Zero(t, kept.Cut)
	g, err := h.Manager.Get(t.Context(), kept.Group)
	require.NoError(t, err)
	require.Equal(t, 1, g.Counts.Firing)
}

// The status page names every rejected alert, not only the last one.
func TestEachRejectedAlertIsOnTheStatusPage(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	l := h.Log(t, "logfmt")
	text := wiretest.Listing(
		wiretest.Named("Good"),
		wiretest.Named("OddA", `"firing"`, `"pending"`),
		wiretest.Named("OddB", `"firing"`, `"pending"`),
	)
	for range 3 {
		require.Len(t, h.PostResult(t, text).LeftOut, 2)
	}
	page := h.Get("/status").Body.String()
	require.Contains(t, page, "OddA")
	require.Contains(t, page, "OddB")
	require.Equal(t, 1, strings.Count(l.Text(), "Alerts rejected"), "the log does not repeat it within the interval")
}

// Valid alerts are stored, whatever the errors and the positions of the others
// are.
func TestValidAlertsAreStoredBesideInvalidOnes(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	bads := []string{
		wiretest.Named(
			"Bad",
			`"firing"`,
			`"pending"`,
		), wiretest.Named("Bad", wiretest.Start, `"startsAt":"0000-01-01T00:00:00+14:00"`), "null", "[]", "7",
		`"x"`, "{}",
		wiretest.Named("Bad", `{"alertname":"Bad"}`, `[{"a":[1,{}]}]`), wiretest.Named("Bad", `"generatorURL":""`, `"generatorURL":{"a":[]}`),
		wiretest.Named("Bad", wiretest.Start, `"startsAt":[[]]`),
	}
	rapid.Check(t, func(rt *rapid.T) {
		h.Reset(t)
		good := rapid.IntRange(1, 8).Draw(rt, "good")
		var alerts []string
		for i := range good {
			alerts = append(alerts, wiretest.Named(fmt.Sprint("Good", i)))
		}
		bad := rapid.IntRange(1, 8).Draw(rt, "bad")
		for range bad {
			at := rapid.IntRange(0, len(alerts)).Draw(rt, "at")
			alerts = slices.Insert(alerts, at, rapid.SampledFrom(bads).Draw(rt, "which"))
		}
		kept := h.PostResult(t, wiretest.Listing(alerts...))
		require.Equal(rt, uint64(bad), kept.Cut)
		g, err := h.Manager.Get(t.Context(), kept.Group)
		require.NoError(rt, err)
		require.Equal(rt, good, g.Counts.Firing)
		for _, a := range g.Alerts {
			require.True(rt, strings.HasPrefix(a.Name(), "Good"))
		}
		// A later notification with invalid alerts does not end firing alerts.
		h.PostResult(t, wiretest.Listing(append([]string{wiretest.Named("Good0")}, bads...)...))
		g, err = h.Manager.Get(t.Context(), kept.Group)
		require.NoError(rt, err)
		require.Equal(rt, good, g.Counts.Firing)
	})
}
