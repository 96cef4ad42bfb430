package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ingestRows are the sizes of the notifications about new groups. The number of posts is
// such that a row takes about half a second.
var ingestRows = []struct{ alerts, posts int }{{1, 800}, {10, 240}, {100, 48}}

// repeats is the number of times that unchanged notifications are posted again.
const repeats = 5

// reads is the number of times that a page or a list is read.
const reads = 40

// measure measures each row once for both sides. The first side alternates between rounds.
func measure(ctx context.Context, sides [2]*side, groups, round int) error {
	order := sides[:]
	if round%2 == 1 {
		order = []*side{sides[1], sides[0]}
	}
	for _, backend := range backends {
		if err := measureBackend(ctx, order, backend, groups, round); err != nil {
			return err
		}
	}
	return nil
}

func measureBackend(ctx context.Context, order []*side, backend string, groups, round int) error {
	defer func() {
		for _, s := range order {
			s.stop()
		}
	}()
	for _, s := range order {
		if err := s.startFresh(ctx, backend, round); err != nil {
			return err
		}
	}
	for _, ingest := range ingestRows {
		if err := measureIngest(ctx, order, backend, ingest.alerts, ingest.posts); err != nil {
			return err
		}
	}
	// Pages are built from memory, so measuring one backend is enough.
	if err := fill(ctx, order, groups); err != nil {
		return err
	}
	if backend == "memory" {
		return measureReads(ctx, order, groups)
	}
	return measureRestore(ctx, order, backend, groups)
}

func measureIngest(ctx context.Context, order []*side, backend string, alerts, posts int) error {
	startsAt := time.Now().UTC()
	bodies := make([][]byte, posts)
	for i := range bodies {
		bodies[i] = body(fmt.Sprintf("%d-%d", alerts, i), alerts, startsAt)
	}
	name := fmt.Sprintf("/storage=%s/alerts=%d", backend, alerts)
	for _, s := range order {
		if err := s.row("Ingest"+name, posts, func() error { return s.post(ctx, bodies) }); err != nil {
			return err
		}
	}
	for _, s := range order {
		err := s.row("Repeat"+name, repeats*posts, func() error {
			for range repeats {
				if err := s.post(ctx, bodies); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fill posts many groups with two alerts to both sides.
func fill(ctx context.Context, order []*side, groups int) error {
	startsAt := time.Now().UTC()
	bodies := make([][]byte, groups)
	for i := range bodies {
		bodies[i] = body(strconv.Itoa(i), 2, startsAt)
	}
	for _, s := range order {
		if err := s.post(ctx, bodies); err != nil {
			return err
		}
	}
	return nil
}

// measureRestore measures the time from the start of the program until it has restored the
// stored groups.
func measureRestore(ctx context.Context, order []*side, backend string, groups int) error {
	name := fmt.Sprintf("Restore/storage=%s/groups=%d", backend, groups)
	for _, s := range order {
		s.stopMuster()
	}
	for _, s := range order {
		started := time.Now()
		if err := s.start(ctx, backend); err != nil {
			return err
		}
		if err := s.write(name, 1, time.Since(started), 0); err != nil {
			return err
		}
	}
	return nil
}

// measureReads measures the first page after a change, and a list with a matcher.
func measureReads(ctx context.Context, order []*side, groups int) error {
	page := fmt.Sprintf("FirstPage/groups=%d", groups)
	list := fmt.Sprintf("List/matcher=equal/groups=%d", groups)
	for _, s := range order {
		first := time.Now()
		// The row includes a change. Without it, Muster would send a cached response.
		err := s.row(page, reads, func() error {
			for i := range reads {
				changed := body("changed", 1, first.Add(time.Duration(i)*time.Second).UTC())
				if _, err := ask(ctx, s.client, http.MethodPost, s.url+"/webhook/bench", changed); err != nil {
					return err
				}
				if _, err := ask(ctx, s.client, http.MethodGet, s.url+"/", nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	query := url.Values{"filter": {`namespace="ns-7"`}, "alerts": {"true"}}
	for _, s := range order {
		err := s.row(list, reads, func() error {
			for range reads {
				if _, err := ask(ctx, s.client, http.MethodGet, s.url+"/api/v1/groups?"+query.Encode(), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
