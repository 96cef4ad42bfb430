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

// Events were stored before details existed. They are read and written in the same form,
// with the fields that a later version added.
func TestNotifiedEventsAreStoredAsBefore(t *testing.T) {
	id := string(NewStamp(base, 0, testWriter)) + "000000"
	const start = `{"id":"`
	text := id + start + id + `","time":"2026-11-23T03:00:00Z","kind":"notified","groupId":"0123456789abcdef0123",` +
		`"source":"default","receiver":"team","reason":"repeat","externalURL":"http://am","firing":2,"resolved":1,"truncated":3,` +
		`"later":{"a":[1]}}`
	e, err := DecodeEvent(text)
	require.NoError(t, err)
	require.Equal(t, &Notified{Reason: "repeat", ExternalURL: "http://am", Firing: 2, Resolved: 1, Truncated: 3}, e.Notified)
	again, err := e.Encode()
	require.NoError(t, err)
	require.Equal(t, text, again)

	other, err := DecodeEvent(id + `{"id":"` + id + `","kind":"fired","firing":0,"resolved":0,"truncated":0}`)
	require.NoError(t, err)
	require.Nil(t, other.Notified, "an event of another kind has no such detail")
	require.Zero(t, other.Notification())
}
