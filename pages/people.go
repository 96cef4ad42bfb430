package pages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/model"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/query"
	"muster/internal/reply"
	"muster/templates"
)

// maxFormBytes is the maximum size of a posted form: a note and the IDs of a page of groups.
const maxFormBytes = 64 << 10

// personWrite is what a person posted about one group.
type personWrite struct {
	id   grouping.ID
	by   grouping.Person
	now  time.Time
	form func(name string) string
}

// groupForm is a form of a group's page.
type groupForm struct {
	kind templates.FormKind
	// part is the part of the group's page that shows the result.
	part  string
	write func(ctx context.Context, groups domain, w *personWrite) (*grouping.AlertGroup, error)
}

// groupForms are the forms of a group's page by the last part of their path.
var groupForms = map[string]groupForm{
	"ack": {templates.FormAck, "#ack", func(ctx context.Context, groups domain, w *personWrite) (*grouping.AlertGroup, error) {
		until, err := parseUntil(w.form("until"), w.now)
		if err != nil {
			return nil, err
		}
		return groups.Acknowledge(ctx, w.id, grouping.AckRequest{
			By: w.by, Note: formText(w.form("note")), Until: until, Episode: grouping.Stamp(w.form("episode")),
		})
	}},
	"unack": {templates.FormUnack, "#ack", func(ctx context.Context, groups domain, w *personWrite) (*grouping.AlertGroup, error) {
		return groups.Unacknowledge(ctx, w.id, grouping.UnackRequest{By: w.by, Ack: w.form("ack")})
	}},
	"notes": {templates.FormNote, "#notes", func(ctx context.Context, groups domain, w *personWrite) (*grouping.AlertGroup, error) {
		text := formText(w.form("text"))
		return groups.AddNote(ctx, w.id, grouping.NoteRequest{By: w.by, ID: noteID(w.form("id"), w.by, text), Text: text})
	}},
	"close": {templates.FormClose, "", func(ctx context.Context, groups domain, w *personWrite) (*grouping.AlertGroup, error) {
		return groups.Close(ctx, w.id, grouping.CloseRequest{By: w.by, Episode: grouping.Stamp(w.form("episode"))})
	}},
}

// peopleRoutes adds the routes of the forms that people post.
func (d *Door) peopleRoutes(r gin.IRouter) {
	// The body is read before the request takes a slot, so that slow clients do not block others.
	writes := r.Group("", d.readForm, d.Readers.Admit)
	for name, f := range groupForms {
		path := "/groups/:id/" + name
		writes.POST(path, d.groupFormHandler(f))
		reply.Get(r, path, d.redirectToGroupPage) // the address of a page that a form was answered with
	}
	reply.Get(r.Group("", d.Readers.Admit), "/ack", d.uncachedPageHandler(d.ackAllPage))
	writes.POST("/ack", d.ackAll)
}

// readForm reads the form of a request.
func (d *Door) readForm(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	if c.ContentType() != "application/x-www-form-urlencoded" {
		reply.Fail(c, http.StatusUnsupportedMediaType, "the media type must be application/x-www-form-urlencoded")
		return
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxFormBytes)
	err := c.Request.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		d.renderPage(c, templates.NewLongFormPage(d.bareSite(c.Request)))
		c.Abort()
		return
	}
	if err != nil {
		reply.Fail(c, http.StatusBadRequest, "the form cannot be read")
	}
}

// groupFormHandler returns the handler of a form of a group's page.
func (d *Door) groupFormHandler(f groupForm) gin.HandlerFunc {
	return func(c *gin.Context) {
		w := &personWrite{id: grouping.ID(c.Param("id")), now: time.Now(), form: c.Request.PostForm.Get}
		if !w.id.Valid() {
			d.renderPage(c, templates.NewNotFoundPage(d.bareSite(c.Request)))
			return
		}
		var g *grouping.AlertGroup
		by, err := d.People.Writer(c.Request, w.form("by"))
		if err == nil {
			w.by = by
			g, err = f.write(c.Request.Context(), d.Groups, w)
		}
		if err != nil {
			d.refuseForm(c, f, w, err)
			return
		}
		d.remember(c, w.by)
		target := d.links.Group(g.ID) + f.part
		if c.Request.PostForm.Has("list") {
			target = d.listOf(w.form("list"))
		}
		c.Redirect(http.StatusSeeOther, target)
	}
}

// remember makes the browser keep a typed name.
func (d *Door) remember(c *gin.Context, by grouping.Person) {
	secure := c.Request.TLS != nil || strings.HasPrefix(d.opts.ExternalURL, "https:")
	person.Remember(c.Writer, by, d.links.Home(), secure)
}

// listOf returns the list that a form was posted from. The query is that of a view, so that
// nobody is led to another site.
func (d *Door) listOf(text string) string {
	params := query.Parse(strings.TrimPrefix(text, "?"))
	v := templates.ParseView(params)
	if params.Err() != nil {
		return d.links.Home()
	}
	return d.links.Groups(v)
}

// redirectToGroupPage redirects to the page of a group from an address below it.
func (d *Door) redirectToGroupPage(c *gin.Context) {
	id := grouping.ID(c.Param("id"))
	if !id.Valid() {
		d.renderPage(c, templates.NewNotFoundPage(d.bareSite(c.Request)))
		return
	}
	c.Redirect(http.StatusSeeOther, d.links.Group(id))
}

// refuseForm answers a form that Muster could not take with a page that asks again and keeps what the
// person typed.
func (d *Door) refuseForm(c *gin.Context, f groupForm, w *personWrite, err error) {
	if c.Request.Context().Err() != nil {
		reply.Cancelled(c)
		return
	}
	site := d.bareSite(c.Request)
	if errors.Is(err, grouping.ErrGroupNotFound) {
		site.Retention = d.opts.Groups.Retention
		d.renderPage(c, templates.NewGonePage(site, w.id, "", nil))
		return
	}
	kept := templates.PersonInput{
		Name: w.form("by"), Text: w.form("note") + w.form("text"), Until: w.form("until"), Episode: w.form("episode"), Ack: w.form("ack"),
		ID: w.form("id"), List: w.form("list"),
	}
	over, isOver := errors.AsType[*grouping.EpisodeOverError](err)
	if isOver && f.kind == templates.FormAck {
		d.askForNewEpisode(c, over.Group, kept)
		return
	}
	status, says := d.refusal(c, err)
	p := templates.NewFormPage(site, f.kind, w.id, status, says, kept)
	if isOver {
		p.AskForEpisode(site, over.Group)
	}
	d.renderPage(c, p)
}

// refusal returns the status code and the sentence for an error of a write.
func (d *Door) refusal(c *gin.Context, err error) (status int, says string) {
	if refused, ok := errors.AsType[*person.RefusedError](err); ok {
		reply.RefusedHeader(c, refused)
		return refused.Status, refused.Text
	}
	if invalid, ok := errors.AsType[*grouping.InvalidError](err); ok {
		return http.StatusBadRequest, invalid.Sentence
	}
	switch {
	case errors.Is(err, grouping.ErrEpisodeOver):
		return http.StatusConflict, "this episode is over"
	case errors.Is(err, grouping.ErrAckNotFound):
		return http.StatusNotFound, "this acknowledgement is not known any more"
	case errors.Is(err, grouping.ErrBusy):
		return http.StatusServiceUnavailable, err.Error()
	case c.Request.Context().Err() != nil: // a cancelled caller is not a fault
		return http.StatusServiceUnavailable, "the request was cancelled"
	}
	d.Logger.ErrorContext(c.Request.Context(), "Writing what a person posted failed", "handler", c.FullPath(), "err", err)
	return http.StatusServiceUnavailable, "the storage is not available, try again"
}

// askForNewEpisode answers with the page of a group. The episode that the person saw is over.
func (d *Door) askForNewEpisode(c *gin.Context, g *grouping.AlertGroup, kept templates.PersonInput) {
	site, err := d.site(c.Request)
	if err != nil {
		d.failPage(c, err)
		return
	}
	events, err := d.Groups.Events(c.Request.Context(), grouping.EventQuery{Group: g.ID, Limit: maxGroupEvents})
	if err != nil {
		d.failPage(c, err)
		return
	}
	p := templates.NewGroupPage(site, templates.GroupView{}, g, events.Events)
	p.AskAgain(site, g, kept)
	d.renderPage(c, p)
}

// formText returns a text of a form. Browsers send two characters for a line break.
func formText(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

// noteID returns the ID of a note. Readers share a page, so the ID of the page alone is not
// enough: another person, or another text, is another note.
func noteID(ofPage string, by grouping.Person, text string) string {
	sum := sha256.Sum256([]byte(ofPage + "\x00" + by.Name + "\x00" + text))
	return hex.EncodeToString(sum[:16])
}

// parseUntil reads when an acknowledgement ends: a duration, a time of day in UTC, or nothing.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := model.ParseDuration(text); err == nil && d > 0 {
		return now.Add(time.Duration(d)), nil
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, &grouping.InvalidError{
			Field: "until", Sentence: reply.Quoted(text) + " is neither a duration such as 4h nor a time such as 09:00",
		}
	}
	now = now.UTC()
	at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, time.UTC)
	if !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	return at, nil
}
