package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// silencingFlags let people silence whom a proxy on this host verifies.
var silencingFlags = []string{"--alertmanager.allow-silences", "--web.user-header=X-User", "--web.user-header-from=127.0.0.1"}

// knownSilence is a silence as Muster or Alertmanager lists it.
type knownSilence struct {
	ID, CreatedBy, Comment string
	State                  string // in Muster
	EndsAt                 time.Time
	Status                 struct{ State string } // in Alertmanager
	LastChange             *struct {
		Kind, By            string
		Verified, Confirmed bool
	}
}

// visit sends a request of mira's browser, which follows no redirect.
func (m *muster) visit(t *testing.T, method, path string, form url.Values) (code int, location, page string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, m.url+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("X-User", "mira")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	browser := http.Client{Timeout: waitTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

var previewedField = regexp.MustCompile(`name="previewed" value="([^"]*)"`)

// silenceInstance silences an instance through the form of Muster's pages.
func (m *muster) silenceInstance(t *testing.T, instance string) (code int, location, page string) {
	t.Helper()
	form := url.Values{"filter": {`instance="` + instance + `"`}, "for": {"1h"}, "comment": {"<deploy> " + instance}}
	_, _, preview := m.visit(t, http.MethodGet, "/silences/new?"+form.Encode(), nil)
	previewed := previewedField.FindStringSubmatch(preview)
	require.NotNil(t, previewed, preview)
	form.Set("previewed", previewed[1])
	return m.visit(t, http.MethodPost, "/silences/new", form)
}

// knows waits until Muster or an Alertmanager says something about a silence.
func knows(t *testing.T, address, what string, condition func(knownSilence) bool) {
	t.Helper()
	waitFor(t, causesTimeout, what, func() error {
		var s knownSilence
		if _, err := do(http.MethodGet, address, nil, &s); err != nil {
			return err
		}
		if !condition(s) {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
}

// A silence is made, extended and expired on the pages. The real Alertmanager does it, and the
// history has each change once, with the name.
func TestSilencingThroughPages(t *testing.T) {
	t.Parallel()
	setup := causesSetup{version: alertmanagerVersion, recorder: true, poller: true}
	needsAlertmanager(t)
	c := startCauses(t, setup, silencingFlags...)
	c.fires("Silencing", "p-1")
	code, location, page := c.m.silenceInstance(t, "p-1")
	require.Equal(t, http.StatusSeeOther, code, page)
	require.Contains(t, location, "/silences/")
	id := strings.TrimPrefix(location, "/silences/")
	own, real := c.m.url+"/api/v1/silences/"+id, c.am.url+"/api/v2/silence/"+id
	knows(t, real, "Alertmanager has the silence", func(s knownSilence) bool {
		return s.CreatedBy == "mira" && s.Comment == "<deploy> p-1" && s.Status.State == "active"
	})
	knows(t, own, "Alertmanager confirmed it", func(s knownSilence) bool {
		return s.LastChange != nil && s.LastChange.By == "mira" && s.LastChange.Verified && s.LastChange.Confirmed && s.State == "active"
	})
	c.suppressed("Silencing", "p-1")
	code, again, _ := c.m.silenceInstance(t, "p-1")
	require.Equal(t, http.StatusSeeOther, code)
	require.Equal(t, location, again, "the same question within a minute")

	until := time.Now().UTC().Add(8 * time.Hour).Truncate(time.Minute)
	for range 2 {
		code, location, page = c.m.visit(t, http.MethodPost, "/silences/"+id+"/extend",
			url.Values{"source": {"default"}, "until": {until.Format(time.RFC3339)}})
		require.Equal(t, http.StatusSeeOther, code, page)
		require.Equal(t, "/silences/"+id, location, "it is the same silence")
	}
	knows(t, real, "it ends later", func(s knownSilence) bool { return s.EndsAt.Equal(until) })
	for range 2 {
		code, _, page = c.m.visit(t, http.MethodPost, "/silences/"+id+"/expire", url.Values{"source": {"default"}})
		require.Equal(t, http.StatusSeeOther, code, page)
	}
	knows(t, real, "it ended", func(s knownSilence) bool { return s.Status.State == "expired" })
	knows(t, own, "Muster read that", func(s knownSilence) bool { return s.LastChange.Kind == "silenceExpired" && s.LastChange.Confirmed })
	var events struct {
		Events []struct {
			Kind    string
			Silence struct {
				ID, By   string
				Verified bool
			}
		}
	}
	_, err := c.m.fetch("/api/v1/events?kind=silenceCreated&kind=silenceChanged&kind=silenceExpired", &events)
	require.NoError(t, err)
	kinds := map[string]int{}
	for _, e := range events.Events {
		if e.Silence.ID == id {
			require.Equal(t, "mira", e.Silence.By, e.Kind)
			require.True(t, e.Silence.Verified)
			kinds[e.Kind]++
		}
	}
	require.Equal(t, map[string]int{"silenceCreated": 1, "silenceChanged": 1, "silenceExpired": 1}, kinds)
	require.Contains(t, c.m.tail(), "A silence was changed through Muster")
}

// Alertmanager's own words reach the person. Without a verified name nothing is sent.
func TestAlertmanagerRefusesASilence(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	m := newMuster(t, musterFlags(silencingFlags...)...)
	am := newAlertmanager(t, webhookConfig(m.url+"/webhook"), noCluster, "--silences.max-silences=1")
	m.args = append(m.args, pollFlags(am)...)
	m.start()
	am.start()
	am.silence("r-0")
	code, _, page := m.silenceInstance(t, "r-1")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, page, "exceeded maximum number of silences: 1 (limit: 1)")
	require.Contains(t, page, "&lt;deploy&gt; r-1", "the form keeps what was typed")
	resp, err := client.PostForm(m.url+"/silences/new", url.Values{"by": {"mira"}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

// Of a cluster of two, the one that runs makes the silence, and the other learns of it.
func TestSilencingACluster(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	m := newMuster(t, musterFlags(silencingFlags...)...)
	replicas := startReplicas(t, webhookConfig(m.url+"/webhook"))
	for _, am := range replicas {
		m.args = append(m.args, pollFlags(am)[0])
	}
	m.args = append(m.args, "--alertmanager.interval="+pollInterval.String())
	m.start()
	code, location, page := m.silenceInstance(t, "k-1")
	require.Equal(t, http.StatusSeeOther, code, page)
	id := strings.TrimPrefix(location, "/silences/")
	for _, am := range replicas {
		knows(t, am.url+"/api/v2/silence/"+id, "both have the silence", func(s knownSilence) bool { return s.Status.State == "active" })
	}
	replicas[0].kill()
	code, _, page = m.visit(t, http.MethodPost, "/silences/"+id+"/expire", url.Values{"source": {"default"}})
	require.Equal(t, http.StatusSeeOther, code, page)
	knows(t, replicas[1].url+"/api/v2/silence/"+id, "the other one ended it", func(s knownSilence) bool { return s.Status.State == "expired" })
	code, _, page = m.silenceInstance(t, "k-2")
	require.Equal(t, http.StatusSeeOther, code, page)

	form := url.Values{"filter": {`instance="k-3"`}, "comment": {"x"}}
	_, _, preview := m.visit(t, http.MethodGet, "/silences/new?"+form.Encode(), nil)
	form.Set("previewed", previewedField.FindStringSubmatch(preview)[1])
	replicas[1].kill()
	code, _, page = m.visit(t, http.MethodPost, "/silences/new", form)
	require.Equal(t, http.StatusServiceUnavailable, code)
	hosts := strings.TrimPrefix(replicas[0].url, "http://") + " and " + strings.TrimPrefix(replicas[1].url, "http://")
	require.Contains(t, page, hosts+" do not answer. The silence was not created.")
}

// amtool silences through Muster, as a user of basic authentication or of nobody.
func TestAmtoolSilences(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	m := newMuster(t, musterFlags("--alertmanager.allow-silences", "--web.allow-unverified-silences")...)
	am := newAlertmanager(t, webhookConfig(m.url+"/webhook"), noCluster)
	m.args = append(m.args, pollFlags(am)...)
	m.start()
	am.start()
	waitFor(t, causesTimeout, "Muster reads the API", func() error {
		var all []any
		_, err := m.fetch("/api/v2/silences", &all)
		return err
	})
	out, err := am.amtool(m.url, "silence", "add", "--author=root", "--comment=deploy", "--duration=2h", "instance=a-1")
	require.NoError(t, err)
	id := strings.TrimSpace(out)
	real := am.url + "/api/v2/silence/" + id
	knows(t, real, "amtool made the silence", func(s knownSilence) bool { return s.CreatedBy == "root" && s.Status.State == "active" })
	listed, err := am.amtool(m.url, "silence", "query", "-q")
	require.NoError(t, err)
	require.Equal(t, id, strings.TrimSpace(listed), "Muster shows it at once")
	_, err = am.amtool(m.url+"/source/default", "silence", "update", "--duration=4h", id)
	require.NoError(t, err)
	_, err = am.amtool(m.url, "silence", "expire", id)
	require.NoError(t, err)
	knows(t, real, "amtool ended it", func(s knownSilence) bool { return s.Status.State == "expired" })
	_, err = am.amtool(m.url, "silence", "add", "--author=root", "--comment=x", "--end=2020-01-01T00:00:00Z", "instance=a-1")
	require.Error(t, err)
	_, refused := do(http.MethodPost, am.url+"/api/v2/silences", []byte(`{"matchers":[]}`), nil)
	_, passed := do(http.MethodPost, m.url+"/api/v2/silences", []byte(`{"matchers":[]}`), nil)
	require.Error(t, refused)
	require.Equal(t, strings.ReplaceAll(refused.Error(), am.url, ""), strings.ReplaceAll(passed.Error(), m.url, ""), "the answer is as it is")
}
