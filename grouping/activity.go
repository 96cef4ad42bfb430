package grouping

import "time"

const (
	// ActivitySteps is the number of steps that Activity counts.
	ActivitySteps = 12
	// activityStep is the length of a step. Steps are aligned to the clock, so that the
	// result changes only every half hour.
	activityStep = 30 * time.Minute
	// maxActivityAlerts limits the work for a large group. The first alerts are enough
	// to show the shape.
	maxActivityAlerts = 1000
)

// Activity returns how many alerts fired in each half hour of the last hours. The last
// step is the current half hour.
func Activity(alerts []*Alert, now time.Time) [ActivitySteps]int {
	var steps [ActivitySteps]int
	end := now.Truncate(activityStep).Add(activityStep)
	start := end.Add(-ActivitySteps * activityStep)
	count := func(from, to time.Time) {
		if to.IsZero() || to.After(now) {
			to = now
		}
		if !to.After(start) || from.After(now) {
			return
		}
		first := max(0, int(from.Sub(start)/activityStep))
		last := int((to.Sub(start) - 1) / activityStep) // to is exclusive
		for i := first; i <= min(last, ActivitySteps-1); i++ {
			steps[i]++
		}
	}
	for _, a := range alerts[:min(len(alerts), maxActivityAlerts)] {
		if len(a.Recorded) <= 1 {
			count(a.StartsAt, a.KnownEnd())
			continue
		}
		eps := a.Episodes()
		for i, e := range eps {
			if i == len(eps)-1 {
				e.EndsAt = a.KnownEnd()
			}
			count(e.StartsAt, e.EndsAt)
		}
	}
	return steps
}
