package grouping

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Fields of an event that a later version added stay when this version writes the
// event.
func TestEventKeepsUnknownFields(t *testing.T) {
	const added = `"later":[1,{"x":"y"}]`
	e := Event{ID: string(NewClock().Stamp()) + "000000", Kind: EventFired, GroupID: drawnKey(1).ID()}
	text, err := e.Encode()
	require.NoError(t, err)
	e, err = DecodeEvent(strings.Replace(text, "{", "{"+added+",", 1))
	require.NoError(t, err)
	again, err := e.Encode()
	require.NoError(t, err)
	require.Contains(t, again, added)
	require.Equal(t, text, strings.Replace(again, ","+added, "", 1))
}
