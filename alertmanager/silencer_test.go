package alertmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/alertmanager"
	"muster/grouping"
)

// silencingAlertmanager answers the requests about silences as Alertmanager does.
type silencingAlertmanager struct {
	*httptest.Server

	mu       sync.Mutex
	silences map[string]map[string]any // guarded by mu
	requests []string                  // guarded by mu
	// before is called for each change, before it is made, and after afterwards. If one
	// returns true, the request is not answered.
	before, after func(w http.ResponseWriter, r *http.Request) bool
}

func newSilencingAlertmanager(t *testing.T) *silencingAlertmanager {
	a := &silencingAlertmanager{silences: map[string]map[string]any{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *silencingAlertmanager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r.Method+" "+r.URL.Path)
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	id := strings.TrimPrefix(r.URL.Path, "/api/v2/silence/")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/api/v2/silences":
		all := []any{}
		for _, s := range a.silences {
			all = append(all, s)
		}
		_ = json.NewEncoder(w).Encode(all)
		return
	case r.Method == http.MethodGet && a.silences[id] == nil:
		w.WriteHeader(http.StatusNotFound)
		return
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(a.silences[id])
		return
	}
	if a.before != nil && a.before(w, r) {
		return
	}
	var answer any
	if r.Method == http.MethodDelete {
		a.silences[id]["endsAt"], a.silences[id]["updatedAt"] = time.Now(), time.Now()
	} else {
		var s map[string]any
		if json.Unmarshal(body, &s) != nil {
			http.Error(w, `{"code":400,"message":"parsing silence body failed"}`, http.StatusBadRequest)
			return
		}
		id, _ = s["id"].(string)
		if id == "" {
			id = fmt.Sprintf("0000-%04d", len(a.silences)+1)
			s["id"] = id
		}
		s["updatedAt"], s["status"] = time.Now(), map[string]string{"state": "active"}
		a.silences[id] = s
		answer = map[string]string{"silenceID": id}
	}
	if a.after != nil && a.after(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if answer != nil {
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// changes returns the requests that change silences.
func (a *silencingAlertmanager) changes() (changes []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.requests {
		if !strings.HasPrefix(r, http.MethodGet) {
			changes = append(changes, r)
		}
	}
	return changes
}

func refuse(code int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// hang does not answer until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

// fakeKeeper keeps what a silencer records.
type fakeKeeper struct {
	mu      sync.Mutex
	planned int                             // guarded by mu
	all     map[string]grouping.SilenceInfo // guarded by mu
}

func (k *fakeKeeper) PlanSilence(string, grouping.Silence) func() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.planned++
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.planned--
	}
}

func (k *fakeKeeper) RecordSilence(_ context.Context, source string, s grouping.Silence) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[s.ID] = grouping.SilenceInfo{Silence: &s, Source: source, State: s.StateAt(time.Now())}
	return nil
}

func (k *fakeKeeper) AllSilences(context.Context, string) (all []grouping.SilenceInfo, _ error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.all {
		all = append(all, s)
	}
	return all, nil
}

func (k *fakeKeeper) get(id string) *grouping.Silence {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[id].Silence
}

// silencing is a silencer of the source prod.
type silencing struct {
	*testing.T
	*alertmanager.Silencer

	keeper   *fakeKeeper
	registry *prometheus.Registry
}

func newSilencing(t *testing.T, urls ...string) *silencing {
	opts := alertmanager.DefaultOptions(1 << 30)
	for _, text := range urls {
		u, err := url.Parse(text)
		require.NoError(t, err)
		opts.Targets = append(opts.Targets, alertmanager.Target{Source: "prod", URL: u})
	}
	s := &silencing{T: t, keeper: &fakeKeeper{all: map[string]grouping.SilenceInfo{}}, registry: prometheus.NewRegistry()}
	poller, err := alertmanager.New(s.registry, promslog.NewNopLogger(), opts)
	require.NoError(t, err)
	limits := alertmanager.DefaultSilencerOptions()
	limits.Allowed = true
	limits.Timeout = 500 * time.Millisecond
	s.Silencer, err = alertmanager.NewSilencer(poller, s.keeper, promslog.NewNopLogger(), limits)
	require.NoError(t, err)
	return s
}

var mira = grouping.Person{Name: "mira", Verified: true}

func deploy() grouping.Silence {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return grouping.Silence{
		CreatedBy: "mira", Comment: "deploy", StartsAt: now, EndsAt: now.Add(time.Hour),
		MatcherSets: [][]grouping.SilenceMatcher{{{Name: "job", Type: "=~", Value: "a|b"}, {Name: "env", Type: "!=", Value: "dev"}}},
	}
}

func (s *silencing) create(request string) (string, error) {
	return s.CreateSilence(s.Context(), "prod", deploy(), request, mira)
}

// down returns the URL of a server that does not run.
func down(*testing.T) string {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return server.URL
}

func TestSilenceIsCreatedExtendedAndExpired(t *testing.T) {
	am := newSilencingAlertmanager(t)
	s := newSilencing(t, am.URL)
	require.True(t, s.CanSilence("prod"))
	require.False(t, s.CanSilence("other"))
	id, err := s.create("hash")
	require.NoError(t, err)
	require.Equal(t, "0000-0001", id)
	made := am.silences[id]
	require.Equal(t, "mira", made["createdBy"])
	require.Equal(t, []any{
		map[string]any{"name": "job", "value": "a|b", "isRegex": true, "isEqual": true},
		map[string]any{"name": "env", "value": "dev", "isRegex": false, "isEqual": false},
	}, made["matchers"])
	recorded := s.keeper.get(id)
	require.Equal(t, mira, recorded.Write.By)
	require.Equal(t, grouping.EventSilenceCreated, recorded.Write.Kind)
	require.Equal(t, "hash", recorded.Write.Request)

	made["annotations"] = map[string]string{"ticket": "1"}
	until := time.Now().UTC().Add(4 * time.Hour).Truncate(time.Millisecond)
	for range 2 { // the button is pressed twice
		same, err := s.ExtendSilence(t.Context(), "prod", id, until, mira)
		require.NoError(t, err)
		require.Equal(t, id, same)
	}
	require.Len(t, am.changes(), 2)
	require.Equal(t, grouping.EventSilenceChanged, s.keeper.get(id).Write.Kind)
	require.True(t, until.Equal(s.keeper.get(id).EndsAt))
	require.Equal(t, map[string]any{"ticket": "1"}, am.silences[id]["annotations"])

	for range 2 {
		require.NoError(t, s.ExpireSilence(t.Context(), "prod", id, mira))
	}
	require.Equal(t, []string{"POST /api/v2/silences", "POST /api/v2/silences", "DELETE /api/v2/silence/" + id}, am.changes())
	require.Equal(t, grouping.EventSilenceExpired, s.keeper.get(id).Write.Kind)
	_, err = s.ExtendSilence(t.Context(), "prod", id, until.Add(time.Hour), mira)
	require.EqualError(t, err, "The silence ended meanwhile, so it cannot be extended. Make a new one.")
	require.Zero(t, s.keeper.planned)
}

// The same question within a minute is the same silence, also if both are on their way.
func TestARepeatedSilenceIsMadeOnce(t *testing.T) {
	am := newSilencingAlertmanager(t)
	s := newSilencing(t, am.URL)
	var ids [4]string
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			var err error
			ids[i], err = s.create("hash")
			assertNoError(t, err)
		})
	}
	group.Wait()
	require.Equal(t, [4]string{"0000-0001", "0000-0001", "0000-0001", "0000-0001"}, ids)
	other, err := s.create("another")
	require.NoError(t, err)
	require.Equal(t, "0000-0002", other)
	other, err = s.CreateSilence(t.Context(), "prod", deploy(), "hash", grouping.Person{Name: "mira"})
	require.NoError(t, err)
	require.Equal(t, "0000-0003", other, "somebody else")
	require.Len(t, am.changes(), 3)
}

func assertNoError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// The next replica is tried only if the one before could not be reached.
func TestTheNextReplicaIsTriedIfTheFirstIsDown(t *testing.T) {
	am := newSilencingAlertmanager(t)
	s := newSilencing(t, down(t), am.URL)
	id, err := s.create("hash")
	require.NoError(t, err)
	_, err = s.ExtendSilence(t.Context(), "prod", id, time.Now().UTC().Add(4*time.Hour), mira)
	require.NoError(t, err)
	require.NoError(t, s.ExpireSilence(t.Context(), "prod", id, mira))
	require.Len(t, am.changes(), 3)
}

func TestNoReplicaAnswers(t *testing.T) {
	first, second := down(t), down(t)
	s := newSilencing(t, first, second)
	_, err := s.create("hash")
	var failed *grouping.SilenceFailedError
	require.ErrorAs(t, err, &failed)
	require.ErrorIs(t, err, grouping.ErrSilencing)
	require.False(t, failed.Unknown)
	names := strings.TrimPrefix(first, "http://") + " and " + strings.TrimPrefix(second, "http://")
	require.EqualError(t, err, names+" do not answer. The silence was not created.")
	err = s.ExpireSilence(t.Context(), "prod", "0000-0001", mira)
	require.EqualError(t, err, names+" do not answer. The silence was not changed.")
	require.Zero(t, s.keeper.planned)
	require.Empty(t, s.keeper.all)
}

// Alertmanager's own words reach the person, whatever they are.
func TestARefusalIsShownAsItIs(t *testing.T) {
	for body, want := range map[string]string{
		`"bad matcher <b>"`: "bad matcher <b>",
		`{"code":601,"message":"matchers in body should have at least 1 items"}`: "matchers in body should have at least 1 items",
		"plain \xff text\n":         "plain \uFFFD text",
		"":                          "the answer is 400 Bad Request",
		strings.Repeat("é", 100000): strings.Repeat("é", 1000) + "…",
	} {
		first, second := newSilencingAlertmanager(t), newSilencingAlertmanager(t)
		first.before = refuse(http.StatusBadRequest, body)
		s := newSilencing(t, first.URL, second.URL)
		_, err := s.create("hash")
		var refused *grouping.SilenceRefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.Text)
		require.Equal(t, http.StatusBadRequest, refused.Status)
		require.Empty(t, second.changes(), "an answer is an answer")
		require.Empty(t, s.keeper.all)
		require.Equal(t, 1, s.counter("muster_alertmanager_failures_total", first.URL, "reason", "status"))
		require.Equal(t, 1, s.counter("muster_alertmanager_requests_total", first.URL, "request", "set_silence"))
		require.Zero(t, s.counter("muster_alertmanager_requests_total", second.URL, "request", "set_silence"))
	}
}

// counter returns the value of a counter of an Alertmanager.
func (s *silencing) counter(name, alertmanagerURL, label, value string) int {
	families, err := s.registry.Gather()
	require.NoError(s, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == name && labels["alertmanager"] == alertmanagerURL && labels[label] == value {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	s.Fatal("no such counter", name, value)
	return 0
}

func TestARedirectIsNotFollowed(t *testing.T) {
	first, second := newSilencingAlertmanager(t), newSilencingAlertmanager(t)
	first.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, second.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	s := newSilencing(t, first.URL)
	_, err := s.create("hash")
	require.ErrorContains(t, err, "Redirects are not followed")
	require.Empty(t, second.changes())
}

// If a request may have been received, no other replica gets it. The silence is looked up, and
// if that does not help, the person learns that nobody knows.
func TestARequestWithoutAnAnswerIsNotRepeated(t *testing.T) {
	for name, lost := range map[string]func(http.ResponseWriter, *http.Request) bool{"slow": hang, "ended": hangUp} {
		t.Run(name+" after it was done", func(t *testing.T) {
			first, second := newSilencingAlertmanager(t), newSilencingAlertmanager(t)
			s := newSilencing(t, first.URL, second.URL)
			first.after = unlocked(first, lost)
			id, err := s.create("hash")
			require.NoError(t, err)
			require.Equal(t, "0000-0001", id)
			require.Equal(t, mira, s.keeper.get(id).Write.By)
			_, err = s.ExtendSilence(t.Context(), "prod", id, time.Now().UTC().Add(4*time.Hour).Truncate(time.Millisecond), mira)
			require.NoError(t, err)
			require.NoError(t, s.ExpireSilence(t.Context(), "prod", id, mira))
			require.Len(t, first.changes(), 3)
			require.Empty(t, second.changes())
			require.Zero(t, s.keeper.planned)
		})
		t.Run(name+" before it was done", func(t *testing.T) {
			first, second := newSilencingAlertmanager(t), newSilencingAlertmanager(t)
			s := newSilencing(t, first.URL, second.URL)
			id, err := s.create("hash")
			require.NoError(t, err)
			first.before = unlocked(first, lost)
			for _, change := range []func() error{
				func() error {
					other := deploy()
					other.Comment = "another deploy" // the first one can be of the same millisecond
					_, err := s.CreateSilence(s.Context(), "prod", other, "another", mira)
					return err
				},
				func() error {
					_, err := s.ExtendSilence(t.Context(), "prod", id, time.Now().Add(9*time.Hour), mira)
					return err
				},
				func() error { return s.ExpireSilence(t.Context(), "prod", id, mira) },
			} {
				err := change()
				var failed *grouping.SilenceFailedError
				require.ErrorAs(t, err, &failed)
				require.True(t, failed.Unknown)
				require.Regexp(t, `got the request, but did not answer it: .*`+
					`It says now that the silence was not .*, but it may still do it\.`, err.Error())
			}
			require.Len(t, first.changes(), 4)
			require.Empty(t, second.changes())
			require.Equal(t, 3, s.keeper.planned, "what is read next can still be these changes")
		})
	}
	t.Run("nothing is answered any more", func(t *testing.T) {
		am := newSilencingAlertmanager(t)
		s := newSilencing(t, am.URL)
		var gone atomic.Bool
		am.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gone.Swap(true) {
				hang(w, r)
			}
			panic(http.ErrAbortHandler)
		})
		_, err := s.create("hash")
		require.ErrorContains(t, err, "Muster cannot tell whether the silence was created. Look at the silences before you try again.")
	})
}

// unlocked calls the function without the lock of the Alertmanager, so that it can be asked.
func unlocked(a *silencingAlertmanager, fn func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		a.mu.Unlock()
		defer a.mu.Lock()
		return fn(w, r)
	}
}

// A person who goes away does not take back the request.
func TestAPersonGoesAway(t *testing.T) {
	am := newSilencingAlertmanager(t)
	s := newSilencing(t, am.URL)
	ctx, cancel := context.WithCancel(t.Context())
	am.before = func(http.ResponseWriter, *http.Request) bool { cancel(); return false }
	id, err := s.CreateSilence(ctx, "prod", deploy(), "hash", mira)
	require.NoError(t, err)
	require.NotNil(t, s.keeper.get(id))
}

// Other clients of Alertmanager's API get its answers as they are.
func TestRequestsArePassedOn(t *testing.T) {
	am := newSilencingAlertmanager(t)
	s := newSilencing(t, down(t), am.URL)
	post := func(body string) (grouping.SilenceAnswer, error) {
		return s.PassPost(t.Context(), "prod", "application/json", []byte(body), mira)
	}
	end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	answer, err := post(`{"matchers":[{"name":"a","value":"b","isRegex":false}],"endsAt":"` + end +
		`","createdBy":"root","comment":"c","extra":1}`)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	require.Equal(t, "application/json", answer.ContentType)
	require.JSONEq(t, `{"silenceID":"0000-0001"}`, string(answer.Body))
	require.EqualValues(t, 1, am.silences["0000-0001"]["extra"], "it is the body that came")
	made := s.keeper.get("0000-0001")
	require.Equal(t, "root", made.CreatedBy)
	require.Equal(t, mira, made.Write.By)
	require.Equal(t, "=", made.MatcherSets[0][0].Type)

	answer, err = post("{")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, answer.Status)
	require.JSONEq(t, `{"code":400,"message":"parsing silence body failed"}`, string(answer.Body))

	answer, err = s.PassDelete(t.Context(), "prod", "0000-0001", mira)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	require.Empty(t, answer.Body)
	require.Equal(t, grouping.SilenceExpired, s.keeper.get("0000-0001").StateAt(time.Now()))

	am.before = refuse(http.StatusInternalServerError, `"broken"`)
	answer, err = s.PassDelete(t.Context(), "prod", "0000-0001", mira)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, answer.Status)
	am.before = unlocked(am, hangUp)
	_, err = post(`{}`)
	require.ErrorIs(t, err, grouping.ErrSilencing)
	var failed *grouping.SilenceFailedError
	require.ErrorAs(t, err, &failed)
}

func TestSilencerOptions(t *testing.T) {
	require.NoError(t, alertmanager.DefaultSilencerOptions().Validate())
	require.Error(t, alertmanager.SilencerOptions{}.Validate())
}

func TestSilenceIDs(t *testing.T) {
	require.True(t, alertmanager.ValidSilenceID("a11a0000-0000-4000-8000-000000000004"))
	for _, id := range []string{"", "..", "a/b", "a%2fb", "a?b", strings.Repeat("a", 65)} {
		require.False(t, alertmanager.ValidSilenceID(id), id)
	}
	am := newSilencingAlertmanager(t)
	s := newSilencing(t, am.URL)
	require.ErrorIs(t, s.ExpireSilence(t.Context(), "prod", "../alerts", mira), grouping.ErrSilenceNotFound)
	require.Empty(t, am.requests)
	require.ErrorContains(t, s.ExpireSilence(t.Context(), "prod", "unknown", mira), "it does not know the silence")
}
