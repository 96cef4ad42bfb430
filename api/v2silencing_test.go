package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// v2Silencing returns a server on which the proxy of the tests verifies people.
func v2Silencing(t *testing.T, silencer *testserver.FakeSilencer, silences person.Silences) *testserver.Server {
	return testserver.New(t, testserver.Options{Silencer: silencer, People: person.Policy{
		Header: "X-User", HeaderFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Silences: silences,
	}})
}

const (
	postedSilence = `{"matchers":[{"name":"a","value":"b","isRegex":false}],"createdBy":"root","comment":"c"}`
	expiryPath    = "/silence/" + testserver.FakeSilenceID
)

func TestSilencesArePassedOn(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	h := v2Silencing(t, fake, person.Silences{Allowed: true})
	mira := grouping.Person{Name: "mira", Verified: true}
	h.PostKept(t, wiretest.Body())
	for _, path := range []string{"/api/v2", "/source/default/api/v2"} {
		w := h.Do(http.MethodPost, path+"/silences", strings.NewReader(postedSilence), "X-User", "mira")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.JSONEq(t, `{"silenceID":"`+testserver.FakeSilenceID+`"}`, w.Body.String())
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		fake.Answer = grouping.SilenceAnswer{Status: http.StatusOK}
		w = h.Do(http.MethodDelete, path+expiryPath, nil, "X-User", "mira")
		require.Equal(t, http.StatusOK, w.Code)
		require.Empty(t, w.Body.String())
		fake.Answer = grouping.SilenceAnswer{}
	}
	passed := strings.Replace(postedSilence, `"createdBy":"root","comment":"c"`, `"comment":"c","createdBy":"mira"`, 1)
	require.Equal(t, []testserver.SilenceCall{
		{Source: "default", Body: passed, By: mira},
		{Source: "default", ID: testserver.FakeSilenceID, By: mira},
		{Source: "default", Body: passed, By: mira},
		{Source: "default", ID: testserver.FakeSilenceID, By: mira},
	}, fake.Calls())
	fake.Answer = grouping.SilenceAnswer{Status: http.StatusBadRequest, ContentType: "application/json", Body: []byte(`"bad <matcher>"`)}
	w := h.Do(http.MethodPost, "/api/v2/silences", strings.NewReader(postedSilence), "X-User", "mira")
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, `"bad <matcher>"`, w.Body.String())
}

func TestSilencesAreNotPassedOn(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	on := v2Silencing(t, fake, person.Silences{Allowed: true})
	off := v2Silencing(t, fake, person.Silences{})
	readOnly := testserver.New(t, testserver.Options{
		Silencer: fake, People: person.Policy{ReadOnly: true, Silences: person.Silences{Allowed: true}},
	})
	several := v2Silencing(t, &testserver.FakeSilencer{Names: []string{"prod"}}, person.Silences{Allowed: true})
	several.PostKept(t, wiretest.Body())
	const unverified = "only people whose names are verified may change silences, so sign in"
	signedIn := []string{"X-User", "mira"}
	crossSite := []string{"X-User", "mira", "Sec-Fetch-Site", "cross-site"}
	for name, tc := range map[string]struct {
		h       *testserver.Server
		path    string
		headers []string
		code    int
		text    string
	}{
		"off":              {off, "/api/v2", signedIn, 405, `{"code":405,"message":"method POST is not allowed, but [GET] are"}`},
		"read-only":        {readOnly, "/api/v2", nil, 405, `{"code":405,"message":"this Muster is read-only"}`},
		"not verified":     {on, "/api/v2", nil, 403, `{"code":403,"message":"` + unverified + `"}`},
		"from a page":      {on, "/api/v2", crossSite, 403, `{"error":"requests from a browser on another site are not allowed"}`},
		"several sources":  {several, "/api/v2", signedIn, 400, `"Muster has several sources: use /source/default/api/v2, for example"`},
		"without an API":   {several, "/source/default/api/v2", signedIn, 400, `"no --alertmanager.url has the source \"default\""`},
		"an unknown one":   {on, "/source/none/api/v2", signedIn, 404, `{"code":404,"message":"source \"none\" was not found"}`},
		"below the prefix": {on, "/alertmanager/api/v2", signedIn, 404, ""},
	} {
		w := tc.h.Do(http.MethodPost, tc.path+"/silences", strings.NewReader(postedSilence), tc.headers...)
		require.Equal(t, tc.code, w.Code, name)
		if tc.text != "" {
			require.JSONEq(t, tc.text, w.Body.String(), name)
		}
		if name == "several sources" {
			require.Equal(t, tc.text+"\n", w.Body.String(), "the form of Alertmanager's own errors")
		}
		if strings.HasPrefix(w.Body.String(), `{"code":405`) {
			require.Equal(t, "GET", w.Header().Get("Allow"), name)
		}
		w = tc.h.Do(http.MethodDelete, tc.path+expiryPath, nil, tc.headers...)
		require.Equal(t, tc.code, w.Code, name)
	}
	w := on.Do(http.MethodDelete, "/api/v2/silence/..%2fsilences", nil, "X-User", "mira")
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	w = on.Do(http.MethodPost, "/api/v2/silences", strings.NewReader(strings.Repeat(" ", 256<<10+1)), "X-User", "mira")
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Empty(t, fake.Calls())
}

// No answer of an Alertmanager is said in the form of its own errors.
func TestAlertmanagerDoesNotAnswer(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	h := v2Silencing(t, fake, person.Silences{Allowed: true})
	for code, err := range map[int]error{
		http.StatusBadGateway:         &grouping.SilenceFailedError{Text: "am-0 does not answer."},
		http.StatusGatewayTimeout:     &grouping.SilenceFailedError{Text: "Muster cannot tell.", Unknown: true},
		http.StatusServiceUnavailable: grouping.ErrBusy,
	} {
		fake.Err = err
		w := h.Do(http.MethodPost, "/api/v2/silences", strings.NewReader(postedSilence), "X-User", "mira")
		require.Equal(t, code, w.Code)
		require.JSONEq(t, `"`+err.Error()+`"`, w.Body.String())
	}
}

// Alertmanager gets the verified name, however a client writes the creator. The rest stays as it is.
func TestTheVerifiedNameIsTheCreator(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	h := v2Silencing(t, fake, person.Silences{Allowed: true, Unverified: true})
	post := func(body string, headers ...string) int {
		return h.Do(http.MethodPost, "/api/v2/silences", strings.NewReader(body), headers...).Code
	}
	for body, passed := range map[string]string{
		`{"createdBy":"root"}`:            `{"createdBy":"mira \"x\""}`,
		`{"comment":"c"}`:                 `{"comment":"c","createdBy":"mira \"x\""}`,
		`{"createdBy":"a","CREATEDby":1}`: `{"createdBy":"mira \"x\""}`,
		`{"id":"7","createdBy":null,"later":[{"createdBy":"kept"}, 1.50],"comment":"` + "\xff" + `"} {"createdBy":"root"}`: `{"id":"7",` +
			`"later":[{"createdBy":"kept"}, 1.50],"comment":"` + "\xff" + `","createdBy":"mira \"x\""}`,
	} {
		require.Equal(t, http.StatusOK, post(body, "X-User", `mira "x"`), body)
		calls := fake.Calls()
		require.Equal(t, passed, calls[len(calls)-1].Body)
	}
	n := len(fake.Calls())
	for _, body := range []string{"", "null", `["createdBy"]`, `{"createdBy":"root"`, `{"createdBy" "root"}`} {
		w := h.Do(http.MethodPost, "/api/v2/silences", strings.NewReader(body), "X-User", "mira")
		require.Equal(t, http.StatusBadRequest, w.Code, body)
		require.JSONEq(t, `{"code":400,"message":"the body is not a JSON object"}`, w.Body.String())
	}
	require.Len(t, fake.Calls(), n)
	typed := `{ "createdBy":"root", "x":1}`
	require.Equal(t, http.StatusOK, post(typed))
	require.Equal(t, typed, fake.Calls()[n].Body, "without a verified name it stays as it is")
}

// Without verified names, the creator of the silence is the name.
func TestUnverifiedSilencesArePassedOn(t *testing.T) {
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	h := v2Silencing(t, fake, person.Silences{Allowed: true, Unverified: true})
	require.Equal(t, http.StatusOK, h.Do(http.MethodPost, "/api/v2/silences", strings.NewReader(postedSilence)).Code)
	require.Equal(t, http.StatusOK, h.Do(http.MethodDelete, "/api/v2"+expiryPath, nil).Code)
	calls := fake.Calls()
	require.Equal(t, grouping.Person{Name: "root"}, calls[0].By)
	require.Equal(t, grouping.Person{Name: "a client of the API"}, calls[1].By)
}
