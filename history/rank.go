package history

// nearestRank returns the least of the sorted durations that this percentage of them does not
// exceed. All medians and percentiles are found so: each is a duration that was seen.
func nearestRank[T ~int64](sorted []T, percent int) T {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
