package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one measurement of one program. Times and allocations are per operation.
type sample struct {
	n             int     // number of operations
	rate          float64 // operations in a second
	mean          time.Duration
	p50, p99      time.Duration
	cpu, redisCPU time.Duration
	allocs, bytes float64 // allocations of Muster
	memory        memory
	size          int64 // of a program or a file, in bytes
	lost          int   // alerts that were acknowledged, or events that were sent, and are missing
	writes        int   // changes of the storage
}

// memory returns the memory of the program, and that of its Redis.
func (p *program) memory() memory {
	m := p.process.memory(p.dir)
	if p.redis != nil {
		m.redis = p.redis.memory(p.dir).resident
	}
	return m
}

// total is the CPU time of the program and its Redis.
func (s sample) total() time.Duration { return s.cpu + s.redisCPU }

// resultKey names what was measured.
type resultKey struct {
	row, program string
	side         int
}

// results are the samples of all rows, in the order of the rounds.
type results struct {
	keys    []resultKey // in the order of the first sample
	samples map[resultKey][]sample
}

func (r *results) add(row string, p *program, s sample) {
	key := resultKey{row, p.name, p.side}
	if _, ok := r.samples[key]; !ok {
		r.keys = append(r.keys, key)
	}
	r.samples[key] = append(r.samples[key], s)
}

// last returns the newest sample of a row.
func (r *results) last(row string, p *program) *sample {
	samples := r.samples[resultKey{row, p.name, p.side}]
	return &samples[len(samples)-1]
}

// usage is what a program has used since its start.
type usage struct {
	cpu, redisCPU time.Duration
	allocs, bytes float64
}

// usage reads the allocations before the CPU time, so that the CPU time does not contain
// the answer to this question. At the end of a measurement the order is the other way.
func (p *program) usage(ctx context.Context, end bool) (u usage, err error) {
	times := func() { u.cpu, u.redisCPU = p.process.cpuTime(), p.redis.cpuTime() }
	if end {
		times()
	} else {
		defer times()
	}
	if !p.isMuster() {
		return u, nil
	}
	text, err := get(ctx, p.address, "/metrics")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "go_memstats_mallocs_total":
			u.allocs, err = strconv.ParseFloat(value, 64)
		case "go_memstats_alloc_bytes_total":
			u.bytes, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return u, err
		}
	}
	return u, nil
}

// measure measures what do asks of a program, and records it. do returns what it measured,
// or nothing but the time if it sends no load.
func (b *bench) measure(ctx context.Context, row string, p *program, do func() (outcome, error)) error {
	finish := b.startProfile(ctx, row, p)
	before, err := p.usage(ctx, false)
	if err != nil {
		return err
	}
	o, err := do()
	if err != nil {
		return err
	}
	after, err := p.usage(ctx, true)
	if err != nil {
		return err
	}
	n := max(1, len(o.latencies))
	per := func(d time.Duration) time.Duration { return d / time.Duration(n) }
	b.results.add(row, p, sample{
		n: n, rate: float64(n) / o.took.Seconds(), mean: per(o.took), p50: o.quantile(0.5), p99: o.quantile(0.99),
		cpu: per(after.cpu - before.cpu), redisCPU: per(after.redisCPU - before.redisCPU),
		allocs: (after.allocs - before.allocs) / float64(n), bytes: (after.bytes - before.bytes) / float64(n),
		memory: p.memory(),
	})
	return finish()
}

// measureLoad measures the requests over the usual number of connections.
func (b *bench) measureLoad(ctx context.Context, row string, p *program, requests [][]byte) error {
	return b.measure(ctx, row, p, func() (outcome, error) {
		return load{addresses: p.connections(clients), requests: requests}.run(ctx)
	})
}

// profileSeconds is how long a profile takes. A measurement ends before.
const profileSeconds = 3

// startProfile starts a CPU profile of a Muster if profiles were asked for. The returned
// function waits for its end.
func (b *bench) startProfile(ctx context.Context, row string, p *program) (finish func() error) {
	if b.profile == "" || !p.isMuster() {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	round := len(b.results.samples[resultKey{row, p.name, p.side}])
	go func() {
		profile, err := get(ctx, p.address, fmt.Sprintf("/debug/pprof/profile?seconds=%d", profileSeconds))
		if err == nil {
			name := strings.ReplaceAll(fmt.Sprintf("%s-%s", row, p.name), "/", "-")
			err = os.WriteFile(filepath.Join(b.profile, fmt.Sprintf("%s-%d.pb.gz", name, round)), profile, 0o600)
		}
		done <- err
	}()
	return func() error { return <-done }
}

// median returns the median of a value of the samples.
func median(samples []sample, value func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	if half := len(values) / 2; len(values)%2 == 0 {
		return (values[half-1] + values[half]) / 2
	}
	return values[len(values)/2]
}
