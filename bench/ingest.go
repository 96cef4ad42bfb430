package main

import (
	"context"
	"fmt"
	"time"
)

// ingestRows are the sizes of the notifications about new groups. The number of posts is
// such that a measurement takes about a third of a second.
var ingestRows = []struct{ alerts, posts int }{{1, 500}, {10, 200}, {100, 50}}

// repeats is the number of times that unchanged notifications are posted again.
const repeats = 2

// ingest measures new notifications and unchanged repeats, with all floors.
func (b *bench) ingest(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{"new/", "repeat/"},
		alertmanager, readFloor, decodeFloor, sonicFloor, indexFloor, sameFloor, memoryMuster, fileMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for round := range b.rounds {
		for _, r := range ingestRows {
			if err := b.ingestRound(ctx, ps, r.alerts, r.posts, round); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) ingestRound(ctx context.Context, ps programs, alerts, posts, round int) error {
	fresh, again := fmt.Sprintf("new/%d", alerts), fmt.Sprintf("repeat/%d", alerts)
	list := make([]notification, posts)
	for i := range list {
		list[i] = notification{group: fmt.Sprintf("%d-%d-%d", alerts, round, i), alerts: alerts, startsAt: time.Now().UTC()}
	}
	for i := range ps {
		p := ps[(i+round)%len(ps)]
		if !b.needs(fresh, p.name) && !b.needs(again, p.name) {
			continue
		}
		requests := p.requests(list)
		if err := b.measureLoad(ctx, fresh, p, requests); err != nil {
			return fmt.Errorf("%s: %s: %w", fresh, p.name, err)
		}
		if !b.needs(again, p.name) {
			continue
		}
		var repeated [][]byte
		for range repeats {
			repeated = append(repeated, requests...)
		}
		if err := b.measureLoad(ctx, again, p, repeated); err != nil {
			return fmt.Errorf("%s: %s: %w", again, p.name, err)
		}
	}
	return nil
}
