package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// bench is one run of the benchmark.
type bench struct {
	config

	dir     string
	pick    *regexp.Regexp
	results results
	started int // number of programs that were started
}

// needs reports whether a selected goal needs the row of the program. Two builds are
// compared without floors.
func (b *bench) needs(row, program string) bool {
	return b.needed(func(r, p string) bool { return r == row && p == program })
}

// needsAny reports whether a row whose name has one of the prefixes is needed of the program.
func (b *bench) needsAny(prefixes []string, program string) bool {
	return b.needed(func(row, p string) bool {
		return p == program && slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(row, prefix) })
	})
}

// picks reports whether a goal is selected. Only Musters have two builds.
func (b *bench) picks(g goal) bool {
	if b.base != "" && !isMuster(g.program) {
		return false
	}
	if g.onRequest || g.slow && b.base != "" {
		return b.run != "" && b.pick.MatchString(g.name())
	}
	return b.pick.MatchString(g.name())
}

func (b *bench) needed(match func(row, program string) bool) bool {
	return slices.ContainsFunc(goals, func(g goal) bool {
		return b.picks(g) &&
			(match(g.row, g.program) || b.base == "" && g.floor != "" && match(g.floorRow(), g.floor))
	})
}

// begin starts those of the programs that rows with the prefixes need: for each Muster
// one of each build. The caller stops them.
func (b *bench) begin(ctx context.Context, prefixes []string, names ...string) (ps programs, err error) {
	for _, name := range names {
		if !b.needsAny(prefixes, name) {
			continue
		}
		for side := range b.sides() {
			p, err := b.startProgram(ctx, name, side)
			if p != nil {
				ps = append(ps, p)
			}
			if err != nil {
				return ps, err
			}
			if !p.isMuster() {
				break
			}
		}
	}
	return ps, nil
}

// sides returns the number of builds that are compared.
func (b *bench) sides() int {
	if b.base != "" {
		return 2
	}
	return 1
}

// musterArgs are the flags of each Muster. New groups are not flushed while the benchmark
// runs, because a flush would fall into the measurement of another row.
var musterArgs = []string{"--log.level=warn", "--group.wait=2h", "--group.interval=2h", "--retention.max-groups=0"}

// musterPath is the path to which notifications are posted.
const musterPath = "/webhook/bench"

// startProgram starts a program with an empty storage. It returns the program also if it
// does not start, so that the caller can stop what runs.
func (b *bench) startProgram(ctx context.Context, name string, side int) (*program, error) {
	b.started++
	p := &program{name: name, side: side, dir: filepath.Join(b.dir, strconv.Itoa(b.started)), binary: b.floors, post: "/webhook"}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return nil, err
	}
	if p.isMuster() {
		p.binary, p.post = b.head, musterPath
		if b.base != "" && side == 0 {
			p.binary = b.base
		}
		p.args = slices.Clone(musterArgs)
		if b.profile != "" {
			p.args = append(p.args, "--web.enable-pprof")
		}
	}
	if name == redisMuster || name == indexFloor || name == sameFloor {
		var err error
		if p.redis, p.redisAt, err = startRedis(ctx, p.dir, "redis", b.redis); err != nil {
			return p, err
		}
	}
	if err := b.prepare(ctx, p); err != nil {
		return p, err
	}
	return p, p.start(ctx)
}

// prepare sets the arguments of a program.
func (b *bench) prepare(ctx context.Context, p *program) error {
	switch p.name {
	case memoryMuster:
		p.args = append(p.args, "--storage.path=")
	case fileMuster:
		p.file = filepath.Join(p.dir, "muster.db")
		p.args = append(p.args, "--storage.path="+p.file)
	case redisMuster:
		p.args = append(p.args, "--redis.url=redis://"+p.redisAt)
	case alertmanager:
		return b.prepareAlertmanager(p, silentConfig)
	case sameFloor:
		writes := filepath.Join(p.dir, "writes.json")
		if err := b.record(ctx, writes); err != nil {
			return fmt.Errorf("record what Muster writes: %w", err)
		}
		p.args = []string{"-redis", p.redisAt, "-writes", writes, "same"}
	default:
		p.args = []string{"-redis", p.redisAt, strings.TrimPrefix(p.name, "floor/")}
	}
	return nil
}

// silentConfig makes an Alertmanager that sends nothing, so its notifications cost nothing.
const silentConfig = "route: {receiver: none, group_by: [namespace], group_wait: 2h}\nreceivers: [{name: none}]\n"

// prepareAlertmanager sets the program, its configuration and its arguments.
func (b *bench) prepareAlertmanager(p *program, config string, flags ...string) error {
	p.binary, p.post = b.alertmanager, "/api/v2/alerts"
	file := filepath.Join(p.dir, "alertmanager.yml")
	p.args = append([]string{
		"--config.file=" + file, "--storage.path=" + filepath.Join(p.dir, "am"), "--cluster.listen-address=", "--log.level=warn",
	}, flags...)
	return os.WriteFile(file, []byte(config), 0o600)
}

// startAlertmanager starts an Alertmanager that no other row uses. It returns the program
// also if it does not start, so that the caller can stop what runs.
func (b *bench) startAlertmanager(ctx context.Context, config string, flags ...string) (*program, error) {
	b.started++
	p := &program{name: alertmanager, dir: filepath.Join(b.dir, strconv.Itoa(b.started))}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return p, err
	}
	if err := b.prepareAlertmanager(p, config, flags...); err != nil {
		return p, err
	}
	return p, p.start(ctx)
}

// inTurns calls measure for each program that the row needs. The order rotates from round
// to round, so that no program always has the quiet moments.
func (b *bench) inTurns(ps programs, row string, round int, measure func(*program) error) error {
	for i := range ps {
		p := ps[(i+round)%len(ps)]
		if !b.needs(row, p.name) {
			continue
		}
		if err := measure(p); err != nil {
			return fmt.Errorf("%s: %s: %w", row, p.name, err)
		}
	}
	return nil
}
