package pages

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/common/version"

	"muster/grouping"
	"muster/templates"
)

// site returns the data that every page shows.
func (d *Door) site(r *http.Request) (*templates.Site, error) {
	// Take the place first. Then the page misses no change that came before it.
	place := d.Live.LastEventID()
	site, err := d.siteOf(r, d.Groups, time.Now())
	if err != nil {
		return nil, err
	}
	site.Place, site.ListedBy, site.RejectedNotifications = place, d.Groups.ListedBy, d.Limits.Rejected()
	site.Sources, err = d.Groups.SourceReports(r.Context())
	return site, err
}

// siteOf returns the data that pages about a state show, without what is known of the present
// only.
func (d *Door) siteOf(r *http.Request, groups state, at time.Time) (*templates.Site, error) {
	totals, err := groups.Totals(r.Context())
	if err != nil {
		return nil, err
	}
	heartbeats, err := groups.Heartbeats(r.Context())
	if err != nil {
		return nil, err
	}
	gaps, err := d.Groups.Gaps(r.Context(), time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	return &templates.Site{
		Gaps: gaps, SilenceOf: d.Groups.SilenceOf, PollInterval: d.opts.PollInterval,
		Heartbeats: heartbeats, HeartbeatMatchers: d.opts.Groups.Heartbeats,
		Links: d.linksFor(r), Now: at, Totals: totals, Storage: d.Storage(), StartedAt: d.startedAt,
		AlertOf:   alertOf(r.Context(), groups),
		Silencing: d.silencing(),
		GroupWait: d.opts.Groups.Wait, GroupInterval: d.opts.Groups.Interval,
		ReadOnly: d.People.ReadOnly, AsksNames: !d.People.Verified(),
		StaleAfter: d.opts.Groups.StaleAfter, Retention: d.opts.Groups.Retention, Demo: d.opts.Demo, Version: version.Version,
	}, nil
}

// alertOf returns a function that returns an alert of a source, or nil. Rows can name the
// same alert many times, so it remembers the alerts.
func alertOf(ctx context.Context, of state) func(source string, fp grouping.Fingerprint) *grouping.Alert {
	known := map[grouping.SourceAlert]*grouping.Alert{}
	return func(source string, fp grouping.Fingerprint) *grouping.Alert {
		key := grouping.SourceAlert{Source: source, Fingerprint: fp}
		a, ok := known[key]
		if ok {
			return a
		}
		groups, err := of.ByFingerprint(ctx, fp)
		if err == nil {
			q := grouping.ListQuery{Source: source}
			groups = q.Select(groups)
		}
		if len(groups) > 0 {
			a = grouping.WorstReport(fp, groups).Alert(fp)
		}
		known[key] = a
		return a
	}
}

// bareSite returns the data of a page that describes an error. It asks the domain for
// nothing.
func (d *Door) bareSite(r *http.Request) *templates.Site {
	return &templates.Site{
		Links: d.linksFor(r), Now: time.Now(), Storage: d.Storage(), Version: version.Version,
		ReadOnly: d.People.ReadOnly, AsksNames: !d.People.Verified(),
	}
}
