package grouping

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are the durations and bounds by which a Manager works.
type Options struct {
	// Wait is how long a new group settles before its first flush, Interval the
	// time between its flushes after that.
	Wait, Interval time.Duration
	// Settle is for how long after a resolution a firing with the same start,
	// from another Alertmanager, is held to be that replica's older view.
	Settle time.Duration
	// StaleAfter is how long a firing group may be without a word before it is
	// marked stale. It should be longer than Alertmanager's repeat_interval.
	StaleAfter time.Duration
	// Retention is how long a group stays after its last alert stopped firing,
	// and an alert that stopped firing in a group that goes on.
	Retention time.Duration
}

// DefaultOptions are Alertmanager's own defaults where it has one.
var DefaultOptions = Options{
	Wait:       30 * time.Second,
	Interval:   5 * time.Minute,
	Settle:     15 * time.Second, // Alertmanager's --cluster.peer-timeout
	StaleAfter: 24 * time.Hour,   // well above the usual repeat_interval of 4 h
	Retention:  7 * 24 * time.Hour,
}

// Outcome is what became of a notification.
type Outcome struct {
	Group  *AlertGroup
	Events []Event
}

// Update is a change of a group, by this process or by another replica.
type Update struct {
	ID     ID
	Group  *AlertGroup // nil: the group is gone
	Events []Event     // of a change by this process
}

// Stats is a summary of what is held.
type Stats struct {
	Groups           map[State]int
	Alerts           map[Status]int
	Sources          map[string]SourceStats
	Receivers        map[string]int // groups by receiver
	LastNotification time.Time
	Restored         int // groups restored at start
}

// SourceStats is a summary of one source.
type SourceStats struct {
	Groups           int
	LastNotification time.Time
	Alertmanagers    map[string]time.Time // last notification by external URL
}

// Metrics counts what is held, for gauges.
type Metrics struct {
	Groups map[State]int
	Alerts map[Status]int
}

// Manager keeps alert groups: it applies notifications to them, runs their
// timers, answers queries. It works on any GroupStorage and is safe for
// concurrent use.
type Manager struct {
	storage GroupStorage
	clock   *Clock
	logger  *slog.Logger
	opts    Options
	mu      sync.Mutex
}

func NewManager(s GroupStorage, clock *Clock, reg prometheus.Registerer, logger *slog.Logger, opts Options) (*Manager, error) {
	panic("todo")
}

// Watch makes the manager call fn after every change of a group. It is called
// once, before the manager is used. fn must not block.
func (m *Manager) Watch(fn func(Update)) {}

func (m *Manager) Stamp() Stamp                                                { return m.clock.Stamp() }
func (m *Manager) Ingest(ctx context.Context, n Notification) (Outcome, error) { panic("") }
func (m *Manager) AddAlertToGroup(ctx context.Context, key Key, a NotifiedAlert) (*AlertGroup, error) {
	panic("")
}
func (m *Manager) RemoveAlertFromGroup(ctx context.Context, id ID, fp Fingerprint) error { panic("") }
func (m *Manager) GetGroup(ctx context.Context, id ID) (*AlertGroup, error)              { panic("") }
func (m *Manager) UpdateGroupState(ctx context.Context, id ID) (*AlertGroup, error)      { panic("") }
func (m *Manager) ListGroups(ctx context.Context, q ListQuery) (GroupPage, error)        { panic("") }
func (m *Manager) CleanupExpiredGroups(ctx context.Context) (int, error)                 { panic("") }
func (m *Manager) GetGroupByFingerprint(ctx context.Context, fp Fingerprint) ([]*AlertGroup, error) {
	panic("")
}
func (m *Manager) Events(ctx context.Context, q EventQuery) (EventPage, error) { panic("") }
func (m *Manager) GetMetrics(ctx context.Context) (Metrics, error)             { panic("") }
func (m *Manager) GetStats(ctx context.Context) (Stats, error)                 { panic("") }
func (m *Manager) RestoreGroups(ctx context.Context) (int, error)              { panic("") }
func (m *Manager) Run(ctx context.Context) error                               { panic("") }
