package pages

import (
	"net/http"
	"time"

	"github.com/prometheus/common/version"

	"muster/templates"
)

// site returns the data that every page shows.
func (d *Door) site(r *http.Request) (*templates.Site, error) {
	// Take the place first. Then the page misses no change that came before it.
	place := d.live.LastEventID()
	totals, err := d.groups.Totals(r.Context())
	if err != nil {
		return nil, err
	}
	heartbeats, err := d.groups.Heartbeats(r.Context())
	if err != nil {
		return nil, err
	}
	return &templates.Site{
		Heartbeats: heartbeats, HeartbeatMatchers: d.opts.Groups.Heartbeats,
		Links: d.linksFor(r), Place: place, Now: time.Now(), Totals: totals, Storage: d.status.Storage(),
		StartedAt: d.startedAt, RejectedNotifications: d.limits.Rejected(),
		StaleAfter: d.opts.Groups.StaleAfter, Retention: d.opts.Groups.Retention, Demo: d.opts.Demo, Version: version.Version,
	}, nil
}

// bareSite returns the data of a page that describes an error. It asks the domain for
// nothing.
func (d *Door) bareSite(r *http.Request) *templates.Site {
	return &templates.Site{Links: d.linksFor(r), Now: time.Now(), Storage: d.status.Storage(), Version: version.Version}
}
