package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
	"muster/internal/reply"
)

// pastReader is what the API needs to know about the past. It is safe for concurrent use.
type pastReader interface {
	// At returns the state of all groups at a time. If the time is before the history begins,
	// it returns a *history.BeforeError.
	At(ctx context.Context, t time.Time) (*history.Wall, error)
	// GroupBefore and AlertBefore say how often a group fired before a time, and an alert in
	// the groups of a source. read is nil: no event was read.
	GroupBefore(ctx context.Context, g *grouping.AlertGroup, read *grouping.EventPage, now time.Time) (history.Before, error)
	AlertBefore(
		ctx context.Context, fp grouping.Fingerprint, groups []*grouping.AlertGroup, read *grouping.EventPage, now time.Time,
	) (history.Before, error)
	// Report returns a report of the history. If too many reports are asked for, it returns
	// grouping.ErrBusy.
	Report(ctx context.Context, q history.ReportQuery) (*history.Report, error)
}

// moment is the state that a request asks for: that of the present, or a past one.
type moment struct {
	state

	of   *pastView // nil: the present
	wall *history.Wall
}

// pastView says which past state an answer has.
type pastView struct {
	At         time.Time `json:"at"`
	KnownSince time.Time `json:"knownSince"`
	// Gap is the gap that contains the time. Then the state is that before the gap.
	Gap *gapView `json:"gap,omitempty"`
}

// momentAt returns the state at a time. A zero time means the present. If the state is not known,
// it answers with the error and returns false.
func (d *Door) momentAt(c *gin.Context, at time.Time) (m moment, ok bool) {
	if at.IsZero() {
		return moment{state: d.Groups}, true
	}
	wall, err := d.Past.At(c.Request.Context(), at)
	if before, is := errors.AsType[*history.BeforeError](err); is {
		c.AbortWithStatusJSON(http.StatusNotFound, gin.H{"error": before.Error(), "knownSince": before.KnownSince.UTC()})
		return m, false
	}
	if err != nil {
		reply.Error(c, d.Logger, err)
		return m, false
	}
	m = moment{
		state: grouping.NewBook(wall.Groups, nil, at), // no answer tells heartbeats apart
		wall:  wall,
		of:    &pastView{At: wall.At.UTC(), KnownSince: wall.KnownSince.UTC()},
	}
	if g := wall.Gap; g != nil {
		m.of.Gap = &gapView{g.From.UTC(), g.To.UTC()}
	}
	return m, true
}

// onlyMoment is momentAt for a request that has no other parameter.
func (d *Door) onlyMoment(c *gin.Context) (m moment, ok bool) {
	params := query.Parse(c.Request.URL.RawQuery)
	at := params.PastTime(time.Now())
	if err := params.Err(); err != nil {
		reply.Error(c, d.Logger, err)
		return m, false
	}
	return d.momentAt(c, at)
}

// beforeView says how often a group or an alert fired before.
type beforeView struct {
	Since              time.Time    `json:"since"`
	SecondsWithoutData float64      `json:"secondsWithoutData"`
	Firings7d          *int         `json:"firings7d,omitempty"`
	Firings30d         int          `json:"firings30d"`
	Resolved           int          `json:"resolved"`
	MedianSeconds      *float64     `json:"medianSeconds,omitempty"`
	P90Seconds         *float64     `json:"p90Seconds,omitempty"`
	LongestSeconds     *float64     `json:"longestSeconds,omitempty"`
	LongerThanUsual    bool         `json:"longerThanUsual"`
	Last               *episodeView `json:"last,omitempty"`
}

func viewBefore(b *history.Before, now time.Time) beforeView {
	v := beforeView{
		Since: b.KnownSince.UTC(), SecondsWithoutData: b.NoData.Seconds(), Firings30d: b.Firings, Resolved: b.Resolved,
		LongerThanUsual: b.LongerThanUsual(now),
	}
	if b.Covers(history.RecentWindow, now) {
		v.Firings7d = &b.RecentFirings
	}
	if b.Resolved > 0 {
		median, p90, longest := b.Median.Seconds(), b.P90.Seconds(), b.Longest.Seconds()
		v.MedianSeconds, v.P90Seconds, v.LongestSeconds = &median, &p90, &longest
	}
	if e := b.Last; !e.StartsAt.IsZero() {
		v.Last = &episodeView{e.StartsAt.UTC(), e.EndsAt.UTC()}
	}
	return v
}

// time returns the time of the state.
func (m moment) time() time.Time {
	if m.of == nil {
		return time.Now()
	}
	return m.of.At
}

// details returns the details of mutes. When a mute was last seen is known of the present only.
func (m moment) details(present muteDetails) muteDetails {
	if m.of == nil {
		return present
	}
	return pastDetails{present, m.wall}
}

// pastDetails has the silences as they were.
type pastDetails struct {
	muteDetails

	wall *history.Wall
}

// SilenceOf returns a silence as it was at that time.
func (d pastDetails) SilenceOf(source, id string) *grouping.Silence {
	return d.wall.Silence(source, id, d.muteDetails.SilenceOf(source, id))
}

// MuteSeen returns zero.
func (pastDetails) MuteSeen(string, grouping.Fingerprint, grouping.Mute) time.Time {
	return time.Time{}
}
