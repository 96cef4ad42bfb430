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
	always := func(*http.Request) bool { return true }
	signedIn := func(s Silences) Policy { return Policy{Silences: s, Header: "X-User", HeaderFrom: proxy} }
	onlyDana := signedIn(on)
	onlyDana.Writers = []string{"dana"}
	mira, nobody := grouping.Person{Name: "mira", Verified: true}, grouping.Person{}
	for name, tc := range map[string]struct {
		policy Policy
		header string
		typed  string
		status int
		want   grouping.Person
	}{
		"off":                        {Policy{}, "", "mira", 405, nobody},
		"read-only":                  {Policy{Silences: unverified, ReadOnly: true}, "", "mira", 405, nobody},
		"verified":                   {signedIn(on), "mira", "", 0, mira},
		"not verified":               {signedIn(on), "", "mira", 403, nobody},
		"no name":                    {Policy{Silences: on}, "", "", 403, nobody},
		"unverified are allowed":     {Policy{Silences: unverified}, "", "mira", 0, grouping.Person{Name: "mira"}},
		"unverified without a name":  {Policy{Silences: unverified}, "", " ", 400, nobody},
		"a verified name wins":       {signedIn(unverified), "mira", "", 0, mira},
		"another name":               {signedIn(unverified), "mira", "dana", 400, nobody},
		"only some write":            {onlyDana, "mira", "", 403, nobody},
		"a token of the webhook":     {Policy{Silences: unverified, IsSender: always}, "", "mira", 403, nobody},
		"a verified name is checked": {signedIn(on), "a\u202eb", "", 400, nobody},
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
		{},
		{Silences: Silences{Allowed: true, Unverified: true}},
		{Silences: Silences{Allowed: true}, Header: "X-User"},
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
