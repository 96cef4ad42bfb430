package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// The history is long, and few alerts need little memory: each of 100 alerts in 100 groups
// is resolved and fires again many times.
const (
	historyGroups = 100
	historyAlerts = 100
)

// historyRows name the number of events. There are a little fewer turns, because the history
// has a limit and other events too. A file of a million events takes too long to fill.
var historyRows = []struct {
	row, program string
	turns        int
}{
	{"history/1000000", redisMuster, 98},
	{"history/200000", fileMuster, 20},
}

// history measures the search for a label that only one event has.
func (b *bench) history(ctx context.Context) error {
	for _, r := range historyRows {
		if err := b.historyOf(ctx, r.row, r.program, r.turns); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) historyOf(ctx context.Context, row, name string, turns int) error {
	ps, err := b.begin(ctx, []string{row}, name)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if _, err := p.fillHistory(ctx, turns); err != nil {
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

// fillHistory makes alerts fire and end by turns. It returns the notifications of the last turn.
func (p *program) fillHistory(ctx context.Context, turns int) (last []notification, err error) {
	startsAt := changesBegin()
	rare := notification{group: "rare", alerts: 1, rare: "needle", startsAt: startsAt}
	if err := p.fill(ctx, []notification{rare}); err != nil {
		return nil, err
	}
	for turn := range turns {
		last = make([]notification, historyGroups)
		for group := range last {
			last[group] = notification{
				group: strconv.Itoa(group), alerts: historyAlerts,
				resolved: turn%2 == 1, startsAt: startsAt.Add(time.Duration(turn/2) * 2 * time.Second),
			}
		}
		if err := p.fill(ctx, last); err != nil {
			return nil, err
		}
	}
	return last, nil
}
