package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

const (
	writers    = 64
	writerAdds = 1000
)

// writersRow measures many connections that add alerts to one group, first over one
// Muster, then over two with the same Redis.
func (b *bench) writersRow(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{"writers/"}, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := b.writersOf(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) writersOf(ctx context.Context, p *program) error {
	addresses := []string{p.address}
	for musters := 1; musters <= 2; musters++ {
		row := fmt.Sprintf("writers/%d", musters)
		if musters == 2 {
			second, err := p.startReplica(ctx)
			defer second.stop()
			if err != nil {
				return err
			}
			addresses = append(addresses, second.address)
		}
		for round := range b.rounds {
			if !b.needs(row, p.name) {
				break
			}
			if err := b.writersRound(ctx, row, p, addresses, round); err != nil {
				return fmt.Errorf("%s: %w", row, err)
			}
		}
	}
	return nil
}

func (b *bench) writersRound(ctx context.Context, row string, p *program, addresses []string, round int) error {
	group := fmt.Sprintf("%s-%d", row, round)
	list := make([]notification, writerAdds)
	for i := range list {
		// A message that is truncated says nothing about the alerts that it does not name.
		list[i] = notification{group: group, first: i, alerts: 1, truncated: 1, startsAt: time.Now().UTC()}
	}
	connections := make([]string, writers)
	for i := range connections {
		connections[i] = addresses[i%len(addresses)]
	}
	l := load{addresses: connections, requests: p.requests(list)}
	err := b.measure(ctx, row, p, func() (outcome, error) { return l.run(ctx) })
	if err != nil {
		return err
	}
	last := b.results.last(row, p)
	for _, address := range addresses {
		n, err := alertsOf(ctx, address, group, writerAdds)
		if err != nil {
			return err
		}
		last.lost = max(last.lost, writerAdds-n)
	}
	return nil
}

// alertsOf returns the number of alerts of a group. A Muster that follows another one
// gets some time to see them all.
func alertsOf(ctx context.Context, address, group string, want int) (n int, err error) {
	path := "/api/v1/groups?" + url.Values{"filter": {fmt.Sprintf(`namespace="ns-%s"`, group)}, "alerts": {"true"}}.Encode()
	for deadline := time.Now().Add(10 * time.Second); ; {
		text, err := get(ctx, address, path)
		if err != nil {
			return 0, err
		}
		var list struct {
			Groups []struct {
				Alerts []struct{} `json:"alerts"`
			} `json:"groups"`
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return 0, err
		}
		n = 0
		for _, g := range list.Groups {
			n += len(g.Alerts)
		}
		if n >= want || time.Now().After(deadline) {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return n, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
