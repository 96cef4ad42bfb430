package web

// What the tests over the whole HTTP side need.
const (
	MaxScrapes    = maxScrapes
	MaxScrapeSize = maxScrapeSize
)
