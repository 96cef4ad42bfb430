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

// past is what the API needs to know about the past. It is safe for concurrent use.
type past interface {
	// At returns the state of all groups at a time. If the time is before the history begins,
	// it returns a *history.BeforeError.
	At(ctx context.Context, t time.Time) (*history.Wall, error)
}

// moment is the state that a request asks for: that of the present, or a past one.
type moment struct {
	state

	of *pastView // nil: the present
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
		return moment{state: d.groups}, true
	}
	wall, err := d.past.At(c.Request.Context(), at)
	if before, is := errors.AsType[*history.BeforeError](err); is {
		c.AbortWithStatusJSON(http.StatusNotFound, gin.H{"error": before.Error(), "knownSince": before.KnownSince.UTC()})
		return m, false
	}
	if err != nil {
		reply.Error(c, d.logger, err)
		return m, false
	}
	m = moment{
		state: grouping.NewBook(wall.Groups, nil, at), // no answer tells heartbeats apart
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
		reply.Error(c, d.logger, err)
		return m, false
	}
	return d.momentAt(c, at)
}

// details returns the details of mutes. When a mute was last seen is known of the present only.
func (m moment) details(present muteDetails) muteDetails {
	if m.of == nil {
		return present
	}
	return pastDetails{present}
}

type pastDetails struct{ muteDetails }

// MuteSeen returns zero.
func (pastDetails) MuteSeen(string, grouping.Fingerprint, grouping.Mute) time.Time {
	return time.Time{}
}
