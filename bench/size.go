package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// filled returns notifications about many groups.
func filled(groups, alerts int) []notification {
	list := make([]notification, groups)
	for i := range list {
		list[i] = notification{group: strconv.Itoa(i), alerts: alerts, startsAt: time.Now().UTC()}
	}
	return list
}

// largeRounds is the number of measurements of rows that take seconds.
func (b *bench) largeRounds() int { return min(b.rounds, 3) }

// large measures reads and restores of 10,000 groups with 10 alerts.
func (b *bench) large(ctx context.Context) error {
	const restore = "restore/10000x10"
	ps, err := b.begin(ctx, []string{"read/", restore}, alertmanager, memoryMuster, fileMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := p.fill(ctx, filled(10_000, 10)); err != nil {
			return err
		}
	}
	for round := range b.largeRounds() {
		if err := b.reads(ctx, ps, round); err != nil {
			return err
		}
	}
	return b.restores(ctx, ps, restore)
}

// pageReads is the number of times that a page or a list is read.
const pageReads = 20

// reads measures pages and lists. All alerts are read last, so that the memory after it is
// the memory after all reads.
func (b *bench) reads(ctx context.Context, ps programs, round int) error {
	err := b.inTurns(ps, "read/first-page", round, func(p *program) error { return b.firstPage(ctx, "read/first-page", p, round) })
	if err != nil {
		return err
	}
	matcher := url.Values{"filter": {`pod=~"app-7c9d8b6f5d-0000[0-4]",namespace=~"ns-.*77"`}, "alerts": {"true"}}
	for row, path := range map[string]string{
		"read/matcher": "/api/v1/groups?" + matcher.Encode(),
		"read/nothing": "/?" + url.Values{"filter": {`pod="absent"`}}.Encode(),
	} {
		err := b.inTurns(ps, row, round, func(p *program) error {
			requests := make([][]byte, pageReads)
			for i := range requests {
				// Each question differs, because Muster keeps rendered pages.
				requests[i] = encode(http.MethodGet, strings.Replace(path, "absent", fmt.Sprintf("absent-%d-%d", round, i), 1), nil)
			}
			l := load{addresses: p.connections(1), requests: requests}
			return b.measure(ctx, row, p, func() (outcome, error) { return l.run(ctx) })
		})
		if err != nil {
			return err
		}
	}
	if err := b.inTurns(ps, readAPI, round, func(p *program) error { return b.readAPI(ctx, p) }); err != nil {
		return err
	}
	return b.inTurns(ps, "read/all", round, func(p *program) error {
		return b.measure(ctx, "read/all", p, func() (outcome, error) { return readAll(ctx, p) })
	})
}

// readAPI is the row of the answer that Alertmanager's clients read.
const readAPI = "read/api-v2"

// readAPI measures how a Muster answers as Alertmanager does, and how much its memory grows.
func (b *bench) readAPI(ctx context.Context, p *program) error {
	before := p.memory().resident
	err := b.measure(ctx, readAPI, p, func() (outcome, error) {
		started := time.Now()
		text, err := get(ctx, p.address, groupsPath)
		took := time.Since(started)
		if alerts := bytes.Count(text, []byte(`"startsAt"`)); err == nil && alerts < 100_000 {
			err = fmt.Errorf("%d alerts, and not 100000", alerts)
		}
		return outcome{took: took, latencies: []time.Duration{took}}, err
	})
	if err == nil {
		b.results.last(readAPI, p).size = max(0, p.memory().resident-before)
	}
	return err
}

// groupsPath lists all groups with their alerts in Alertmanager's API.
const groupsPath = "/api/v2/alerts/groups"

// firstPage measures the first page after a change. The change is not part of it.
func (b *bench) firstPage(ctx context.Context, row string, p *program, round int) error {
	var sum sample
	for i := range pageReads {
		changed := notification{group: "changed", alerts: 1, startsAt: time.Now().UTC().Add(time.Duration(round*pageReads+i) * time.Second)}
		if err := p.fill(ctx, []notification{changed}); err != nil {
			return err
		}
		l := load{addresses: p.connections(1), requests: [][]byte{encode(http.MethodGet, "/", nil)}}
		cpu := p.process.cpuTime()
		o, err := l.run(ctx)
		if err != nil {
			return err
		}
		sum.cpu += (p.process.cpuTime() - cpu) / pageReads
		sum.mean += o.took / pageReads
		sum.p50, sum.p99 = sum.mean, max(sum.p99, o.took)
	}
	sum.n, sum.rate, sum.memory = pageReads, 1/sum.mean.Seconds(), p.memory()
	b.results.add(row, p, sum)
	return nil
}

// readAll reads all groups with their alerts, as one operation.
func readAll(ctx context.Context, p *program) (outcome, error) {
	started := time.Now()
	path := "/api/v1/groups?alerts=true&limit=1000"
	if p.name == alertmanager {
		path = groupsPath
	}
	alerts := 0
	for next := path; next != ""; {
		text, err := get(ctx, p.address, next)
		if err != nil {
			return outcome{}, err
		}
		alerts += bytes.Count(text, []byte(`"startsAt"`))
		next = ""
		if p.isMuster() {
			// The cursor is at the end of the answer.
			var page struct{ Next string }
			if tail := bytes.LastIndex(text, []byte(`],"total"`)); tail >= 0 {
				if err := json.Unmarshal(append([]byte("{"), text[tail+2:]...), &page); err != nil {
					return outcome{}, err
				}
			}
			if page.Next != "" {
				next = path + "&cursor=" + url.QueryEscape(page.Next)
			}
		}
	}
	if alerts < 100_000 {
		return outcome{}, fmt.Errorf("%d alerts, and not 100000", alerts)
	}
	took := time.Since(started)
	return outcome{took: took, latencies: []time.Duration{took}}, nil
}

// restoreMany measures the restore of 50,000 groups with 2 alerts.
func (b *bench) restoreMany(ctx context.Context) error {
	const row = "restore/50000x2"
	ps, err := b.begin(ctx, []string{row}, fileMuster, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := p.fill(ctx, filled(50_000, 2)); err != nil {
			return err
		}
	}
	return b.restores(ctx, ps, row)
}

// restores measures the time from the start of each program until it has restored what is
// stored, with the floor after each.
func (b *bench) restores(ctx context.Context, ps programs, row string) error {
	for round := range b.largeRounds() {
		if err := b.inTurns(ps, row, round, func(p *program) error { return b.restore(ctx, row, p) }); err != nil {
			return err
		}
	}
	return nil
}

// restore restarts a Muster. Before that, the floor reads its storage.
func (b *bench) restore(ctx context.Context, row string, p *program) error {
	p.process.stop()
	if b.base == "" {
		if err := b.floorRestore(ctx, row, p); err != nil {
			return err
		}
	}
	redis, started := p.redis.cpuTime(), time.Now()
	if err := p.start(ctx); err != nil {
		return err
	}
	took := time.Since(started)
	b.results.add(row, p, sample{
		n: 1, rate: 1 / took.Seconds(), mean: took, p50: took, p99: took,
		cpu: p.process.cpuTime(), redisCPU: p.redis.cpuTime() - redis, memory: p.memory(),
	})
	return nil
}

// floorRestore runs the floor that reads the storage of a Muster.
func (b *bench) floorRestore(ctx context.Context, row string, p *program) error {
	floor, args := hgetallFloor, []string{"-redis", p.redisAt, "hgetall"}
	if p.file != "" {
		floor, args = fileFloor, []string{"-file", p.file, "file"}
	}
	redis := p.redis.cpuTime()
	command := exec.CommandContext(ctx, b.floors, args...) //nolint:gosec // G204: the user chooses what to run
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return err
	}
	var took time.Duration
	var records int
	if _, err := fmt.Sscan(string(text), &took, &records); err != nil || records == 0 {
		return fmt.Errorf("%s read %d records: %w", floor, records, err)
	}
	b.results.add(row, &program{name: floor, side: p.side}, sample{
		n: 1, rate: 1 / took.Seconds(), mean: took, p50: took, p99: took,
		cpu: command.ProcessState.UserTime() + command.ProcessState.SystemTime(), redisCPU: p.redis.cpuTime() - redis,
	})
	return nil
}
