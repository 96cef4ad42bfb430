package main

import (
	"context"
	"fmt"
	"time"
)

// scaleRows are numbers of groups with 10 alerts. What they need shows the slopes.
var scaleRows = []int{1_000, 10_000, 100_000}

const scaleAlerts = 10

// scale measures how cost and memory grow with the number of groups.
func (b *bench) scale(ctx context.Context) error {
	for _, groups := range scaleRows {
		if err := b.scaleOf(ctx, groups); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scaleOf(ctx context.Context, groups int) error {
	row := fmt.Sprintf("scale/%dx%d", groups, scaleAlerts)
	ps, err := b.begin(ctx, []string{row}, memoryMuster, fileMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := b.scaleFill(ctx, row, p, groups); err != nil {
			return err
		}
		if err := b.firstPage(ctx, row+"/first-page", p, 0); err != nil {
			return err
		}
		if p.name == memoryMuster {
			continue
		}
		if err := b.restore(ctx, row+"/restore", p); err != nil {
			return err
		}
	}
	return nil
}

// scaleFill measures the notifications about all groups. The bodies are made in parts,
// because all of them would need gigabytes.
func (b *bench) scaleFill(ctx context.Context, row string, p *program, groups int) error {
	const part = 1000
	return b.measure(ctx, row, p, func() (all outcome, err error) {
		for first := 0; first < groups; first += part {
			list := make([]notification, part)
			for i := range list {
				list[i] = notification{group: fmt.Sprint(first + i), alerts: scaleAlerts, startsAt: time.Now().UTC()}
			}
			o, err := load{addresses: p.connections(clients), requests: p.requests(list)}.run(ctx)
			if err != nil {
				return all, err
			}
			all = all.join(o)
		}
		return all, nil
	})
}
