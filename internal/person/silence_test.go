package person

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func TestWhoMaySilence(t *testing.T) {
	proxy := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	on, unverified := Silences{Allowed: true}, Silences{Allowed: true, Unverified: true}
	for name, tc := range map[string]struct {
		policy Policy
		header string
		typed  string
		status int
		want   grouping.Person
	}{
		"off":                        {Policy{}, "", "mira", http.StatusMethodNotAllowed, grouping.Person{}},
		"read-only":                  {Policy{Silences: unverified, ReadOnly: true}, "", "mira", http.StatusMethodNotAllowed, grouping.Person{}},
		"verified":                   {Policy{Silences: on, Header: "X-User", HeaderFrom: proxy}, "mira", "", 0, grouping.Person{Name: "mira", Verified: true}},
		"not verified":               {Policy{Silences: on, Header: "X-User", HeaderFrom: proxy}, "", "mira", http.StatusForbidden, grouping.Person{}},
		"no name":                    {Policy{Silences: on}, "", "", http.StatusForbidden, grouping.Person{}},
		"unverified are allowed":     {Policy{Silences: unverified}, "", "mira", 0, grouping.Person{Name: "mira"}},
		"unverified without a name":  {Policy{Silences: unverified}, "", " ", http.StatusBadRequest, grouping.Person{}},
		"a verified name wins":       {Policy{Silences: unverified, Header: "X-User", HeaderFrom: proxy}, "mira", "", 0, grouping.Person{Name: "mira", Verified: true}},
		"another name":               {Policy{Silences: unverified, Header: "X-User", HeaderFrom: proxy}, "mira", "dana", http.StatusBadRequest, grouping.Person{}},
		"only some write":            {Policy{Silences: on, Header: "X-User", HeaderFrom: proxy, Writers: []string{"dana"}}, "mira", "", http.StatusForbidden, grouping.Person{}},
		"a token of the webhook":     {Policy{Silences: unverified, IsSender: func(*http.Request) bool { return true }}, "", "mira", http.StatusForbidden, grouping.Person{}},
		"a verified name is checked": {Policy{Silences: on, Header: "X-User", HeaderFrom: proxy}, "a\u202eb", "", http.StatusBadRequest, grouping.Person{}},
	} {
		r := httptest.NewRequest(http.MethodPost, "/silences/new", http.NoBody)
		if tc.header != "" {
			r.Header.Set("X-User", tc.header)
		}
		who, err := tc.policy.Silencer(r, tc.typed)
		if tc.status == 0 {
			require.NoError(t, err, name)
			require.Equal(t, tc.want, who, name)
			continue
		}
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, tc.status, refused.Status, name)
		require.Equal(t, grouping.Person{}, who, name)
	}
}

func TestSilencesNeedVerifiedNames(t *testing.T) {
	users := func() bool { return true }
	for _, p := range []Policy{
		{}, {Silences: Silences{Allowed: true, Unverified: true}}, {Silences: Silences{Allowed: true}, Header: "X-User"},
		{Silences: Silences{Allowed: true}, HasUsers: users},
	} {
		require.NoError(t, p.ValidateSilences())
	}
	p := Policy{Silences: Silences{Allowed: true}, HasUsers: func() bool { return false }}
	require.ErrorContains(t, p.ValidateSilences(), "--alertmanager.allow-silences needs verified names")
	require.True(t, p.MaySilence())
	p.ReadOnly = true
	require.False(t, p.MaySilence())
	require.False(t, (&Policy{}).MaySilence())
}
