package person

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// request returns a request from an address; headers are pairs of name and value.
func request(remote string, headers ...string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", nil)
	r.RemoteAddr = remote
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func from(t *testing.T, texts ...string) (list []netip.Prefix) {
	t.Helper()
	for _, text := range texts {
		prefix, err := ParseFrom(text)
		require.NoError(t, err)
		list = append(list, prefix)
	}
	return list
}

func requireRefused(t *testing.T, status int, text string, err error) {
	t.Helper()
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status)
	require.Contains(t, refused.Text, text)
}

// The zero policy takes the typed name, or the one that the browser kept.
func TestATypedName(t *testing.T) {
	var p Policy
	require.NoError(t, p.Validate())
	require.False(t, p.Verified())
	who, err := p.Writer(request("192.0.2.1:1"), " mira ")
	require.NoError(t, err)
	require.Equal(t, grouping.Person{Name: "mira"}, who)

	_, err = p.Writer(request("192.0.2.1:1"), " ")
	requireRefused(t, http.StatusBadRequest, "a name is required", err)
	_, err = p.Writer(request("192.0.2.1:1"), strings.Repeat("x", 101))
	requireRefused(t, http.StatusBadRequest, "101 characters, the limit is 100", err)
	_, err = p.Writer(request("192.0.2.1:1"), "mi\nra")
	requireRefused(t, http.StatusBadRequest, "control character", err)
	_, err = p.Writer(request("192.0.2.1:1", "X-User", "dana"), "")
	requireRefused(t, http.StatusBadRequest, "a name is required", err)
}

// The cookie brings every name back, and a broken cookie is no name.
func TestTheCookieKeepsATypedName(t *testing.T) {
	var p Policy
	for _, name := range []string{"mira", `Jo "the; one", <b>`, "میرا 100 %", strings.Repeat("é", 100)} {
		w := httptest.NewRecorder()
		Remember(w, grouping.Person{Name: name}, "/muster", true)
		cookies := w.Result().Cookies()
		require.Len(t, cookies, 1)
		require.Equal(t, []any{"/muster", true, http.SameSiteStrictMode, false},
			[]any{cookies[0].Path, cookies[0].Secure, cookies[0].SameSite, cookies[0].HttpOnly})
		require.Equal(t, 365*24*60*60, cookies[0].MaxAge)
		who, err := p.Writer(request("192.0.2.1:1", "Cookie", cookies[0].Name+"="+cookies[0].Value), "")
		require.NoError(t, err)
		require.Equal(t, grouping.Person{Name: name}, who)
		who, err = p.Writer(request("192.0.2.1:1", "Cookie", cookies[0].Name+"="+cookies[0].Value), "rob")
		require.NoError(t, err)
		require.Equal(t, "rob", who.Name, "the field wins")
	}
	for _, value := range []string{"%zz", "mi%0ara", strings.Repeat("x", 101), ""} {
		_, err := p.Writer(request("192.0.2.1:1", "Cookie", cookieName+"="+value), "")
		requireRefused(t, http.StatusBadRequest, "", err)
	}
	w := httptest.NewRecorder()
	Remember(w, grouping.Person{Name: "mira", Verified: true}, "", false)
	require.Empty(t, w.Header())
}

func TestAVerifiedNameWins(t *testing.T) {
	p := Policy{HasUsers: func() bool { return true }}
	require.True(t, p.Verified())
	r := request("192.0.2.1:1", "Cookie", cookieName+"=jo")
	r = r.WithContext(WithUser(r.Context(), "mira"))
	for _, typed := range []string{"", "mira", " mira"} {
		who, err := p.Writer(r, typed)
		require.NoError(t, err)
		require.Equal(t, grouping.Person{Name: "mira", Verified: true}, who)
	}
	_, err := p.Writer(r, "rob")
	requireRefused(t, http.StatusBadRequest, `you are signed in as "mira", so you cannot write as "rob"`, err)
	_, err = p.Writer(r, strings.Repeat("<", 1<<20))
	requireRefused(t, http.StatusBadRequest, "…", err)
	require.Less(t, len(err.Error()), 500)
	_, err = p.Writer(r, "rob\r\nSet-Cookie: a=b")
	requireRefused(t, http.StatusBadRequest, `rob\r\nSet-Cookie`, err)
}

// The header counts only in requests that come directly from the proxy.
func TestTheHeaderOfTheProxy(t *testing.T) {
	p := Policy{Header: "X-User", HeaderFrom: from(t, "10.0.0.0/8", "192.0.2.7", "2001:db8::/32")}
	require.NoError(t, p.Validate())
	require.True(t, p.Verified())
	for remote, trusted := range map[string]bool{
		"10.1.2.3:80":           true,
		"[::ffff:10.1.2.3]:80":  true,
		"192.0.2.7:80":          true,
		"[2001:db8::1]:80":      true,
		"[2001:db8::1%eth0]:80": true,
		"192.0.2.8:80":          false,
		"11.0.0.1:80":           false,
		"[2001:db9::1]:80":      false,
		"@":                     false,
		"":                      false,
	} {
		who, err := p.Writer(request(remote, "X-User", "mira", "X-Forwarded-For", "10.1.2.3"), "")
		if trusted {
			require.NoError(t, err, remote)
			require.Equal(t, grouping.Person{Name: "mira", Verified: true}, who, remote)
			continue
		}
		requireRefused(t, http.StatusBadRequest, "a name is required", err)
		who, err = p.Writer(request(remote, "X-User", "mira"), "rob")
		require.NoError(t, err, remote)
		require.Equal(t, grouping.Person{Name: "rob"}, who, remote)
	}
	_, err := p.Writer(request("10.1.2.3:80", "X-User", "mira", "X-User", "dana"), "")
	requireRefused(t, http.StatusBadRequest, "2 headers X-User", err)
	_, err = p.Writer(request("10.1.2.3:80", "X-User", "mi\x07ra"), "")
	requireRefused(t, http.StatusBadRequest, "control character", err)
	_, err = p.Writer(request("10.1.2.3:80", "X-User", "mira"), "rob")
	requireRefused(t, http.StatusBadRequest, `signed in as "mira"`, err)

	r := request("10.1.2.3:80", "X-User", "mira")
	who, err := p.Writer(r.WithContext(WithUser(r.Context(), "proxy")), "")
	require.NoError(t, err)
	require.Equal(t, grouping.Person{Name: "mira", Verified: true}, who, "the password is that of the proxy")
	r = request("192.0.2.8:80", "X-User", "mira")
	who, err = p.Writer(r.WithContext(WithUser(r.Context(), "rob")), "")
	require.NoError(t, err)
	require.Equal(t, grouping.Person{Name: "rob", Verified: true}, who)
}

func TestOnlyWritersWrite(t *testing.T) {
	p := Policy{Header: "X-User", HeaderFrom: from(t, "10.0.0.1"), Writers: []string{"mira", "rob"}}
	require.NoError(t, p.Validate())
	who, err := p.Writer(request("10.0.0.1:1", "X-User", "rob"), "")
	require.NoError(t, err)
	require.Equal(t, grouping.Person{Name: "rob", Verified: true}, who)
	for _, name := range []string{"dana", "Mira", "mira2"} {
		_, err = p.Writer(request("10.0.0.1:1", "X-User", name), "")
		requireRefused(t, http.StatusForbidden, "may not write here", err)
	}
	_, err = p.Writer(request("192.0.2.1:1", "X-User", "mira"), "mira")
	requireRefused(t, http.StatusForbidden, "not verified", err)
}

func TestReadOnly(t *testing.T) {
	p := Policy{ReadOnly: true, HasUsers: func() bool { return true }, Writers: []string{"mira"}}
	r := request("192.0.2.1:1")
	_, err := p.Writer(r.WithContext(WithUser(r.Context(), "mira")), "")
	requireRefused(t, http.StatusMethodNotAllowed, "this Muster is read-only", err)
}

func TestASenderCannotWrite(t *testing.T) {
	p := Policy{IsSender: func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }}
	_, err := p.Writer(request("192.0.2.1:1", "Authorization", "Bearer token"), "mira")
	requireRefused(t, http.StatusForbidden, "a token of the webhook is not a person", err)
	_, err = p.Writer(request("192.0.2.1:1"), "mira")
	require.NoError(t, err)
}

func TestAPolicyMustProtectNames(t *testing.T) {
	users := func() bool { return true }
	for want, p := range map[string]Policy{
		"--web.user-header-from has no effect":        {HeaderFrom: from(t, "10.0.0.1")},
		"--web.user-header needs":                     {Header: "X-User", HasUsers: users},
		"--web.writers needs verified names":          {Writers: []string{"mira"}},
		"--web.writers needs verified names: set --w": {Writers: []string{"mira"}, HasUsers: func() bool { return false }},
	} {
		require.ErrorContains(t, p.Validate(), want)
	}
	require.NoError(t, (&Policy{Writers: []string{"mira"}, HasUsers: users}).Validate())
	require.NoError(t, (&Policy{ReadOnly: true}).Validate())
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1": "10.0.0.1/32", "10.1.2.3/8": "10.0.0.0/8", "::1": "::1/128", "fe80::1%eth0": "fe80::1/128",
		"::ffff:10.0.0.1": "10.0.0.1/32", "::ffff:10.0.0.0/104": "10.0.0.0/8", "2001:db8::/32": "2001:db8::/32",
	} {
		prefix, err := ParseFrom(text)
		require.NoError(t, err, text)
		require.Equal(t, want, prefix.String())
	}
	for _, text := range []string{"", "proxy", "10.0.0.1:80", "10.0.0.0/33", "10.0.0"} {
		_, err := ParseFrom(text)
		require.ErrorContains(t, err, "is neither an address nor a network", text)
	}
	name, err := ParseHeader("x-forwarded-user")
	require.NoError(t, err)
	require.Equal(t, "X-Forwarded-User", name)
	name, err = ParseHeader("")
	require.NoError(t, err)
	require.Empty(t, name)
	for text, want := range map[string]string{
		"X User": "is not the name", "X-User: mira": "is not the name",
		"authorization": "a browser sets Authorization itself", "Host": "a browser sets Host itself",
	} {
		_, err := ParseHeader(text)
		require.ErrorContains(t, err, want)
	}
}
