package grouping

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// FuzzRecord decodes arbitrary texts of records and events. What is decoded without the JSON library
// is what the library decodes.
func FuzzRecord(f *testing.F) {
	c := apply(nil, Notification{Key: testKey, Alerts: bigGroup(2), Stamp: NewStamp(base, 0, testWriter)}, testRules)
	head := headText(f, c.Group)
	f.Add([]byte(head[StampLen:]))
	alert := alertText(f, c.Group.Alerts[0])
	f.Add([]byte(alert[StampLen:]))
	event, err := c.Events[0].Encode()
	require.NoError(f, err)
	f.Add([]byte(event[len(c.Events[0].ID):]))
	f.Add([]byte(`{"startsAt":"2026-11-27T5:00:00Z"}`))
	f.Add([]byte(`{"startsAt":"2026-11-27T05:00:00,5Z"}`))
	f.Add([]byte(`{"createdAt":"2026-11-27T05:00:00+00:00"}`))
	f.Add([]byte(`{"truncated":18446744073709551616}`))
	f.Add([]byte(`{"labels":{"b":"","a":""}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, c := range []struct {
			got, want any
			read      func(v any) func(*objectReader)
		}{
			{
				&storedAlert{Alert: &Alert{}}, &storedAlert{Alert: &Alert{}},
				func(v any) func(*objectReader) { return v.(*storedAlert).decode },
			},
			{&storedMeta{Meta: &Meta{}}, &storedMeta{Meta: &Meta{}}, func(v any) func(*objectReader) { return v.(*storedMeta).Meta.decode }},
			{&storedEvent{Event: &Event{}}, &storedEvent{Event: &Event{}}, func(v any) func(*objectReader) { return v.(*storedEvent).Event.decode }},
		} {
			if decodedObject(text, c.read(c.got)) {
				require.NoError(t, json.Unmarshal(text, c.want))
				require.Equal(t, decoded(c.want), decoded(c.got))
			}
		}
	})
}
