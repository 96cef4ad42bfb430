package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// The rows of a report: the first one after the history was filled, and the same one again.
const (
	reportFirst = "report/250000"
	reportAgain = "report/again"
)

// reportTurns make 250,000 events of alerts.
const reportTurns = 25

// reports measures a report of seven days over 250,000 events.
func (b *bench) reports(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{"report/"}, fileMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if _, err := p.fillHistory(ctx, reportTurns); err != nil {
			return err
		}
		if err := b.measureReport(ctx, reportFirst, p); err != nil {
			return err
		}
	}
	for round := range b.largeRounds() {
		err := b.inTurns(ps, reportAgain, round, func(p *program) error { return b.measureReport(ctx, reportAgain, p) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureReport(ctx context.Context, row string, p *program) error {
	return b.measure(ctx, row, p, func() (outcome, error) {
		started := time.Now()
		text, err := get(ctx, p.address, "/api/v1/report?since=7d")
		if err == nil && !bytes.Contains(text, []byte(`"firings":1`)) {
			err = fmt.Errorf("the report has no firings: %.200s", text)
		}
		took := time.Since(started)
		return outcome{took: took, latencies: []time.Duration{took}}, err
	})
}
