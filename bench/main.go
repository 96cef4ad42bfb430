package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

type config struct {
	head, base   string // paths of the programs
	floors       string
	alertmanager string
	redis        string
	out          string // folder for base.txt and head.txt
	profile      string // folder for profiles
	rounds       int
	run          string
}

func main() {
	var c config
	flag.StringVar(&c.head, "head", "./muster", "Path of the `program` to measure.")
	flag.StringVar(&c.base, "base", "", "Path of another build of the `program`. If it is set, the two builds are compared, without floors.")
	flag.StringVar(&c.floors, "floors", "", "Path of the `program` bench/floors.")
	flag.StringVar(&c.alertmanager, "alertmanager", "", "Path of the `program` alertmanager.")
	flag.StringVar(&c.redis, "redis", "redis-server", "Path of the `program` redis-server.")
	flag.StringVar(&c.out, "out", ".", "Path of the `folder` for base.txt and head.txt.")
	flag.StringVar(&c.profile, "profile", "", "Path of a `folder` for CPU profiles of Muster, one for each measurement.")
	flag.IntVar(&c.rounds, "rounds", 5, "Number of measurements of each row. benchstat needs at least 6.")
	flag.StringVar(&c.run, "run", "", "Regular `expression` that selects goals by name. The flag -list lists the names.")
	list := flag.Bool("list", false, "Whether to list the names of the goals, and measure nothing.")
	flag.Parse()

	if *list {
		for _, g := range goals {
			fmt.Println(g.name())
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) (err error) {
	b := &bench{config: c, results: results{samples: map[resultKey][]sample{}}}
	if b.pick, err = regexp.Compile(c.run); err != nil {
		return err
	}
	for _, path := range []*string{&b.head, &b.base, &b.floors, &b.alertmanager, &b.profile} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if b.profile != "" {
		if err := os.MkdirAll(b.profile, 0o750); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp("", "muster-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	err = b.all(ctx)
	// What was measured before a failure took minutes, so report it too.
	if b.base != "" {
		return errors.Join(err, b.compareFiles())
	}
	b.report(os.Stdout)
	return err
}

// all measures all rows that are needed. A part that fails does not stop the others.
func (b *bench) all(ctx context.Context) (err error) {
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"notifications", b.ingest},
		{"events", b.events},
		{"the event recorder of Alertmanager", b.recorder},
		{"changes in large groups", b.change},
		{"many writers", b.writersRow},
		{"reads and restores of 10,000 × 10", b.large},
		{"restores of 50,000 × 2", b.restoreMany},
		{"a long history", b.history},
		{"reports", b.reports},
		{"the past of a million events", b.past},
		{"live clients", b.live},
		{"a replica", b.replica},
		{"idle", b.idle},
		{"scale", b.scale},
	} {
		started, rows := time.Now(), len(b.results.keys)
		if failed := part.measure(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", part.name, failed))
		}
		if len(b.results.keys) > rows {
			fmt.Fprintf(os.Stderr, "%s: %s\n", part.name, time.Since(started).Round(time.Second))
		}
	}
	return err
}
