package storage

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/file"
	"muster/storage/redis"
)

// Options are the settings of a storage. The storage is Redis if Redis.URL is set,
// else a file if File.Path is set, else memory alone.
type Options struct {
	// GroupRetention is how long a resolved group is kept, HistoryRetention how long
	// events are kept. They replace the options of the backends with these names.
	GroupRetention, HistoryRetention time.Duration

	Memory MemoryOptions
	Tiered TieredOptions
	File   file.Options
	Redis  redis.Options
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		GroupRetention: grouping.DefaultOptions.Retention, HistoryRetention: grouping.DefaultHistoryRetention,
		Memory: DefaultMemoryOptions(), Tiered: DefaultTieredOptions(), File: file.DefaultOptions(), Redis: redis.DefaultOptions(),
	}
}

// Storage is an open storage. Run must be called once. After Run has returned,
// Drain and Close must be called in this order.
type Storage interface {
	grouping.GroupStorage

	// Run does the background work until the context ends, and returns nil.
	Run(ctx context.Context) error

	// Drain writes the groups that are not yet in the durable backend. It returns an
	// error if it cannot write all of them before the context ends.
	Drain(ctx context.Context) error

	// Restored returns a channel that is closed when the stored groups can be
	// loaded.
	Restored() <-chan struct{}

	// Status returns the status, for pages and metrics.
	Status() grouping.StorageStatus

	// Close releases the storage.
	Close() error
}

// Open opens the storage that the options select. It does not connect to Redis yet.
func Open(opts Options, clock *grouping.Clock, reg prometheus.Registerer, logger *slog.Logger) (Storage, error) {
	opts.Memory.HistoryRetention = opts.HistoryRetention
	memory := NewMemory(opts.Memory)
	backend, err := openBackend(opts, logger)
	if err != nil {
		return nil, err
	}
	if backend == nil {
		return newMemoryAlone(memory, reg), nil
	}
	tiered, err := NewTiered(memory, InstrumentDurable(backend, reg), clock, reg, logger, opts.Tiered)
	if err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return tiered, nil
}

// openBackend opens the durable backend, or returns nil if the options name no backend.
func openBackend(opts Options, logger *slog.Logger) (durable.Backend, error) {
	switch {
	case opts.Redis.URL != "":
		opts.Redis.Retention, opts.Redis.HistoryRetention = opts.GroupRetention, opts.HistoryRetention
		r, err := redis.New(opts.Redis)
		if err != nil {
			return nil, err
		}
		r.LogTo(logger)
		return r, nil
	case opts.File.Path != "":
		opts.File.HistoryRetention = opts.HistoryRetention
		return opened(file.Open(opts.File, logger))
	}
	return nil, nil
}

// opened returns the backend, or a nil interface if there is an error.
func opened[B durable.Backend](b B, err error) (durable.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// memoryAlone is a Storage without a durable backend.
type memoryAlone struct {
	grouping.GroupStorage

	restored chan struct{}
}

func newMemoryAlone(memory *Memory, reg prometheus.Registerer) *memoryAlone {
	m := &memoryAlone{Instrument(memory, "memory", reg), make(chan struct{})}
	close(m.restored)
	return m
}

// Run implements Storage. There is no background work.
func (*memoryAlone) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Drain implements Storage.
func (*memoryAlone) Drain(context.Context) error { return nil }

// Restored implements Storage.
func (m *memoryAlone) Restored() <-chan struct{} { return m.restored }

// Status implements Storage.
func (*memoryAlone) Status() grouping.StorageStatus {
	return grouping.StorageStatus{Mode: "memory", Healthy: true}
}

// Close implements Storage.
func (*memoryAlone) Close() error { return nil }
