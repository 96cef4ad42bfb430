package templates

import (
	"slices"
	"strconv"
	"time"

	"muster/grouping"
)

// sparkHeight is the height of the box of a spark.
const sparkHeight = 16

// spark draws how many alerts fired in each half hour of the last hours. It returns an
// SVG path of bars in a box of 120 × 16, or "" if no alert fired.
func spark(alerts []*grouping.Alert, now time.Time) string {
	bars := grouping.Activity(alerts, now)
	maximum := slices.Max(bars[:])
	if maximum == 0 {
		return ""
	}
	var path []byte
	for i, n := range bars {
		if n > 0 {
			h := int64(max(2, n*sparkHeight/maximum))
			path = strconv.AppendInt(append(path, 'M'), int64(i*10+1), 10)
			path = strconv.AppendInt(append(path, " 16v-"...), h, 10)
			path = strconv.AppendInt(append(path, "h8v"...), h, 10)
			path = append(path, 'z')
		}
	}
	return string(path)
}
