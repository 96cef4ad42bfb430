package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/history"
	"muster/internal/person"
	"muster/internal/query"
	"muster/internal/reply"
	"muster/templates"
)

// silencer changes silences in the Alertmanagers of a source. It is safe for concurrent use. If an
// Alertmanager refuses a change, the error is a *grouping.SilenceRefusedError. If none answers, it
// is a *grouping.SilenceFailedError. An unknown ID is a *grouping.SilenceNotFoundError.
type silencer interface {
	// Sources returns the sources whose silences can be changed. CanSilence reports whether the
	// source is one of them.
	Sources() []string
	CanSilence(source string) bool
	// CreateSilence makes a silence and returns its ID. The request is a hash of what the person
	// asked for: the same within a minute is one silence.
	CreateSilence(ctx context.Context, source string, s grouping.Silence, request string, by grouping.Person) (string, error)
	// ExtendSilence changes the end of a silence. It returns the ID that the silence has then.
	ExtendSilence(ctx context.Context, source, id string, until time.Time, by grouping.Person) (string, error)
	ExpireSilence(ctx context.Context, source, id string, by grouping.Person) error
}

// maxPreviewWait is how long a preview waits for the numbers of the past. It is useful without.
const maxPreviewWait = 3 * time.Second

// silencingRoutes adds the routes of the forms about silences.
func (d *Door) silencingRoutes(r gin.IRouter) {
	// The body is read before the request takes a slot, so that slow clients do not block others.
	writes := r.Group("", d.admitSilencers, d.readForm, d.Readers.Admit)
	reply.Get(r.Group("", d.Readers.Admit), "/silences/new", d.uncachedPageHandler(d.silenceFormPage))
	writes.POST("/silences/new", d.createSilence)
	writes.POST("/silences/:id/extend", d.changeSilence(d.extendSilence))
	writes.POST("/silences/:id/expire", d.changeSilence(d.expireSilence))
	for _, path := range []string{"/silences/:id/extend", "/silences/:id/expire"} {
		reply.Get(r, path, d.redirectToSilence) // the address of a page that a form was answered with
	}
}

// admitSilencers refuses a form if nobody may change silences.
func (d *Door) admitSilencers(c *gin.Context) {
	if !d.People.MaySilence() {
		_, err := d.People.Silencer(c.Request, "") // says why
		reply.Error(c, d.Logger, err)
		c.Abort()
	}
}

// silencing says whose silences people may change.
func (d *Door) silencing() templates.Silencing {
	if !d.People.MaySilence() {
		return templates.Silencing{}
	}
	return templates.Silencing{Sources: d.Silencer.Sources(), AsksName: d.People.Silences.Unverified && !d.People.Verified()}
}

// silenceFormPage is the form for a new silence with a preview.
func (d *Door) silenceFormPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	if !d.People.MaySilence() {
		return templates.NewNotFoundPage(site), nil
	}
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: the query cannot be decoded", grouping.ErrBadQuery)
	}
	in := &templates.SilenceFormInput{Form: query.ParseSilenceForm(values)}
	in.By, err = d.People.Silencer(c.Request, "")
	if refused, ok := errors.AsType[*person.RefusedError](err); ok && refused.Status != http.StatusBadRequest {
		return templates.NewRefusedPage(site, refused.Status, refused.Text), nil
	}
	if err := d.fillSilenceForm(c.Request.Context(), in); err != nil {
		return nil, err
	}
	return templates.NewSilenceFormPage(site, in), nil
}

// fillSilenceForm completes the form from the group that the person came from, and adds the preview.
func (d *Door) fillSilenceForm(ctx context.Context, in *templates.SilenceFormInput) error {
	f := &in.Form
	if f.Group != "" {
		g, err := d.Groups.Get(ctx, f.Group)
		if err != nil && !errors.Is(err, grouping.ErrGroupNotFound) {
			return err
		}
		in.Group = g
	}
	if f.Source == "" && in.Group != nil {
		f.Source = in.Group.Source
	}
	if sources := d.Silencer.Sources(); f.Source == "" || !slices.Contains(sources, f.Source) {
		f.Source = sources[0] // the flag needs one
	}
	if in.Firings = -1; !f.HasMatchers() {
		return nil
	}
	groups, err := d.Groups.All(ctx)
	if err != nil {
		return err
	}
	preview := grouping.PreviewSilence(groups, f.Source, f.Matchers, f.Group)
	in.Preview = &preview
	d.countFirings(ctx, in)
	return nil
}

// countFirings adds how many firings of the last seven days match, and of how many alerts. It adds
// since when the history is known, if that is later. Without an answer soon, it adds nothing.
func (d *Door) countFirings(ctx context.Context, in *templates.SilenceFormInput) {
	ctx, cancel := context.WithTimeout(ctx, maxPreviewWait)
	defer cancel()
	now := time.Now()
	q := history.ReportQuery{Since: now.Add(-7 * 24 * time.Hour), Until: now, Matchers: in.Form.Matchers}
	counted, err := d.Past.Counted(ctx, history.CountedQuery{ReportQuery: q, Number: history.NumberFirings})
	if err != nil {
		return
	}
	in.Firings, in.FiredAlerts, in.Since = counted.Total, counted.Alerts, counted.KnownSince
}

// createSilence makes a silence, unless it would mute something else than the preview showed.
func (d *Door) createSilence(c *gin.Context) {
	ctx := c.Request.Context()
	site, err := d.site(c.Request)
	if err != nil {
		d.failPage(c, err)
		return
	}
	in := &templates.SilenceFormInput{Form: query.ParseSilenceForm(c.Request.PostForm), Checked: true}
	f := &in.Form
	var refused *person.RefusedError
	if in.By, err = d.People.Silencer(c.Request, f.By); errors.As(err, &refused) {
		if refused.Status != http.StatusBadRequest {
			reply.RefusedHeader(c, refused)
			d.renderPage(c, templates.NewRefusedPage(site, refused.Status, refused.Text))
			return
		}
		in.Status, in.BadName = refused.Status, refused.Text
	}
	if err := d.fillSilenceForm(ctx, in); err != nil {
		d.failPage(c, err)
		return
	}
	end, badEnd := f.End(site.Now)
	if f.Err != nil || f.MatcherProblem() != "" || f.CommentProblem() != "" || badEnd != "" || in.BadName != "" {
		in.Status = http.StatusBadRequest
		d.renderPage(c, templates.NewSilenceFormPage(site, in))
		return
	}
	if in.Problem = previewProblem(f.Previewed, in.Preview); in.Problem != "" {
		d.renderPage(c, templates.NewSilenceFormPage(site, in))
		return
	}
	now := site.Now.UTC().Truncate(time.Millisecond)
	var id string
	if err = d.Readers.Wait(c); err == nil {
		id, err = d.Silencer.CreateSilence(ctx, f.Source, grouping.Silence{
			MatcherSets: [][]grouping.SilenceMatcher{f.SilenceMatchers()}, StartsAt: now, EndsAt: end.UTC().Truncate(time.Millisecond),
			CreatedBy: in.By.Name, Comment: f.Comment,
		}, f.Request(), in.By)
	}
	if err != nil {
		in.Status, in.Problem, in.Answered = d.silenceProblem(c, err)
		d.renderPage(c, templates.NewSilenceFormPage(site, in))
		return
	}
	d.remember(c, in.By)
	if in.Group != nil {
		c.Redirect(http.StatusSeeOther, d.links.Group(in.Group.ID)+"#alerts")
		return
	}
	c.Redirect(http.StatusSeeOther, d.silenceLink(f.Source, id))
}

// previewProblem says why a silence needs another look, or is "". previewed is what the form posted
// about the preview that the person saw.
func previewProblem(previewed string, now *grouping.SilencePreview) string {
	hash, before, seen := strings.Cut(previewed, ".")
	n := len(now.Alerts)
	switch {
	case !seen:
		return "The matchers match " + templates.Alerts(n) + ". Check them, then create."
	case hash == now.Hash:
		return "" // the same names in the same groups
	}
	if was, err := strconv.Atoi(before); err == nil && was != n && was >= 0 {
		return "The matchers now match " + templates.Alerts(n) + " instead of " + before + ". Check them, then create."
	}
	return "The matchers now match other alerts. Check them, then create."
}

// silenceProblem returns the status code for an error of the silencer, a sentence, and what
// Alertmanager answered.
func (d *Door) silenceProblem(c *gin.Context, err error) (status int, problem, answered string) {
	refused, _ := errors.AsType[*grouping.SilenceRefusedError](err)
	failed, _ := errors.AsType[*grouping.SilenceFailedError](err)
	switch {
	case refused != nil:
		return http.StatusBadRequest, refused.Alertmanager + " refused:", refused.Text
	case failed != nil:
		return http.StatusServiceUnavailable, failed.Text, ""
	case errors.Is(err, grouping.ErrSilenceNotFound):
		return http.StatusNotFound, "Alertmanager does not know this silence.", ""
	case errors.Is(err, grouping.ErrBusy):
		return http.StatusServiceUnavailable, "Too many people change silences now. Try again.", ""
	case c.Request.Context().Err() != nil: // a cancelled caller is not a fault
		return http.StatusServiceUnavailable, "The request was cancelled.", ""
	}
	d.Logger.ErrorContext(c.Request.Context(), "Changing a silence failed", "handler", c.FullPath(), "err", err)
	return http.StatusServiceUnavailable, "The silence was not changed, because of an error in Muster.", ""
}

// silenceChange changes a silence, and returns the ID that it has then.
type silenceChange func(c *gin.Context, source, id string, by grouping.Person) (string, error)

// changeSilence returns the handler of a form of a silence's page.
func (d *Door) changeSilence(change silenceChange) gin.HandlerFunc {
	return func(c *gin.Context) {
		source, id := c.Request.PostForm.Get("source"), c.Param("id")
		by, err := d.People.Silencer(c.Request, strings.TrimSpace(c.Request.PostForm.Get("by")))
		if refused, ok := errors.AsType[*person.RefusedError](err); ok {
			reply.RefusedHeader(c, refused)
			d.refuseSilence(c, source, refused.Status, refused.Text, "", "")
			return
		}
		if !d.Silencer.CanSilence(source) {
			d.refuseSilence(c, source, http.StatusBadRequest, "Muster cannot ask an Alertmanager of this source.", "", "")
			return
		}
		id, err = change(c, source, id, by)
		if err != nil {
			if bad, ok := errors.AsType[*badEndError](err); ok {
				d.refuseSilence(c, source, http.StatusBadRequest, "", "", bad.sentence)
				return
			}
			status, problem, answered := d.silenceProblem(c, err)
			d.refuseSilence(c, source, status, problem, answered, "")
			return
		}
		d.remember(c, by)
		c.Redirect(http.StatusSeeOther, d.silenceLink(source, id))
	}
}

// extendSilence makes a silence end at the time that was chosen, or that was typed.
func (d *Door) extendSilence(c *gin.Context, source, id string, by grouping.Person) (string, error) {
	ctx := c.Request.Context()
	f := query.ParseExtendForm(c.Request.PostForm)
	until, problem := f.End(time.Now())
	if problem != "" {
		return "", &badEndError{problem}
	}
	switch known, err := d.Groups.Silence(ctx, source, id); {
	case err != nil:
		return "", err
	case until.Before(known.EndsAt):
		return "", &badEndError{"It ends later already. To end it earlier, expire it."}
	}
	if err := d.Readers.Wait(c); err != nil {
		return "", err
	}
	return d.Silencer.ExtendSilence(ctx, source, id, until.UTC().Truncate(time.Millisecond), by)
}

// badEndError is the sentence about a new end that cannot be used.
type badEndError struct{ sentence string }

func (e *badEndError) Error() string { return e.sentence }

func (d *Door) expireSilence(c *gin.Context, source, id string, by grouping.Person) (string, error) {
	if err := d.Readers.Wait(c); err != nil {
		return "", err
	}
	return id, d.Silencer.ExpireSilence(c.Request.Context(), source, id, by)
}

// refuseSilence answers with the page of a silence that says why it was not changed. badEnd says so
// of the end that the person chose.
func (d *Door) refuseSilence(c *gin.Context, source string, status int, problem, answered, badEnd string) {
	site, err := d.site(c.Request)
	if err != nil {
		d.failPage(c, err)
		return
	}
	p, err := d.silencePageOf(c.Request.Context(), site, source, c.Param("id"))
	if err != nil {
		d.failPage(c, err)
		return
	}
	if of, ok := p.(*templates.SilencePage); ok {
		of.Refuse(status, problem, answered)
		if badEnd != "" {
			of.RefuseEnd(query.ParseExtendForm(c.Request.PostForm), badEnd)
		}
	}
	d.renderPage(c, p)
}

// redirectToSilence redirects to the page of a silence from an address below it.
func (d *Door) redirectToSilence(c *gin.Context) {
	c.Redirect(http.StatusSeeOther, d.links.SilenceOf(c.Param("id"), ""))
}

// silenceLink leads to a silence. It names the source if there are several.
func (d *Door) silenceLink(source, id string) string {
	if len(d.Silencer.Sources()) < 2 {
		source = ""
	}
	return d.links.SilenceOf(id, source)
}
