package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowProxy starts a proxy that forwards notifications at once, but responds late. The
// other replica of Alertmanager then assumes a failure and sends them, too.
func slowProxy(t *testing.T, m *muster, delay time.Duration) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = do(http.MethodPost, m.url+r.URL.Path, body, nil)
		}
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// peerTimeout is how long an Alertmanager replica waits for the previous replica.
const peerTimeout = 500 * time.Millisecond

// startReplicas starts a cluster of two Alertmanagers.
func startReplicas(t *testing.T, config string) [2]*alertmanager {
	t.Helper()
	cluster := func(port, peer int) []string {
		return []string{
			fmt.Sprintf("--cluster.listen-address=127.0.0.1:%d", port), fmt.Sprintf("--cluster.peer=127.0.0.1:%d", peer),
			"--cluster.peer-timeout=" + peerTimeout.String(), "--cluster.gossip-interval=50ms", "--cluster.settle-timeout=5s",
		}
	}
	port0, port1 := freePort(t), freePort(t)
	replicas := [2]*alertmanager{
		newAlertmanager(t, config, cluster(port0, port1)...), newAlertmanager(t, config, cluster(port1, port0)...),
	}
	for _, am := range replicas {
		am.process.start()
	}
	for _, am := range replicas {
		waitFor(t, waitTimeout, "the replicas have found each other", func() error {
			var s struct {
				Cluster struct {
					Status string     `json:"status"`
					Peers  []struct{} `json:"peers"`
				} `json:"cluster"`
			}
			_, err := do(http.MethodGet, am.url+"/api/v2/status", nil, &s)
			if err == nil && (s.Cluster.Status != "ready" || len(s.Cluster.Peers) != 2) {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
	}
	return replicas
}

func TestTwoReplicasPostBoth(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	m := startMuster(t, musterFlags()...)
	replicas := startReplicas(t, webhookConfig(slowProxy(t, m, 3*peerTimeout)+"/webhook/prod"))
	am0, am1 := replicas[0], replicas[1]
	// both waits until both replicas have sent a notification for a reason.
	both := func(reason string) {
		t.Helper()
		waitFor(t, waitTimeout, "both replicas sent: "+reason, func() error {
			events, err := m.events()
			if err != nil {
				return err
			}
			senders := map[string]bool{}
			for _, e := range events {
				if e.Kind == "notified" && e.Reason == reason {
					senders[e.ExternalURL] = true
				}
			}
			if !senders[am0.url] || !senders[am1.url] {
				return fmt.Errorf("%v", senders)
			}
			return nil
		})
	}

	// Prometheus posts every alert to every replica.
	a, b := firing("a"), firing("b")
	am0.post(a, b)
	am1.post(a, b)
	both("first notification")
	m.waitGroup(waitTimeout, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })

	a, b = a.resolved(), b.resolved()
	am0.post(a, b)
	am1.post(a, b)
	both("all alerts resolved")
	g := m.waitGroup(waitTimeout, "a and b resolve", func(g group) bool { return g.has("a", "resolved", "b", "resolved") })
	require.Equal(t, "prod", g.Source)
	require.Equal(t, "resolved", g.State)
	require.Len(t, g.Episodes, 1)

	// The history has each change once, although it was reported twice.
	kinds := m.kinds()
	delete(kinds, "notified")
	require.Equal(t, map[string]int{
		"opened": 1, "closed": 1, "fired a": 1, "fired b": 1, "resolved a": 1, "resolved b": 1,
	}, kinds)
}

// delayingProxy forwards notifications. It delays the first message of the second replica
// until the first replica has sent a resolution. This happens in a real cluster if a
// replica builds its message, waits for the others, and sends it late.
type delayingProxy struct {
	m *muster

	mu       sync.Mutex
	first    string        // guarded by mu; the externalURL of the replica that sent first
	delayed  bool          // guarded by mu; whether a message was delayed
	resolved chan struct{} // closed when the first replica has sent a resolution
	late     chan error    // result of the delayed message
}

func (s *delayingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var msg message
	if err == nil {
		err = json.Unmarshal(body, &msg)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.first = cmp.Or(s.first, msg.ExternalURL)
	isFirst := msg.ExternalURL == s.first
	delay := !isFirst && !s.delayed
	s.delayed = s.delayed || delay
	s.mu.Unlock()
	if delay {
		select {
		case <-s.resolved:
		case <-r.Context().Done():
			s.late <- errors.New("the request was cancelled before the other replica sent the resolution")
			return
		}
	}
	_, err = do(http.MethodPost, s.m.url+r.URL.Path, body, nil)
	switch {
	case delay && msg.Status != "firing":
		s.late <- errors.New("the delayed message has no firing alert")
	case delay:
		s.late <- err
	case isFirst && msg.Status == "resolved":
		s.mu.Lock()
		select {
		case <-s.resolved:
		default:
			close(s.resolved)
		}
		s.mu.Unlock()
	case isFirst:
		// Respond so late that the other replica assumes a failure.
		<-time.After(3 * peerTimeout)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// A delayed message does not make a resolved alert fire.
func TestStaleFiringAfterResolved(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	m := startMuster(t, musterFlags()...)
	between := &delayingProxy{m: m, resolved: make(chan struct{}), late: make(chan error, 1)}
	proxy := httptest.NewServer(between)
	t.Cleanup(proxy.Close)
	replicas := startReplicas(t, webhookConfig(proxy.URL+"/webhook"))

	a := firing("a")
	replicas[0].post(a)
	replicas[1].post(a)
	waitFor(t, waitTimeout, "both replicas sent a message", func() error {
		between.mu.Lock()
		defer between.mu.Unlock()
		if !between.delayed {
			return errors.New("not yet")
		}
		return nil
	})
	a = a.resolved()
	replicas[0].post(a)
	replicas[1].post(a)
	select {
	case err := <-between.late:
		require.NoError(t, err)
	case <-time.After(waitTimeout):
		t.Fatal("no delayed message arrived")
	}
	g, err := m.group()
	require.NoError(t, err)
	require.True(t, g.has("a", "resolved"), describe(g))
	require.Equal(t, "resolved", g.State)
	require.Len(t, g.alert("a").Episodes, 1)
	kinds := m.kinds()
	require.GreaterOrEqual(t, kinds["notified"], 3)
	delete(kinds, "notified")
	require.Equal(t, map[string]int{"opened": 1, "closed": 1, "fired a": 1, "resolved a": 1}, kinds)
}
