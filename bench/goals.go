package main

import (
	"fmt"
	"strings"
)

// Names of the floors, see bench/floors.
const (
	readFloor    = "floor/read"
	decodeFloor  = "floor/decode"
	sonicFloor   = "floor/sonic"
	indexFloor   = "floor/index"
	sameFloor    = "floor/same"
	hgetallFloor = "floor/hgetall"
	fileFloor    = "floor/file"
)

// unit is how the value of a goal is written.
type unit int

const (
	ratio unit = iota
	microseconds
	milliseconds
	mebibytes
	megabytes
	perSecond
	count
)

func (u unit) format(v float64) string {
	switch u {
	case microseconds:
		return digits(v/1e3) + " µs"
	case milliseconds:
		return digits(v/1e6) + " ms"
	case mebibytes:
		return digits(v/(1<<20)) + " MiB"
	case megabytes:
		return digits(v/1e6) + " MB"
	case perSecond:
		return digits(v) + "/s"
	case count:
		return fmt.Sprintf("%.0f", v)
	default:
		return digits(v)
	}
}

// digits writes a value with about three digits.
func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// goal is a value that is compared with a limit: of a program alone, or beside a floor.
type goal struct {
	row, program string
	value        func(sample) float64
	of           string // what the value is, if it is not the cost
	floor        string // the program to compare with, or ""
	besideRow    string // the row of the floor, if it is another one
	unit         unit
	must, aim    float64 // in the unit of the value; aim 0: no aim
	higher       bool    // more is better
	slow         bool    // two builds are compared only if -run is set
	onRequest    bool    // measured only if -run is set
}

// name is what -run selects by, such as new/10/redis/index.
func (g goal) name() string {
	name := g.row + "/" + strings.TrimPrefix(g.program, "muster/")
	if g.floor != "" && g.floor != g.program {
		name += "/" + strings.TrimPrefix(g.floor, "floor/")
	}
	switch {
	case g.unit == count: // lost or writes
		word, _, _ := strings.Cut(g.of, " ")
		name += "/" + word
	case g.unit == microseconds:
		name += "/cpu"
	case g.unit == mebibytes:
		name += "/rss"
	case g.unit == megabytes:
		name += "/size"
	case g.floor != "" && g.of != "": // not the cost
		name += "/" + g.of
	}
	return name
}

func (g goal) floorRow() string {
	if g.besideRow != "" {
		return g.besideRow
	}
	return g.row
}

// reached reports whether a value reaches a limit.
func (g goal) reached(v, limit float64) bool {
	if g.higher {
		return v >= limit
	}
	return v <= limit
}

func totalCPU(s sample) float64   { return float64(s.total()) }
func meanTime(s sample) float64   { return float64(s.mean) }
func medianTime(s sample) float64 { return float64(s.p50) }
func ownCPU(s sample) float64     { return float64(s.cpu) }
func rate(s sample) float64       { return s.rate }
func lost(s sample) float64       { return float64(s.lost) }
func size(s sample) float64       { return float64(s.size) }
func writes(s sample) float64     { return float64(s.writes) }
func highTime(s sample) float64   { return float64(s.p99) }
func ownMemory(s sample) float64  { return float64(s.memory.resident - s.memory.mapped) }

const us, ms, mib, mb = 1e3, 1e6, 1 << 20, 1e6

// goals are all goals, in the order of the report.
var goals = []goal{
	{row: "new/1", program: redisMuster, floor: indexFloor, value: totalCPU, must: 1.8, aim: 1.2},
	{row: "new/10", program: redisMuster, floor: indexFloor, value: totalCPU, must: 1.6, aim: 1.2},
	{row: "new/100", program: redisMuster, floor: indexFloor, value: totalCPU, must: 1.6, aim: 1.2},
	{row: "new/1", program: redisMuster, floor: sameFloor, value: totalCPU, must: 1.3, aim: 1.1},
	{row: "new/10", program: redisMuster, floor: sameFloor, value: totalCPU, must: 1.3, aim: 1.1},
	{row: "new/100", program: redisMuster, floor: sameFloor, value: totalCPU, must: 1.3, aim: 1.1},
	{row: "repeat/1", program: redisMuster, floor: indexFloor, value: totalCPU, must: 1.5, aim: 1},
	{row: "repeat/10", program: redisMuster, floor: indexFloor, value: totalCPU, must: 1.5, aim: 1},
	{row: "repeat/100", program: redisMuster, floor: indexFloor, value: totalCPU, must: 1.5, aim: 1},
	{row: "repeat/1", program: redisMuster, floor: sameFloor, value: totalCPU, must: 1.3, aim: 1.1},
	{row: "repeat/10", program: redisMuster, floor: sameFloor, value: totalCPU, must: 1.3, aim: 1.1},
	{row: "repeat/100", program: redisMuster, floor: sameFloor, value: totalCPU, must: 1.3, aim: 1.1},
	{row: "new/1", program: fileMuster, floor: indexFloor, value: totalCPU, must: 1.8, aim: 1.2},
	{row: "new/10", program: fileMuster, floor: indexFloor, value: totalCPU, must: 1.8, aim: 1.2},
	{row: "new/100", program: fileMuster, floor: indexFloor, value: totalCPU, must: 1.8, aim: 1.2},
	{row: "repeat/100", program: memoryMuster, floor: sonicFloor, value: totalCPU, must: 1.4, aim: 1.1},
	{row: "repeat/100", program: memoryMuster, floor: decodeFloor, value: totalCPU, must: 1.4, aim: 1.1},
	{row: "repeat/1", program: memoryMuster, floor: readFloor, value: totalCPU},
	{row: "new/1", program: redisMuster, floor: alertmanager, value: totalCPU, must: 0.7, aim: 0.5},
	{row: "new/10", program: redisMuster, floor: alertmanager, value: totalCPU, must: 0.4, aim: 0.25},
	{row: "new/100", program: redisMuster, floor: alertmanager, value: totalCPU, must: 0.4, aim: 0.2},
	{row: "new/1", program: indexFloor, floor: alertmanager, value: totalCPU},
	{row: "new/10", program: indexFloor, floor: alertmanager, value: totalCPU},
	{row: "new/100", program: indexFloor, floor: alertmanager, value: totalCPU},

	{row: "events/repeat", program: memoryMuster, value: totalCPU, of: "CPU", unit: microseconds, must: 25 * us, aim: 10 * us},
	{row: "events/repeat", program: redisMuster, value: totalCPU, of: "CPU", unit: microseconds, must: 25 * us, aim: 10 * us},
	{row: "events/repeat", program: memoryMuster, floor: memoryMuster, besideRow: "repeat/1", value: totalCPU},

	{row: recorderAgain, program: redisMuster, value: ownCPU, of: "CPU of Muster", unit: microseconds, must: 25 * us, aim: 10 * us},
	{row: recorderAgain, program: redisMuster, value: lost, of: "lost events", unit: count},
	{row: recorderAgain, program: redisMuster, value: writes, of: "writes to Redis", unit: count},
	{row: recorderWebhooks, program: redisMuster, floor: redisMuster, besideRow: recorderOff, value: highTime, of: "p99", must: 1.2},
	{row: recorderNew, program: redisMuster, value: ownCPU, of: "CPU of Muster", unit: microseconds},
	{row: recorderNew, program: redisMuster, value: lost, of: "lost events", unit: count},

	{row: "change/1000", program: redisMuster, floor: redisMuster, besideRow: "change/1", value: totalCPU, must: 1.5, aim: 1.2},
	{row: "change/10000", program: redisMuster, floor: redisMuster, besideRow: "change/1", value: totalCPU, must: 2, aim: 1.2},
	{row: "change/1000", program: fileMuster, floor: fileMuster, besideRow: "change/1", value: totalCPU, must: 1.5, aim: 1.2},
	{row: "change/10000", program: fileMuster, floor: fileMuster, besideRow: "change/1", value: totalCPU, must: 2, aim: 1.2},

	{row: "writers/1", program: redisMuster, value: rate, unit: perSecond, must: 5000, aim: 10_000, higher: true},
	{row: "writers/1", program: redisMuster, value: lost, of: "lost alerts", unit: count},
	{row: "writers/2", program: redisMuster, value: rate, unit: perSecond, must: 2000, aim: 10_000, higher: true},
	{row: "writers/2", program: redisMuster, value: lost, of: "lost alerts", unit: count},

	{row: "restore/10000x10", program: redisMuster, floor: hgetallFloor, value: meanTime, must: 2, aim: 1.5},
	{row: "restore/10000x10", program: fileMuster, floor: fileFloor, value: meanTime, must: 2, aim: 1.5},
	{row: "restore/50000x2", program: redisMuster, floor: hgetallFloor, value: meanTime, must: 2, aim: 1.5, slow: true},
	{row: "restore/50000x2", program: fileMuster, floor: fileFloor, value: meanTime, must: 2, aim: 1.5, slow: true},

	{row: "read/all", program: memoryMuster, value: ownMemory, of: "memory", unit: mebibytes, must: 250 * mib, aim: 180 * mib},
	{row: "read/all", program: redisMuster, value: ownMemory, of: "memory", unit: mebibytes, must: 250 * mib, aim: 180 * mib},
	{row: "read/all", program: fileMuster, value: ownMemory, of: "memory", unit: mebibytes, must: 250 * mib, aim: 180 * mib},
	{row: "read/first-page", program: memoryMuster, value: totalCPU, of: "CPU", unit: milliseconds, must: 4 * ms, aim: 2 * ms},
	{row: "read/matcher", program: memoryMuster, value: totalCPU, of: "CPU", unit: milliseconds, must: 20 * ms, aim: 10 * ms},
	{row: "read/nothing", program: memoryMuster, value: totalCPU, of: "CPU", unit: milliseconds, must: 30 * ms, aim: 15 * ms},
	// The time has that of the client, which reads some 100 MB on the same cores.
	{row: "read/all", program: memoryMuster, floor: alertmanager, value: totalCPU, must: 0.06, aim: 0.03},
	{row: "read/all", program: memoryMuster, floor: alertmanager, value: meanTime, of: "time"},
	{row: readAPI, program: memoryMuster, floor: alertmanager, besideRow: "read/all", value: totalCPU, must: 0.15},
	{row: readAPI, program: memoryMuster, value: size, of: "growth", unit: mebibytes, must: 32 * mib},

	{row: "history/200000", program: fileMuster, value: meanTime, of: "time", unit: milliseconds, must: 200 * ms, aim: 60 * ms, slow: true},
	{
		row: "history/1000000", program: redisMuster,
		value: meanTime, of: "time", unit: milliseconds, must: 1000 * ms, aim: 300 * ms, slow: true,
	},
	{row: reportFirst, program: fileMuster, value: meanTime, of: "time", unit: milliseconds, must: 1000 * ms, slow: true},
	{row: reportAgain, program: fileMuster, value: meanTime, of: "time", unit: milliseconds, must: 50 * ms, slow: true},
	{row: wallRow, program: fileMuster, value: meanTime, of: "time", unit: milliseconds, must: 1000 * ms, onRequest: true},
	{row: wallRow, program: redisMuster, value: meanTime, of: "time", unit: milliseconds, must: 1000 * ms, onRequest: true},
	{row: wallRow, program: fileMuster, value: size, of: "growth", unit: mebibytes, must: 64 * mib, onRequest: true},
	{row: wallRow, program: redisMuster, value: size, of: "growth", unit: mebibytes, must: 64 * mib, onRequest: true},
	{row: exportFirst, program: fileMuster, value: size, of: "growth", unit: mebibytes, onRequest: true},
	{row: exportFirst, program: redisMuster, value: size, of: "growth", unit: mebibytes, onRequest: true},
	{row: exportRow, program: fileMuster, value: size, of: "growth", unit: mebibytes, must: 16 * mib, onRequest: true},
	{row: exportRow, program: redisMuster, value: size, of: "growth", unit: mebibytes, must: 16 * mib, onRequest: true},
	{row: exportAgain, program: fileMuster, value: size, of: "growth", unit: mebibytes, must: 16 * mib, onRequest: true},
	{row: exportAgain, program: redisMuster, value: size, of: "growth", unit: mebibytes, must: 16 * mib, onRequest: true},
	{row: "live/500", program: redisMuster, floor: redisMuster, besideRow: "live/0", value: medianTime, must: 1.5, aim: 1.1},
	{row: "replica/1000", program: redisMuster, value: ownCPU, of: "CPU", unit: milliseconds, must: 0.3 * ms, aim: 0.15 * ms},
	{row: "idle", program: memoryMuster, value: ownMemory, of: "memory", unit: mebibytes, must: 25 * mib},
	{row: "idle", program: redisMuster, value: ownMemory, of: "memory", unit: mebibytes, must: 25 * mib},
	{row: "idle", program: memoryMuster, value: size, of: "binary", unit: megabytes, must: 26 * mb},
	{row: "idle", program: memoryMuster, value: meanTime, of: "time", unit: milliseconds, must: 100 * ms},

	{row: "scale/1000x10", program: memoryMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
	{row: "scale/1000x10", program: fileMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
	{row: "scale/1000x10", program: redisMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
	{row: "scale/10000x10", program: memoryMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
	{row: "scale/10000x10", program: fileMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
	{row: "scale/10000x10", program: redisMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
	{row: "scale/100000x10", program: memoryMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
	{row: "scale/100000x10", program: redisMuster, value: ownMemory, of: "memory", unit: mebibytes, onRequest: true},
}

// rowText says what a row measures.
var rowText = map[string]string{
	"new":             "notification about a new group, alerts: %s",
	"repeat":          "the same notification again, alerts: %s",
	"change":          "truncated message, one alert changed, alerts of the group: %s",
	"writers":         "1,000 adds to one group by 64 writers, Musters: %s",
	"restore":         "start until all is restored, groups × alerts: %s",
	"history":         "search of a rare label, events: %s",
	"live":            "200 notifications a second, live clients: %s",
	"replica":         "one change of a group in another Muster, alerts: %s",
	reportFirst:       "report of 7 days over 250,000 events, the first one",
	reportAgain:       "the same report again",
	wallRow:           "groups at a time of the past, events: 1,000,000",
	exportFirst:       "first export after a restart, events: 1,000,000",
	exportRow:         "export of 1,000,000 events by a Muster at work",
	exportAgain:       "the same export again",
	"idle":            "a Muster that stores nothing",
	"scale":           "groups × alerts: %s",
	"events/repeat":   "event that says nothing new, 100 in a request",
	recorderNew:       "event about 10,000 new alerts, posted to Alertmanager within 2 s",
	recorderAgain:     "event about 10,000 alerts, posted to Alertmanager again, 1,000 a second",
	recorderWebhooks:  "200 notifications a second beside these events",
	"read/first-page": "first page of 10,000 groups after a change",
	"read/matcher":    "list with a matcher over 100,000 alerts",
	"read/nothing":    "page with a matcher that finds nothing",
	"read/all":        "all 10,000 × 10 alerts over the API",
	readAPI:           "the same in the form of Alertmanager",
}

// describe says what a row measures.
func describe(row string) string {
	if text, ok := rowText[row]; ok {
		return text
	}
	kind, size, _ := strings.Cut(row, "/")
	return fmt.Sprintf(rowText[kind], strings.ReplaceAll(size, "x", " × "))
}
