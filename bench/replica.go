package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

const (
	replicaAlerts = 1000
	replicaPosts  = 200
	// replicaEvery is the time from one change to the next.
	replicaEvery = 10 * time.Millisecond
)

// replica measures what a Muster does while another one changes a large group.
func (b *bench) replica(ctx context.Context) error {
	row := fmt.Sprintf("replica/%d", replicaAlerts)
	ps, err := b.begin(ctx, []string{row}, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	startsAt := changesBegin()
	for _, p := range ps {
		all := notification{group: fmt.Sprint(replicaAlerts), alerts: replicaAlerts, startsAt: startsAt}
		if err := p.fill(ctx, []notification{all}); err != nil {
			return err
		}
		second, err := p.startReplica(ctx)
		defer second.stop()
		if err != nil {
			return err
		}
		for round := range b.rounds {
			if err := b.replicaRound(ctx, row, p, second, changes(replicaAlerts, replicaPosts, startsAt, round)); err != nil {
				return err
			}
		}
	}
	return nil
}

// replicaRound posts the changes to the first Muster, and measures the second one.
func (b *bench) replicaRound(ctx context.Context, row string, first, second *program, list []notification) error {
	l := load{addresses: first.connections(1), requests: first.requests(list), every: replicaEvery}
	return b.measure(ctx, row, second, func() (outcome, error) {
		o, err := l.run(ctx)
		if err != nil {
			return o, err
		}
		want, err := versionOf(ctx, first.address, list[0].group)
		if err != nil {
			return o, err
		}
		return o, second.process.waitFor(ctx, 5*time.Millisecond, func() error {
			got, err := versionOf(ctx, second.address, list[0].group)
			if err == nil && got != want {
				err = errors.New("the replica has not seen all changes")
			}
			return err
		})
	})
}

// versionOf returns the version of a group.
func versionOf(ctx context.Context, address, group string) (int64, error) {
	text, err := get(ctx, address, "/api/v1/groups?"+url.Values{"filter": {fmt.Sprintf(`namespace="ns-%s"`, group)}}.Encode())
	if err != nil {
		return 0, err
	}
	var list struct{ Groups []struct{ Version int64 } }
	if err := json.Unmarshal(text, &list); err != nil {
		return 0, err
	}
	if len(list.Groups) == 0 {
		return 0, nil
	}
	return list.Groups[0].Version, nil
}
