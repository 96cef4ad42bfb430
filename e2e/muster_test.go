package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client has a timeout that is much shorter than that of a test. Responses usually take
// milliseconds.
var client = &http.Client{
	Timeout:   15 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second},
}

// muster is a process of the program. It keeps its port when it is restarted.
type muster struct {
	*process

	url string
	// down is set if the test kills the process, so that requests may fail.
	down atomic.Bool
}

// newMuster returns a Muster that is not started yet. Its working directory is empty,
// so the default storage path starts empty, too.
func newMuster(t *testing.T, args ...string) *muster {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	args = append([]string{"--web.listen-address=" + addr}, args...)
	return &muster{process: newProcess(t, "muster", musterBinary, args...), url: "http://" + addr}
}

func startMuster(t *testing.T, args ...string) *muster {
	t.Helper()
	m := newMuster(t, args...)
	m.start()
	return m
}

// start starts Muster and waits until it is ready.
func (m *muster) start() {
	m.t.Helper()
	m.process.start()
	waitFor(m.t, 60*time.Second, "muster is ready", func() error {
		if !m.running() {
			require.FailNow(m.t, "muster has exited", m.tail())
		}
		_, err := m.fetch("/-/ready", nil)
		return err
	})
}

// The JSON types of the API, as a client decodes them.

type group struct {
	ID                string            `json:"id"`
	Source            string            `json:"source"`
	Receiver          string            `json:"receiver"`
	GroupKey          string            `json:"groupKey"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	State             string            `json:"state"`
	Settling          bool              `json:"settling"`
	Stale             bool              `json:"stale"`
	Truncated         int               `json:"truncated"`
	Counts            counts            `json:"counts"`
	CreatedAt         time.Time         `json:"createdAt"`
	LastNotifiedAt    time.Time         `json:"lastNotifiedAt"`
	ResolvedAt        time.Time         `json:"resolvedAt"`
	Notifications     int               `json:"notifications"`
	LastReason        string            `json:"lastReason"`
	Episodes          []episode         `json:"episodes"`
	Alerts            []alert           `json:"alerts"`
}

type counts struct {
	Firing     int `json:"firing"`
	Suppressed int `json:"suppressed"`
	Resolved   int `json:"resolved"`
	Unreported int `json:"unreported"`
}

type episode struct {
	StartsAt time.Time `json:"startsAt,omitzero"`
	EndsAt   time.Time `json:"endsAt,omitzero"`
}

type alert struct {
	Fingerprint  string            `json:"fingerprint"`
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorURL string            `json:"generatorURL"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	Notified     bool              `json:"notified"`
	Mutes        []mute            `json:"mutes"`
	Episodes     []episode         `json:"episodes"`
}

// mute is what mutes an alert now.
type mute struct {
	Kind     string    `json:"kind"`
	ID       string    `json:"id"`
	Rule     string    `json:"rule"`
	By       string    `json:"by"`
	Comment  string    `json:"comment"`
	Since    time.Time `json:"since"`
	LastSeen time.Time `json:"lastSeen"`
	Until    time.Time `json:"until"`
	From     string    `json:"from"`
}

type event struct {
	ID          string            `json:"id"`
	Time        time.Time         `json:"time"`
	Kind        string            `json:"kind"`
	GroupID     string            `json:"groupId"`
	Fingerprint string            `json:"fingerprint"`
	Labels      map[string]string `json:"labels"`
	Receiver    string            `json:"receiver"`
	Reason      string            `json:"reason"`
	Integration string            `json:"integration"`
	ExternalURL string            `json:"externalURL"`
	Firing      int               `json:"firing"`
	Resolved    int               `json:"resolved"`
	Truncated   int               `json:"truncated"`
}

type status struct {
	Storage struct {
		Mode          string    `json:"mode"`
		Healthy       bool      `json:"healthy"`
		Reason        string    `json:"reason"`
		DirtyGroups   int       `json:"dirtyGroups"`
		DegradedSince time.Time `json:"degradedSince"`
		Partial       bool      `json:"partial"`
	} `json:"storage"`
	RestoredGroups int            `json:"restoredGroups"`
	Sources        []sourceStatus `json:"sources"`
}

// sourceStatus says what Muster receives from a source.
type sourceStatus struct {
	Source   string `json:"source"`
	Recorder struct {
		LastAt    time.Time `json:"lastAt"`
		Missing   int       `json:"missing"`
		Instances []struct {
			Version string `json:"version"`
		} `json:"instances"`
	} `json:"recorder"`
	Poller []struct {
		URL    string    `json:"url"`
		LastAt time.Time `json:"lastAt"`
		Error  string    `json:"error"`
	} `json:"poller"`
}

// fetch gets a path. It decodes the JSON of the response into v, unless v is nil.
func (m *muster) fetch(path string, v any) ([]byte, error) {
	return do(http.MethodGet, m.url+path, nil, v)
}

// do sends one request. A response that is not 2xx is an error.
func do(method, url string, body []byte, v any) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return text, fmt.Errorf("%s %s: %s: %.200s", method, url, resp.Status, text)
	}
	if v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			return text, fmt.Errorf("%s %s: %w in %.200s", method, url, err, text)
		}
	}
	return text, nil
}

// groups returns every group with its alerts, page by page.
func (m *muster) groups() ([]group, error) {
	var all []group
	query := url.Values{"alerts": {"true"}, "limit": {"1000"}}
	for {
		var page struct {
			Groups []group `json:"groups"`
			Total  int     `json:"total"`
			Next   string  `json:"next"`
		}
		if _, err := m.fetch("/api/v1/groups?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Groups...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

// group returns the only group.
func (m *muster) group() (group, error) {
	all, err := m.groups()
	if err != nil {
		return group{}, err
	}
	if len(all) != 1 {
		return group{}, fmt.Errorf("%d groups", len(all))
	}
	return all[0], nil
}

// events returns the whole history, the oldest event first.
func (m *muster) events() ([]event, error) {
	var all []event
	query := url.Values{"limit": {"1000"}}
	for {
		var page struct {
			Events []event `json:"events"`
			Next   string  `json:"next"`
		}
		if _, err := m.fetch("/api/v1/events?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Events...)
		if page.Next == "" {
			slices.Reverse(all)
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

func (m *muster) status() (s status, err error) {
	_, err = m.fetch("/api/v1/status", &s)
	return s, err
}

// waitHealthy waits until the storage is healthy and has all groups.
func (m *muster) waitHealthy(timeout time.Duration) {
	m.t.Helper()
	waitFor(m.t, timeout, "the storage is healthy and has all groups", func() error {
		s, err := m.status()
		if err == nil && (!s.Storage.Healthy || s.Storage.Partial || s.Storage.DirtyGroups > 0) {
			err = fmt.Errorf("storage: %+v", s.Storage)
		}
		return err
	})
}

// waitDegraded waits until Muster has noticed that its storage fails.
func (m *muster) waitDegraded() {
	m.t.Helper()
	waitFor(m.t, 30*time.Second, "the storage is degraded", func() error {
		s, err := m.status()
		if err == nil && s.Storage.Healthy {
			err = fmt.Errorf("storage: %+v", s.Storage)
		}
		return err
	})
}

// waitGroup waits until the only group meets the condition, and returns the group.
func (m *muster) waitGroup(timeout time.Duration, what string, condition func(group) bool) group {
	m.t.Helper()
	var g group
	waitFor(m.t, timeout, what, func() (err error) {
		if g, err = m.group(); err != nil {
			return err
		}
		if !condition(g) {
			return fmt.Errorf("the group is %s", describe(g))
		}
		return nil
	})
	return g
}

func describe(g group) string {
	text := g.State + " " + fmt.Sprintf("%+v", g.Counts) + " truncated " + strconv.Itoa(g.Truncated)
	for _, a := range g.Alerts {
		text += fmt.Sprintf("; %s %s, %d episodes", a.Labels["instance"], a.Status, len(a.Episodes))
	}
	return text + fmt.Sprintf("; %d notifications, the last: %s", g.Notifications, g.LastReason)
}

// alert returns the group's alert of an instance.
func (g group) alert(instance string) alert {
	for _, a := range g.Alerts {
		if a.Labels["instance"] == instance {
			return a
		}
	}
	return alert{}
}

// has reports whether the group has exactly these alerts. The pairs are instance and
// status: has("a", "firing", "b", "resolved").
func (g group) has(pairs ...string) bool {
	if len(g.Alerts)*2 != len(pairs) {
		return false
	}
	for i := 0; i < len(pairs); i += 2 {
		if g.alert(pairs[i]).Status != pairs[i+1] {
			return false
		}
	}
	return true
}

// kinds counts the events by kind and instance, such as "fired a". Events of a group
// are counted by kind only, such as "opened".
func (m *muster) kinds() map[string]int {
	m.t.Helper()
	events, err := m.events()
	require.NoError(m.t, err)
	kinds := map[string]int{}
	for _, e := range events {
		if e.Fingerprint != "" {
			kinds[e.Kind+" "+e.Labels["instance"]]++
		} else {
			kinds[e.Kind]++
		}
	}
	return kinds
}

// notified returns the reasons of the notifications, in order.
func (m *muster) notified() (reasons []string) {
	m.t.Helper()
	events, err := m.events()
	require.NoError(m.t, err)
	for _, e := range events {
		if e.Kind == "notified" {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// waitRestored waits until Muster has restored all groups of its storage.
func (m *muster) waitRestored() {
	m.t.Helper()
	waitFor(m.t, waitTimeout, "all groups are restored", func() error {
		s, err := m.status()
		if err == nil && s.Storage.Partial {
			err = fmt.Errorf("storage: %+v", s.Storage)
		}
		return err
	})
}
