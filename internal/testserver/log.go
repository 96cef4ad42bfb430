package testserver

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

// logSwitch is a handler that passes all lines to another one.
type logSwitch struct{ to *atomic.Pointer[slog.Handler] }

func newLogSwitch() *logSwitch {
	l := &logSwitch{to: &atomic.Pointer[slog.Handler]{}}
	l.set(slog.DiscardHandler)
	return l
}

func (l *logSwitch) set(h slog.Handler) { l.to.Store(&h) }

// Enabled implements slog.Handler.
func (l *logSwitch) Enabled(ctx context.Context, level slog.Level) bool {
	return (*l.to.Load()).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *logSwitch) Handle(ctx context.Context, line slog.Record) error {
	return (*l.to.Load()).Handle(ctx, line)
}

// WithAttrs implements slog.Handler. The program does not use it.
func (l *logSwitch) WithAttrs([]slog.Attr) slog.Handler { panic("the test log has no attributes") }

// WithGroup implements slog.Handler. The program does not use it.
func (l *logSwitch) WithGroup(string) slog.Handler { panic("the test log has no groups") }

// Log is a log that is safe for concurrent use.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Text returns what was logged.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Log redirects all logs of the server to the returned log.
func (s *Server) Log(t testing.TB, format string) *Log {
	t.Helper()
	out, level, style := &Log{}, promslog.NewLevel(), promslog.NewFormat()
	require.NoError(t, level.Set("debug"))
	require.NoError(t, style.Set(format))
	s.logs.set(promslog.New(&promslog.Config{Writer: out, Level: level, Format: style}).Handler())
	return out
}
