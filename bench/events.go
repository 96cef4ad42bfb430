package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	// eventGroups and eventAlerts are such that a request has as many events as
	// Alertmanager puts into one by default.
	eventGroups = 100
	eventAlerts = 100
	// eventRepeats is the number of times that each alert is posted again. Prometheus does
	// it once a minute.
	eventRepeats = 5
)

// eventsPath is the path to which events are posted, of the source of musterPath.
const eventsPath = "/events/bench"

// events measures events that say nothing new, which are most of what the event recorder
// sends: 10,000 alerts are posted again and again.
func (b *bench) events(ctx context.Context) error {
	const row = "events/repeat"
	ps, err := b.begin(ctx, []string{row}, memoryMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	list := filled(eventGroups, eventAlerts)
	for i := range list {
		list[i].first = i * eventAlerts
	}
	for _, p := range ps {
		if err := p.fill(ctx, list); err != nil {
			return err
		}
		first := load{addresses: p.connections(1), requests: eventRequests(list, 0)}
		if _, err := first.run(ctx); err != nil {
			return err
		}
	}
	for round := range b.rounds {
		var requests [][]byte
		for i := range eventRepeats {
			requests = append(requests, eventRequests(list, round*eventRepeats+i+1)...)
		}
		err := b.inTurns(ps, row, round, func(p *program) error {
			return b.measure(ctx, row, p, func() (outcome, error) {
				// A single worker keeps the order of the events.
				o, err := load{addresses: p.connections(1), requests: requests}.run(ctx)
				// Each event is an operation, and takes as long as its request.
				var latencies []time.Duration
				for _, l := range o.latencies {
					latencies = append(latencies, slices.Repeat([]time.Duration{l}, eventAlerts)...)
				}
				o.latencies = latencies
				return o, err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eventRequests returns a request for each group, for the time at which its alerts are posted.
func eventRequests(list []notification, second int) [][]byte {
	requests := make([][]byte, len(list))
	for i, n := range list {
		requests[i] = encode(http.MethodPost, eventsPath, n.grouped(n.startsAt.Add(time.Duration(second)*time.Second)))
	}
	return requests
}

// grouped returns the events of Alertmanager's event recorder for firing alerts that are
// posted at the time.
func (n notification) grouped(at time.Time) []byte {
	text := []byte("[")
	for i := n.first; i < n.first+n.alerts; i++ {
		if i > n.first {
			text = append(text, ',')
		}
		text = n.appendEvent(text, strconv.Itoa(i), i, at)
	}
	return append(text, ']')
}
