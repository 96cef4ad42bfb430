// Benchcompare measures two builds of Muster over HTTP. It writes the results in Go's
// benchmark format for benchstat. Both builds run at the same time and are measured in
// turns, so that other load of the machine affects both. `make bench-compare` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

type config struct {
	base, head string // paths of the programs
	redis      string // path of redis-server
	out        string // folder for the results
	rounds     int
	groups     int // number of groups with two alerts that are restored and listed
}

func main() {
	var c config
	flag.StringVar(&c.base, "base", "", "Path of the `program` to compare with.")
	flag.StringVar(&c.head, "head", "./muster", "Path of the `program` to measure.")
	flag.StringVar(&c.redis, "redis", "redis-server", "Path of the `program` redis-server.")
	flag.StringVar(&c.out, "out", ".", "Path of the `folder` for base.txt and head.txt.")
	flag.IntVar(&c.rounds, "rounds", 10, "Number of measurements of each row. benchstat needs at least 6.")
	flag.IntVar(&c.groups, "groups", 10_000, "Number of groups with two alerts that are restored and listed.")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "benchcompare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) (err error) {
	if c.base == "" {
		return errors.New("the flag -base is required")
	}
	dir, err := os.MkdirTemp("", "muster-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	var sides [2]*side
	for i, s := range []struct{ name, program string }{{"base", c.base}, {"head", c.head}} {
		results, err := os.Create(filepath.Join(c.out, s.name+".txt"))
		if err != nil {
			return err
		}
		defer func() { _ = results.Close() }()
		sides[i] = &side{name: s.name, program: s.program, redis: c.redis, dir: filepath.Join(dir, s.name), results: results}
		if err := os.Mkdir(sides[i].dir, 0o700); err != nil {
			return err
		}
	}
	for round := range c.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, c.rounds)
		if err := measure(ctx, sides, c.groups, round); err != nil {
			return err
		}
	}
	return nil
}
