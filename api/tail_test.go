package api_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/storage"
)

// followEvents follows the history of a server.
func followEvents(t *testing.T, url, query string) *testserver.Client {
	t.Helper()
	c := testserver.Follow(t, url+"/api/v1/events?format=ndjson&follow=true&"+query, "")
	require.Equal(t, http.StatusOK, c.Status)
	return c
}

// nextLine reads the next event of a tail.
func nextLine(t *testing.T, c *testserver.Client) (e api.EventView) {
	t.Helper()
	for {
		line, err := c.Body.ReadString('\n')
		require.NoError(t, err)
		if line != "\n" {
			require.NoError(t, json.Unmarshal([]byte(line), &e), line)
			return e
		}
	}
}

func TestTailBeginsNow(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"before"`))
	before := last(t, h).Time // it has no smaller unit than milliseconds
	require.Eventually(t, func() bool { return time.Since(before) > 2*time.Millisecond }, 5*time.Second, time.Millisecond)
	c := followEvents(t, srv.URL, "kind=opened")
	require.Equal(t, "no", c.Header.Get("X-Accel-Buffering"))
	require.Equal(t, "application/x-ndjson", c.Header.Get("Content-Type"))
	for i := range 3 {
		h.PostKept(t, wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"k%d"`, i)))
		require.Equal(t, grouping.Key{Source: "default", Receiver: "team", GroupKey: fmt.Sprint("k", i)}.ID(), nextLine(t, c).GroupID)
	}
}

// last returns the newest event.
func last(t *testing.T, h *testserver.Server) api.EventView {
	t.Helper()
	all := pages(t, h, "")
	require.NotEmpty(t, all)
	return all[len(all)-1]
}

// A tail that begins in the past has each event once, also those that are written while it
// reads the past.
func TestTailLosesAndRepeatsNothing(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	const writers, each = 4, 150
	post := func(writer, from, to int) {
		for i := from; i < to; i++ {
			w := h.Post(wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"w%d-%d"`, writer, i)))
			if w.Code != http.StatusOK {
				panic(w.Body.String())
			}
		}
	}
	post(0, 0, 50)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() { post(w+1, 0, each) })
	}
	var tails []*testserver.Client
	for range 3 { // at different moments of the writing
		tails = append(tails, followEvents(t, srv.URL, "since=1h"))
		nextLine(t, tails[len(tails)-1])
	}
	group.Wait()
	all := pages(t, h, "")
	require.Len(t, all, 3*(50+writers*each))
	for _, c := range tails {
		got := map[string]int{all[0].ID: 1}
		for len(got) < len(all) {
			got[nextLine(t, c).ID]++
		}
		for _, e := range all {
			require.Equal(t, 1, got[e.ID], e.ID)
		}
	}
}

// A tail has the events of another replica when it hears of its change, or else a little
// later.
func TestTailHasEventsOfOtherReplicas(t *testing.T) {
	memory := storage.NewMemory(storage.DefaultMemoryOptions())
	h := testserver.New(t, testserver.Options{Storage: memory, Clock: grouping.NewClock(), KeepAlive: 200 * time.Millisecond})
	srv := h.Listen(t)
	registry, logger := prometheus.NewRegistry(), promslog.NewNopLogger()
	other, err := grouping.NewManager(memory, grouping.NewClock(), nil, registry, logger, grouping.DefaultOptions)
	require.NoError(t, err)
	add := func(key string) *grouping.AlertGroup {
		g, err := other.AddAlertToGroup(t.Context(), grouping.Key{Source: "other", GroupKey: key},
			grouping.NotifiedAlert{Fingerprint: "0000000000000001", Status: grouping.StatusFiring, StartsAt: time.Now()})
		require.NoError(t, err)
		return g
	}
	c := followEvents(t, srv.URL, "source=other&kind=fired")
	told := add("told")
	h.Publish(grouping.Update{ID: told.ID, Group: told})
	require.Equal(t, told.ID, nextLine(t, c).GroupID)
	untold := add("untold")
	require.Equal(t, untold.ID, nextLine(t, c).GroupID)
	h.Publish(grouping.Update{ID: told.ID, Group: told})
	again := add("again")
	h.Publish(grouping.Update{ID: again.ID})
	require.Equal(t, again.ID, nextLine(t, c).GroupID, "nothing is repeated")
}

// A replica that was cut off stores its events late, and its changes of a group that changed again
// since then. A tail has these events, out of order.
func TestTailHasLateEvents(t *testing.T) {
	memory := storage.NewMemory(storage.DefaultMemoryOptions())
	h := testserver.New(t, testserver.Options{Storage: memory, Clock: grouping.NewClock()})
	srv := h.Listen(t)
	h.PostKept(t, wiretest.Body())
	groups, err := h.Manager.All(t.Context())
	require.NoError(t, err)
	before := groups[0]
	c := followEvents(t, srv.URL, "since=2h")
	for range 3 {
		nextLine(t, c)
	}
	lateEvent := func(ago time.Duration, kind grouping.EventKind) grouping.Event {
		stamp := grouping.NewStamp(time.Now().Add(-ago), 0, "00000000000000bb")
		return grouping.Event{
			ID: string(stamp) + "000000", Time: stamp.Time(), Kind: kind, GroupID: before.ID, Source: "default", Receiver: "team",
			Fingerprint: "00000000000000ff",
		}
	}
	fired, resolved := lateEvent(30*time.Minute, grouping.EventFired), lateEvent(20*time.Minute, grouping.EventResolved)
	memory.PutEvents([]grouping.Event{fired, resolved}, nil)
	merged := *before
	merged.Alerts = append(slices.Clone(before.Alerts), &grouping.Alert{Fingerprint: "00000000000000ff", Stamp: resolved.Stamp()})
	h.Publish(grouping.Update{ID: before.ID, Before: before, Group: grouping.NewAlertGroup(merged)})
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"last"`))
	require.Equal(t, fired.ID, nextLine(t, c).ID)
	require.Equal(t, resolved.ID, nextLine(t, c).ID)
	require.Equal(t, grouping.EventOpened, nextLine(t, c).Kind)
}

func TestTailIsKeptAlive(t *testing.T) {
	h := testserver.New(t, testserver.Options{KeepAlive: 20 * time.Millisecond, WriteTimeout: 10 * time.Millisecond})
	srv := h.Listen(t)
	c := followEvents(t, srv.URL, "")
	for range 3 {
		line, err := c.Body.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "\n", line)
	}
	h.PostKept(t, wiretest.Body())
	require.Equal(t, grouping.EventOpened, nextLine(t, c).Kind)
}

func TestTailEnds(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	h.PostKept(t, wiretest.Body())
	limited := followEvents(t, srv.URL, "since=1h&limit=4")
	for range 3 {
		nextLine(t, limited)
	}
	h.PostKept(t, wiretest.Body())
	nextLine(t, limited)
	_, err := limited.Body.ReadByte()
	require.ErrorIs(t, err, io.EOF)

	gone := followEvents(t, srv.URL, "")
	gone.Close()
	require.Eventually(t, func() bool { return h.Limits.Limit("tails").Used() == 0 }, 5*time.Second, time.Millisecond)

	c := followEvents(t, srv.URL, "")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(t, srv.Config.Shutdown(ctx), "a tail does not delay the shutdown")
	_, err = c.Body.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, h.Limits.Limit("tails").Used())
}

// A compressed tail is flushed after each event.
func TestTailIsCompressed(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/events?format=ndjson&follow=true", nil)
	require.NoError(t, err)
	r.Header.Set("Accept-Encoding", "gzip")
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
	h.PostKept(t, wiretest.Body())
	z, err := gzip.NewReader(res.Body)
	require.NoError(t, err)
	c := testserver.NewClient(t, z)
	require.Equal(t, grouping.EventOpened, nextLine(t, c).Kind)
	require.Equal(t, grouping.EventFired, nextLine(t, c).Kind)
}

// A tail writes no event twice, whatever it reads again.
func TestSeenEvents(t *testing.T) {
	id := func(at, number int) string { return fmt.Sprintf("%016x%s%06x", at, strings.Repeat("a", 16), number) }
	seen := api.NewSeenEvents()
	for i := range 3 * api.MaxSeen {
		require.True(t, seen.Add(id(i, 0)))
		require.False(t, seen.Add(id(i, 0)))
	}
	for i := range 3 * api.MaxSeen {
		require.False(t, seen.Add(id(i, 0)))
	}
	require.True(t, seen.Add(id(3*api.MaxSeen-10, 1)), "a late event")
	require.False(t, seen.Add(id(3*api.MaxSeen-10, 1)))
	require.False(t, seen.Add(id(10, 1)), "too late to know")
	for i := range 2 * api.MaxSeen { // one write with many events
		require.True(t, seen.Add(id(4*api.MaxSeen, i)))
	}
}
