package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// The history of a million events: each of 100 alerts in 100 groups is resolved and fires
// again until it has 100 events. So few alerts need little memory.
const (
	historyGroups = 100
	historyAlerts = 100
	// historyEvents leaves room for other events below the limit of the history.
	historyEvents = 98
)

// history measures the search for a label that only one of a million events has.
func (b *bench) history(ctx context.Context) error {
	const row = "history/rare"
	ps, err := b.begin(ctx, []string{row}, fileMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := p.fillHistory(ctx); err != nil {
			return err
		}
	}
	path := "/api/v1/events?" + url.Values{"filter": {`rare="needle"`}, "limit": {"10"}}.Encode()
	for round := range b.largeRounds() {
		err := b.inTurns(ps, row, round, func(p *program) error {
			return b.measure(ctx, row, p, func() (outcome, error) {
				started := time.Now()
				text, err := get(ctx, p.address, path)
				if err == nil && !bytes.Contains(text, []byte("needle")) {
					err = fmt.Errorf("the answer has no event with the label: %.200s", text)
				}
				took := time.Since(started)
				return outcome{took: took, latencies: []time.Duration{took}}, err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) fillHistory(ctx context.Context) error {
	startsAt := changesBegin()
	rare := notification{group: "rare", alerts: 1, rare: "needle", startsAt: startsAt}
	if err := p.fill(ctx, []notification{rare}); err != nil {
		return err
	}
	for turn := range historyEvents {
		list := make([]notification, historyGroups)
		for group := range list {
			list[group] = notification{
				group: strconv.Itoa(group), alerts: historyAlerts,
				resolved: turn%2 == 1, startsAt: startsAt.Add(time.Duration(turn/2) * 2 * time.Second),
			}
		}
		if err := p.fill(ctx, list); err != nil {
			return err
		}
	}
	return nil
}
