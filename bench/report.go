package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report writes the goals and what was measured as Markdown tables.
func (b *bench) report(w io.Writer) {
	fmt.Fprintf(w, "Measured on %s: %s, %d cores, %s of memory, %s, %s. Medians of %d rounds.\n\n",
		time.Now().UTC().Format(time.DateOnly), cpuModel(), runtime.NumCPU(), memorySize(), runtime.Version(), runtime.GOOS, b.rounds)
	b.reportGoals(w)
	b.reportRows(w)
}

func (b *bench) reportGoals(w io.Writer) {
	fmt.Fprint(w, "| row | what | program | beside | value | must reach | aim at | reached |\n|---|---|---|---|---|---|---|---|\n")
	for _, g := range goals {
		v, ok := b.valueOf(g)
		if !ok {
			continue
		}
		beside, sign := "", "≤ "
		switch {
		case g.besideRow != "":
			beside = "`" + g.besideRow + "`"
		case g.floor != "":
			beside = "`" + g.floor + "`"
		}
		if g.higher {
			sign = "≥ "
		}
		must, aim, reached := "", "", ""
		if g.must > 0 || g.unit == count {
			must, reached = sign+g.unit.format(g.must), "no"
			if g.reached(v, g.must) {
				reached = "yes"
			}
		}
		if g.aim > 0 {
			aim = sign + g.unit.format(g.aim)
			if g.reached(v, g.aim) {
				reached = "aim"
			}
		}
		what := describe(g.row)
		if note := g.note(); note != "" {
			what += ", " + note
		}
		fmt.Fprintf(w, "| `%s` | %s | `%s` | %s | **%s** | %s | %s | %s |\n",
			g.row, what, g.program, beside, g.unit.format(v), must, aim, reached)
	}
}

// note says which value of a row a goal compares.
func (g goal) note() string {
	switch g.unit {
	case count:
		return "lost alerts"
	case mebibytes:
		return "memory after it, without mapped pages"
	case milliseconds:
		return "CPU"
	default:
		return ""
	}
}

// valueOf returns the value of a goal. A ratio is the median of the ratios of the rounds,
// so that a change of the machine's speed between rounds has no effect.
func (b *bench) valueOf(g goal) (float64, bool) {
	samples := b.results.samples[resultKey{g.row, g.program, 0}]
	if len(samples) == 0 || !b.pick.MatchString(g.name()) {
		return 0, false
	}
	if g.floor == "" {
		return median(samples, g.value), true
	}
	floor := b.results.samples[resultKey{g.floorRow(), g.floor, 0}]
	if len(floor) != len(samples) {
		return 0, false
	}
	i := 0
	return median(samples, func(s sample) float64 {
		i++
		return g.value(s) / g.value(floor[i-1])
	}), true
}

func (b *bench) reportRows(w io.Writer) {
	fmt.Fprint(w, "\n| row | program | rate | p50 | p99 | CPU | CPU of Redis | allocations | RSS | mapped |\n"+
		"|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, key := range b.results.keys {
		samples := b.results.samples[key]
		value := func(of func(sample) float64) float64 { return median(samples, of) }
		duration := func(of func(sample) time.Duration) string {
			v := value(func(s sample) float64 { return float64(of(s)) })
			if v == 0 {
				return ""
			}
			return milliseconds.format(v)
		}
		allocations := ""
		if n := value(func(s sample) float64 { return s.allocs }); n > 0 {
			allocations = fmt.Sprintf("%.0f, %s KiB", n, digits(value(func(s sample) float64 { return s.bytes / 1024 })))
		}
		size := func(of func(memory) int64) string {
			v := value(func(s sample) float64 { return float64(of(s.memory)) })
			if v == 0 {
				return ""
			}
			return mebibytes.format(v)
		}
		fmt.Fprintf(w, "| `%s` | `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n", key.row, key.program, perSecond.format(value(rate)),
			duration(func(s sample) time.Duration { return s.p50 }), duration(func(s sample) time.Duration { return s.p99 }),
			duration(func(s sample) time.Duration { return s.cpu }), duration(func(s sample) time.Duration { return s.redisCPU }),
			allocations, size(func(m memory) int64 { return m.resident }), size(func(m memory) int64 { return m.mapped }))
	}
}

// compareFiles writes what was measured of two builds in Go's benchmark format, for
// benchstat.
func (b *bench) compareFiles() error {
	for side, name := range []string{"base.txt", "head.txt"} {
		var text strings.Builder
		for _, key := range b.results.keys {
			if key.side != side {
				continue
			}
			for _, s := range b.results.samples[key] {
				fmt.Fprintf(&text, "Benchmark%s/%s %d %d ns/op %d cpu-ns/op %d redis-cpu-ns/op %.0f allocs/op %.0f B/op %d resident-B\n",
					title(key.row), strings.TrimPrefix(key.program, "muster/"), s.n, s.mean.Nanoseconds(), s.cpu.Nanoseconds(),
					s.redisCPU.Nanoseconds(), s.allocs, s.bytes, s.memory.resident)
			}
		}
		if err := os.WriteFile(filepath.Join(b.out, name), []byte(text.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// title makes a row a name of a Go benchmark.
func title(row string) string { return strings.ToUpper(row[:1]) + row[1:] }

// cpuModel returns the model of the CPU.
func cpuModel() string { return procValue("/proc/cpuinfo", "model name") }

// memorySize returns the size of the memory.
func memorySize() string {
	var kib float64
	_, _ = fmt.Sscan(procValue("/proc/meminfo", "MemTotal"), &kib)
	return fmt.Sprintf("%.0f GiB", kib/(1<<20))
}

// procValue returns the first value with a name in a file such as /proc/cpuinfo.
func procValue(file, name string) string {
	text, _ := os.ReadFile(file) //nolint:gosec // G304: below /proc
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
