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
	fmt.Fprintln(w, "| row | what | program | beside | value | must reach | aim at | reached |\n|---|---|---|---|---|---|---|---|")
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
		if g.of != "" {
			what += ": " + g.of
		}
		fmt.Fprintf(w, "| `%s` | %s | `%s` | %s | **%s** | %s | %s | %s |\n",
			g.row, what, g.program, beside, g.unit.format(v), must, aim, reached)
	}
}

// valueOf returns the value of a goal. A ratio is the median of the ratios of the rounds,
// so that a change of the machine's speed between rounds has no effect.
func (b *bench) valueOf(g goal) (float64, bool) {
	samples := b.results.samples[resultKey{g.row, g.program, 0}]
	if len(samples) == 0 || !b.picks(g) {
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
	columns := []string{"row", "program", "rate", "p50", "p99", "CPU", "CPU of Redis", "allocations", "RSS", "mapped", "RSS of Redis"}
	fmt.Fprintf(w, "\n| %s |\n|---|---|%s\n", strings.Join(columns, " | "), strings.Repeat("--:|", len(columns)-2))
	for _, key := range b.results.keys {
		samples := b.results.samples[key]
		cell := func(u unit, of func(sample) float64) string {
			v := median(samples, of)
			if v == 0 {
				return ""
			}
			return u.format(v)
		}
		allocations := cell(count, func(s sample) float64 { return s.allocs })
		if allocations != "" {
			allocations += ", " + digits(median(samples, func(s sample) float64 { return s.bytes / 1024 })) + " KiB"
		}
		fmt.Fprintf(w, "| `%s` | `%s` | %s |\n", key.row, key.program, strings.Join([]string{
			cell(perSecond, rate), cell(milliseconds, medianTime),
			cell(milliseconds, func(s sample) float64 { return float64(s.p99) }),
			cell(milliseconds, ownCPU),
			cell(milliseconds, func(s sample) float64 { return float64(s.redisCPU) }),
			allocations,
			cell(mebibytes, func(s sample) float64 { return float64(s.memory.resident) }),
			cell(mebibytes, func(s sample) float64 { return float64(s.memory.mapped) }),
			cell(mebibytes, func(s sample) float64 { return float64(s.memory.redis) }),
		}, " | "))
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
