package grouping

import "time"

// flapsPerHour is the minimum number of episodes of one alert within an hour that makes
// it flap.
const flapsPerHour = 4

// Flapping returns the maximum number of times that one of the alerts started firing
// within the last hour, and reports whether that alert flaps. If none flaps, the number
// may be too small.
func Flapping(alerts []*Alert, now time.Time) (perHour int, flaps bool) {
	for _, a := range alerts {
		if len(a.Recorded) < flapsPerHour {
			continue // it saves the work for most alerts
		}
		n := 0
		for _, e := range a.Episodes() {
			if now.Sub(e.StartsAt) <= time.Hour {
				n++
			}
		}
		perHour = max(perHour, n)
	}
	return perHour, perHour >= flapsPerHour
}
