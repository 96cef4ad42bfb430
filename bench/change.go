package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// changeRows are the sizes of the groups in which one alert changes. A measurement ends
// after changeLimit, because a change can take a second.
var changeRows = []struct{ alerts, posts int }{{1, 300}, {1000, 200}, {10_000, 100}}

const changeLimit = time.Second

// change measures messages that name one alert of a large group. The alert is resolved and
// fires again by turns.
func (b *bench) change(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{"change/"}, fileMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	startsAt := changesBegin()
	for _, p := range ps {
		for _, r := range changeRows {
			all := notification{group: strconv.Itoa(r.alerts), alerts: r.alerts, startsAt: startsAt}
			if err := p.fill(ctx, []notification{all}); err != nil {
				return err
			}
		}
	}
	for round := range b.rounds {
		for _, r := range changeRows {
			list := changes(r.alerts, r.posts, startsAt, round)
			row := fmt.Sprintf("change/%d", r.alerts)
			err := b.inTurns(ps, row, round, func(p *program) error {
				l := load{addresses: p.connections(1), requests: p.requests(list), limit: changeLimit}
				return b.measure(ctx, row, p, func() (outcome, error) { return l.run(ctx) })
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// changesBegin returns when the alerts that change begin to fire. It is in the past, because
// each change needs a later time.
func changesBegin() time.Time { return time.Now().UTC().Add(-12 * time.Hour) }

// changes returns messages about the first alert of a group, which is resolved and fires
// again by turns. Each round begins later than the one before.
func changes(alerts, posts int, startsAt time.Time, round int) []notification {
	const (
		step    = 2 * time.Second // longer than an alert fires
		oneTurn = time.Hour       // longer than the steps of a round
	)
	list := make([]notification, posts)
	for i := range list {
		list[i] = notification{
			group: strconv.Itoa(alerts), alerts: 1, truncated: alerts - 1,
			resolved: i%2 == 0, startsAt: startsAt.Add(time.Duration(round)*oneTurn + time.Duration((i+1)/2)*step),
		}
	}
	return list
}
