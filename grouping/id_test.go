package grouping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeyID(t *testing.T) {
	k := Key{Source: "default", Receiver: "team.a", GroupKey: `{}:{alertname="X"}`}
	require.True(t, k.ID().Valid())
	require.Equal(t, ID("c67075bdff47f6230b04"), k.ID(), "IDs are permalinks: they must not change")
	for _, other := range []Key{
		{Source: "prod", Receiver: k.Receiver, GroupKey: k.GroupKey},
		{Source: k.Source, Receiver: "team.b", GroupKey: k.GroupKey},
		{Source: k.Source, Receiver: k.Receiver, GroupKey: `{}:{alertname="Y"}`},
		// The parts are length-prefixed, so moving a byte between parts changes the ID.
		{Source: "defaultt", Receiver: "eam.a", GroupKey: k.GroupKey},
	} {
		require.NotEqual(t, k.ID(), other.ID(), "%+v", other)
	}
}

func TestIDValid(t *testing.T) {
	for _, id := range []ID{"", "0123456789abcdef012", "0123456789ABCDEF0123", "0123456789abcdef01234", "../../../../etc/pass"} {
		require.False(t, id.Valid(), "%q", id)
	}
}
