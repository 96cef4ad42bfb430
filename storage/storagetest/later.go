package storagetest

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// NotifiedAlert returns a report that the alert of an instance fires.
func NotifiedAlert(instance string) grouping.NotifiedAlert {
	l := grouping.NewLabels(map[string]string{"alertname": "Down", "instance": instance})
	return grouping.NotifiedAlert{
		Fingerprint: l.Fingerprint(), Status: grouping.StatusFiring, Labels: l,
		StartsAt: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC),
	}
}

// Fields reads and writes single fields of the stored documents.
type Fields struct {
	Get func(id grouping.ID, name string) string
	Set func(id grouping.ID, name, value string)
}

// What a later version added: a field of a record, and a record of an unknown kind.
const (
	added       = `"later":[1,{"x":"y"}]`
	unknownName = "later:1"
	unknownText = "00000197d5a3c8000000aaaaaaaaaaaa" + `{"x":1}`
)

// RunLaterVersion checks that what a later version added stays: fields of a document or
// of a record, when this version writes them, and records of an unknown kind.
func RunLaterVersion(t *testing.T, s grouping.GroupStorage, fields Fields) {
	runLaterSource(t, s, fields)
	key, alert := Key("later"), NotifiedAlert("a")
	id := key.ID()
	names := []string{grouping.HeadRecord, "a:" + string(alert.Fingerprint)}
	clock := grouping.NewClock() // one clock, so that the order of the stamps is known
	start := func() *grouping.Manager {
		m, err := grouping.NewManager(s, clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
		require.NoError(t, err)
		return m
	}
	first, err := start().AddAlertToGroup(t.Context(), key, alert)
	require.NoError(t, err)
	before := map[string]string{}
	for _, name := range names {
		before[name] = strings.Replace(fields.Get(id, name), "{", "{"+added+",", 1)
		fields.Set(id, name, before[name])
	}
	fields.Set(id, unknownName, unknownText)

	fields.people(t, start(), id)
	ended := alert
	ended.Status, ended.EndsAt = grouping.StatusResolved, ended.StartsAt.Add(time.Minute)
	g, err := start().AddAlertToGroup(t.Context(), key, ended)
	require.NoError(t, err)
	require.Equal(t, grouping.StatusResolved, g.Alerts[0].Status)
	for _, name := range names {
		require.NotEqual(t, before[name], fields.Get(id, name), "the record must have been written again")
		require.Contains(t, fields.Get(id, name), added)
	}
	require.Equal(t, unknownText, fields.Get(id, unknownName))
	// An older version has written the same records without the unknown fields.
	joined := grouping.Merge(first, g)
	require.Equal(t, g.Unknown, joined.Unknown)
	require.JSONEq(t, "{"+added+"}", joined.Alerts[0].Unknown)

	// A record that this version cannot read does not keep it from deleting the group.
	require.NoError(t, start().RemoveAlertFromGroup(t.Context(), id, alert.Fingerprint))
	_, err = s.Load(t.Context(), id)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
}

// people checks that what a later version added to an acknowledgement stays if somebody undoes
// it.
func (f Fields) people(t *testing.T, m *grouping.Manager, id grouping.ID) {
	g, err := m.Acknowledge(t.Context(), id, grouping.AckRequest{By: mira})
	require.NoError(t, err)
	name := "ack:" + g.Acks[0].ID
	before := strings.Replace(f.Get(id, name), "{", "{"+added+",", 1)
	f.Set(id, name, before)
	_, err = m.Unacknowledge(t.Context(), id, grouping.UnackRequest{By: jo, Ack: g.Acks[0].ID})
	require.NoError(t, err)
	require.NotEqual(t, before, f.Get(id, name))
	require.Contains(t, f.Get(id, name), added)
	_, err = m.AddNote(t.Context(), id, grouping.NoteRequest{By: jo, ID: "n", Text: "text"})
	require.NoError(t, err)
	require.Contains(t, f.Get(id, "n:n"), `"text":"text"`)
}

// runLaterSource is RunLaterVersion for the document of a source.
func runLaterSource(t *testing.T, s grouping.GroupStorage, fields Fields) {
	w := NewWriter(s)
	d := w.MustStoreSource(t, w.SourceChange(grouping.NewSourceDocument("later"), a("x", "1")))
	names := []string{grouping.HeadRecord, "s:x"}
	before := map[string]string{}
	for _, name := range names {
		before[name] = strings.Replace(fields.Get(d.ID, name), "{", "{"+added+",", 1)
		fields.Set(d.ID, name, before[name])
	}
	fields.Set(d.ID, unknownName, unknownText)

	d = w.MustLoadSource(t, "later")
	changed := *d.Silences["x"]
	changed.Comment = "2"
	c := w.SourceChange(d)
	c.Source = d.WithSilences(c.Stamp, changed)
	w.MustStoreSource(t, c)
	for _, name := range names {
		require.NotEqual(t, before[name], fields.Get(d.ID, name), "the record must have been written again")
		require.Contains(t, fields.Get(d.ID, name), added)
	}
	require.Equal(t, unknownText, fields.Get(d.ID, unknownName))
}
