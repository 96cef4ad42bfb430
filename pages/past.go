package pages

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
	"muster/templates"
)

// visit is one request for a page of the present or of a past time.
type visit struct {
	ctx    context.Context //nolint:containedctx // a visit lives as long as its request
	params *query.Params
	site   *templates.Site
	// state has the groups of that time.
	state state
	past  pastReader
}

// isBeforeHistory reports whether the visit is one of a time before the history begins. Then
// nothing is known.
func (v *visit) isBeforeHistory() bool { return v.site.Past != nil && v.site.Past.Missing }

// buildTimedPage makes a page that can also show a past state.
type buildTimedPage func(c *gin.Context, v *visit) (templates.Page, error)

// timedHandler returns the handler of a page that can also show a past state, if the query has
// the parameter at.
func (d *Door) timedHandler(build buildTimedPage) gin.HandlerFunc {
	present := d.pageHandler(func(c *gin.Context, site *templates.Site) (templates.Page, error) {
		return build(c, d.presentVisit(c, site))
	})
	return func(c *gin.Context) {
		if asksForPast(c.Request.URL.RawQuery) {
			d.servePast(c, build)
		} else {
			present(c)
		}
	}
}

// asksForPast reports whether a query has the parameter at with a value.
func asksForPast(raw string) bool {
	return raw != "" && len(query.Parse(raw).All("at")) > 0
}

func (d *Door) presentVisit(c *gin.Context, site *templates.Site) *visit {
	params := query.Parse(c.Request.URL.RawQuery)
	params.All("at") // it may be empty
	return &visit{ctx: c.Request.Context(), params: params, site: site, state: d.Groups, past: d.Past}
}

// servePast answers with a page of a past state. If the time cannot be used, the page shows the
// present and says so.
func (d *Door) servePast(c *gin.Context, build buildTimedPage) {
	if d.serveCachedPast(c) {
		return
	}
	d.uncachedPageHandler(func(c *gin.Context, site *templates.Site) (templates.Page, error) {
		v := d.presentVisit(c, site)
		asked := v.params.Past(site.Now)
		if site.BadAt = asked.Err != ""; !site.BadAt && !asked.At.IsZero() {
			if err := d.goBack(c, v, asked.At); err != nil {
				return nil, err
			}
		}
		return build(c, v)
	})(c)
}

// pastInterval is the time for which a page of a past state is cached. It shows how long ago
// that was, and whether the next event has happened.
const pastInterval = 10 * time.Second

// serveCachedPast is serveCached for a page of a past state.
func (d *Door) serveCachedPast(c *gin.Context) bool {
	st := d.Storage()
	etag := fmt.Sprintf(`W/"past-%d-%t-%d-%t"`, time.Now().UnixNano()/int64(pastInterval), st.Healthy, st.DirtyGroups, st.Partial)
	return d.serveFrom(&d.pastCache, c, etag)
}

// goBack makes the visit one of a past time.
func (d *Door) goBack(c *gin.Context, v *visit, at time.Time) error {
	past := &templates.Past{Clock: v.site.Now}
	wall, err := d.Past.At(v.ctx, at)
	before, isBefore := errors.AsType[*history.BeforeError](err)
	switch {
	case isBefore:
		past.KnownSince, past.Missing = before.KnownSince, true
		wall = &history.Wall{}
	case err != nil:
		return err
	default:
		past.KnownSince, past.Gap, past.CausesKnown = wall.KnownSince, wall.Gap, wall.CausesKnown
	}
	book := grouping.NewBook(wall.Groups, d.opts.Groups.Heartbeats, at)
	v.state = book
	if v.site, err = d.siteOf(c.Request, book, at); err != nil {
		return err
	}
	v.site.Links, v.site.Past = v.site.Links.Then(at), past
	v.site.SilenceOf = func(source, id string) *grouping.Silence {
		return wall.Silence(source, id, d.Groups.SilenceOf(source, id))
	}
	return nil
}

// upToNow limits a query for events to those of the visit's time.
func (v *visit) upToNow(q grouping.EventQuery) grouping.EventQuery {
	if v.site.Past != nil {
		q.Until = v.site.Now.Add(time.Millisecond) // times of writes are whole milliseconds
	}
	return q
}

// newest returns events that were read with upToNow if they are the newest ones, or nil.
func (v *visit) newest(page *grouping.EventPage) *grouping.EventPage {
	if v.site.Past != nil {
		return nil
	}
	return page
}

// step finds the events next to a past time. The query selects those of the page.
func (d *Door) step(v *visit, q grouping.EventQuery) (err error) {
	past := v.site.Past
	if past == nil {
		return nil
	}
	q.Kinds = groupKinds
	at := v.site.Now
	if past.Missing { // the next event is not before the history begins
		at = past.KnownSince.Add(-time.Millisecond)
	} else if past.Before, err = d.eventBefore(v.ctx, q, at, past.KnownSince); err != nil {
		return err
	}
	past.After, err = d.eventAfter(v.ctx, q, at, past.Clock)
	return err
}

// groupKinds are the kinds of the events that change a group.
var groupKinds = func() (kinds []grouping.EventKind) {
	for _, k := range grouping.TransitionKinds() {
		if k != grouping.EventGap && !strings.HasPrefix(string(k), "silence") {
			kinds = append(kinds, k)
		}
	}
	return kinds
}()

// maxStep is how far events next to a past time are searched. To read a week of a long history
// takes a tenth of a second.
const maxStep = 7 * 24 * time.Hour

// eventBefore returns the newest event before a time that the query selects.
func (d *Door) eventBefore(ctx context.Context, q grouping.EventQuery, at, knownSince time.Time) (templates.NextEvent, error) {
	q.Until, q.Limit = at, 1
	if since := at.Add(-maxStep); since.After(knownSince) {
		q.Since = since
	}
	page, err := d.Groups.Events(ctx, q)
	if err != nil || len(page.Events) == 0 {
		return templates.NextEvent{Searched: q.Since}, err
	}
	return templates.NextEvent{At: page.Events[0].Time}, nil
}

// eventAfter returns the oldest event after a time that the query selects. Events are read newest
// first, so it reads longer and longer parts, of which all but the last have no event.
func (d *Door) eventAfter(ctx context.Context, q grouping.EventQuery, at, clock time.Time) (templates.NextEvent, error) {
	const first, factor = time.Minute, 4
	end := at.Add(maxStep)
	if end.After(clock) {
		end = clock.Add(time.Millisecond)
	}
	q.Since = at.Truncate(time.Millisecond).Add(time.Millisecond)
	for length := first; q.Since.Before(end); length *= factor {
		if q.Until = q.Since.Add(length); q.Until.After(end) {
			q.Until = end
		}
		oldest, err := d.oldestEvent(ctx, q)
		if err != nil || !oldest.IsZero() {
			return templates.NextEvent{At: oldest}, err
		}
		q.Since = q.Until
	}
	if q.Since.Before(clock) {
		return templates.NextEvent{Searched: q.Since}, nil
	}
	return templates.NextEvent{}, nil
}

// oldestEvent returns the time of the oldest event that the query selects, or zero. If there are
// many, it reads the first half of them again, and so on.
func (d *Door) oldestEvent(ctx context.Context, q grouping.EventQuery) (found time.Time, err error) {
	for q.Since.Before(q.Until) {
		page, err := d.Groups.Events(ctx, q)
		if err != nil {
			return found, err
		}
		if n := len(page.Events); n == 0 {
			q.Since, q.Until = q.Until, found
			continue
		} else if found = page.Events[n-1].Time; page.Next == "" {
			break
		}
		q.Until = q.Since.Add(found.Sub(q.Since) / 2).Truncate(time.Millisecond)
	}
	return found, nil
}
