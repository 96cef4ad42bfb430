package main

import (
	"context"
	"os"
	"time"
)

// idleTime is how long a Muster runs before its memory is read.
const idleTime = time.Second

// idle measures the start of a Muster that stores nothing, and its memory.
func (b *bench) idle(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{"idle"}, memoryMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for round := range b.rounds {
		err := b.inTurns(ps, "idle", round, func(p *program) error {
			p.process.stop()
			started := time.Now()
			if err := p.start(ctx); err != nil {
				return err
			}
			took := time.Since(started)
			cpu := p.process.cpuTime()
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(idleTime):
			}
			binary, err := os.Stat(p.binary)
			if err != nil {
				return err
			}
			b.results.add("idle", p, sample{
				n: 1, rate: 1 / took.Seconds(), mean: took, p50: took, p99: took, cpu: cpu,
				memory: p.memory(), size: binary.Size(),
			})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
