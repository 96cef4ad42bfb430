package testserver

import (
	"context"
	"testing"

	"muster/grouping"
)

// Stub answers Ingest with the function of the test. Queries panic, unless a test
// embeds it and answers them.
type Stub struct {
	Groups

	OnIngest func() (grouping.Outcome, error)
}

// Ingest answers with the function of the test.
func (s Stub) Ingest(context.Context, grouping.Notification) (grouping.Outcome, error) {
	return s.OnIngest()
}

// Stamp returns the stamp of now.
func (s Stub) Stamp() grouping.Stamp { return grouping.NewClock().Stamp() }

// All returns no groups.
func (s Stub) All(context.Context) ([]*grouping.AlertGroup, error) { return nil, nil }

// NewStub returns a server over a Stub.
func NewStub(t testing.TB, opts Options, ingest func() (grouping.Outcome, error)) *Server {
	t.Helper()
	s := New(t, opts)
	s.Use(Stub{OnIngest: ingest})
	return s
}
