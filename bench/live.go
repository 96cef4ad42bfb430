package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	liveClients = 500
	// liveEvery is the time from one notification to the next: 200 a second.
	liveEvery = 5 * time.Millisecond
	livePosts = 600
	// liveConnections are enough that a slow answer does not delay the next notification.
	liveConnections = 16
)

// live measures notifications at a fixed rate, without and with clients of live updates.
func (b *bench) live(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{"live/"}, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for round := range b.largeRounds() {
		for _, connected := range []int{0, liveClients} {
			row := fmt.Sprintf("live/%d", connected)
			err := b.inTurns(ps, row, round, func(p *program) error { return b.liveRound(ctx, row, p, connected, round) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) liveRound(ctx context.Context, row string, p *program, connected, round int) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for range connected {
		c, err := dial(ctx, p.address)
		if err != nil {
			return err
		}
		if err := c.follow(); err != nil {
			return err
		}
		context.AfterFunc(ctx, c.close)
		group.Go(func() { _, _ = io.Copy(io.Discard, c.conn) })
	}
	list := make([]notification, livePosts)
	for i := range list {
		list[i] = notification{group: fmt.Sprintf("%s-%d-%d", row, round, i), alerts: 1, startsAt: time.Now().UTC()}
	}
	l := load{addresses: p.connections(liveConnections), requests: p.requests(list), every: liveEvery}
	return b.measure(ctx, row, p, func() (outcome, error) { return l.run(ctx) })
}

// follow asks for live updates and reads the head of the answer.
func (c *client) follow() error {
	if _, err := c.conn.Write(encode(http.MethodGet, "/api/v1/live", nil)); err != nil {
		return err
	}
	line, err := c.reader.ReadString('\n')
	if err == nil && !strings.Contains(line, " 200 ") {
		err = fmt.Errorf("live updates: %s", line)
	}
	return err
}
