package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"time"
)

// The rows of the past of a million events. They take long to fill, so they are measured on
// request only.
const (
	wallRow     = "wall/1000000"
	exportFirst = "export/first"
	exportRow   = "export/1000000"
	exportAgain = "export/again"
)

// pastTurns make almost a million events of alerts.
const pastTurns = 98

// workTurns are how often a restarted Muster gets all notifications again before it counts as one
// at work: its heap has then grown as far as it may.
const workTurns = 20

// past measures groups as they were at earlier times, and exports of all events. The history is
// filled as fast as Muster accepts it. That takes less than the shortest time between two
// checkpoints, so each wall replays all events before it.
func (b *bench) past(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{wallRow, exportFirst, exportRow, exportAgain}, fileMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		began := time.Now()
		last, err := p.fillHistory(ctx, pastTurns)
		if err != nil {
			return err
		}
		took := time.Since(began)
		if err := b.exports(ctx, p, last); err != nil {
			return err
		}
		if !b.needs(wallRow, p.name) {
			continue
		}
		const walls = 10
		for i := range walls {
			at := began.Add(took * time.Duration(i+1) / (walls + 1)).UTC().Format(time.RFC3339Nano)
			path := "/api/v1/groups?" + url.Values{"at": {at}, "limit": {"10"}, "state": {"all"}}.Encode()
			if err := b.measureGrowth(ctx, wallRow, p, path, `"groupKey"`); err != nil {
				return err
			}
		}
	}
	return nil
}

// exports measures exports of all events: the first one after a restart, and two of a Muster at work,
// which got its last notifications again.
func (b *bench) exports(ctx context.Context, p *program, last []notification) error {
	export := func(row string) error {
		return b.measureGrowth(ctx, row, p, "/api/v1/events?format=ndjson", `"kind":"resolved"`)
	}
	restart := func() error {
		p.process.stop()
		return p.start(ctx)
	}
	if !b.needsAny([]string{exportFirst, exportRow, exportAgain}, p.name) {
		return nil
	}
	if err := restart(); err != nil {
		return err
	}
	if err := export(exportFirst); err != nil {
		return err
	}
	if err := restart(); err != nil {
		return err
	}
	for range workTurns {
		if err := p.fill(ctx, last); err != nil {
			return err
		}
	}
	if err := export(exportRow); err != nil {
		return err
	}
	return export(exportAgain)
}

// measureGrowth measures one answer, and by how much the memory of the program grew, without
// what it maps from its file. The answer must have the text.
func (b *bench) measureGrowth(ctx context.Context, row string, p *program, path, text string) error {
	own := func() int64 { m := p.memory(); return m.resident - m.mapped }
	before := own()
	err := b.measure(ctx, row, p, func() (outcome, error) {
		started := time.Now()
		answer, err := get(ctx, p.address, path)
		took := time.Since(started)
		if err == nil && !bytes.Contains(answer, []byte(text)) {
			err = fmt.Errorf("the answer has no %s: %.200s", text, answer)
		}
		return outcome{took: took, latencies: []time.Duration{took}}, err
	})
	if err == nil {
		b.results.last(row, p).size = max(0, own()-before)
	}
	return err
}
