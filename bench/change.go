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
	startsAt := time.Now().UTC().Add(-time.Hour)
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
			list := changes(r.alerts, r.posts, startsAt.Add(time.Duration(1+round)*time.Minute))
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

// changes returns messages about the first alert of a group, which is resolved and fires
// again by turns.
func changes(alerts, posts int, startsAt time.Time) []notification {
	list := make([]notification, posts)
	for i := range list {
		list[i] = notification{
			group: strconv.Itoa(alerts), alerts: 1, truncated: alerts - 1,
			resolved: i%2 == 0, startsAt: startsAt.Add(time.Duration(i/2) * 100 * time.Millisecond),
		}
	}
	return list
}
