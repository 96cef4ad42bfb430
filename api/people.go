package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/query"
	"muster/internal/reply"
)

// maxPersonBody is the maximum size of what a person writes: a text of the maximum size of
// which each byte is escaped, and the other fields.
const maxPersonBody = 6*grouping.MaxTextLen + 4<<10

// peopleRoutes adds the writes of people. A body is read before the request takes the slot of a
// reader, so that slow clients do not block others.
func (d *Door) peopleRoutes(r gin.IRouter) {
	groups := r.Group("/api/v1/groups/:id")
	groups.POST("/ack", d.readBody, d.Readers.Admit, d.acknowledge)
	groups.DELETE("/ack", d.Readers.Admit, d.unacknowledge)
	groups.POST("/notes", d.readBody, d.Readers.Admit, d.addNote)
	groups.POST("/close", d.readBody, d.Readers.Admit, d.closeGroup)
}

// bodyKey is the gin context key of a body that was read.
const bodyKey = "body"

// readBody is a middleware that reads the body. It answers a body that is too large or
// incomplete, or that is not JSON.
func (d *Door) readBody(c *gin.Context) {
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); c.GetHeader("Content-Type") != "" &&
		(err != nil || media != "application/json") {
		reply.Fail(c, http.StatusUnsupportedMediaType, "the content type is not application/json")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxPersonBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		reply.Fail(c, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.Itoa(maxPersonBody)+" bytes")
		return
	}
	if err != nil {
		reply.Fail(c, http.StatusBadRequest, "the body is incomplete")
		return
	}
	c.Set(bodyKey, body)
}

// decodeBody decodes the body, which may be empty. It answers 400 and returns false if the body
// has something that is not understood.
func decodeBody(c *gin.Context, to any) bool {
	body, _ := c.Get(bodyKey)
	text, _ := body.([]byte)
	if len(bytes.TrimSpace(text)) == 0 {
		return true
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		reply.Fail(c, http.StatusBadRequest, "the body is not understood: "+err.Error())
		return false
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		reply.Fail(c, http.StatusBadRequest, "the body is not understood: more than one JSON value")
		return false
	}
	return true
}

// writerOf returns the group of the path, and the person who writes. If the person may not, it
// answers and returns false.
func (d *Door) writerOf(c *gin.Context, typed string) (id grouping.ID, by grouping.Person, ok bool) {
	if id, ok = groupIDParam(c); !ok {
		return id, by, false
	}
	by, err := d.People.Writer(c.Request, typed)
	if err != nil {
		code := http.StatusForbidden
		if refused, is := errors.AsType[*person.RefusedError](err); is {
			code = refused.Status
		}
		if code == http.StatusMethodNotAllowed {
			c.Header("Allow", "")
		}
		reply.Fail(c, code, err.Error())
		return id, by, false
	}
	return id, by, true
}

func (d *Door) acknowledge(c *gin.Context) {
	var body struct {
		Note    string         `json:"note"`
		Until   string         `json:"until"`
		By      string         `json:"by"`
		Episode grouping.Stamp `json:"episode"`
	}
	if !d.onlyBody(c, &body) {
		return
	}
	until := query.Of(url.Values{"until": {body.Until}})
	at := until.Time("until", time.Now())
	if err := until.Err(); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	id, by, ok := d.writerOf(c, body.By)
	if !ok {
		return
	}
	g, err := d.Groups.Acknowledge(c.Request.Context(), id, grouping.AckRequest{By: by, Note: body.Note, Until: at, Episode: body.Episode})
	d.answerWrite(c, g, err)
}

func (d *Door) unacknowledge(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	ack, typed := params.Text("ack"), params.Text("by")
	if err := params.Err(); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	id, by, ok := d.writerOf(c, typed)
	if !ok {
		return
	}
	g, err := d.Groups.Unacknowledge(c.Request.Context(), id, grouping.UnackRequest{By: by, Ack: ack})
	d.answerWrite(c, g, err)
}

func (d *Door) addNote(c *gin.Context) {
	var body struct {
		ID   string `json:"id"`
		Text string `json:"text"`
		By   string `json:"by"`
	}
	if !d.onlyBody(c, &body) {
		return
	}
	id, by, ok := d.writerOf(c, body.By)
	if !ok {
		return
	}
	g, err := d.Groups.AddNote(c.Request.Context(), id, grouping.NoteRequest{By: by, ID: body.ID, Text: body.Text})
	d.answerWrite(c, g, err)
}

func (d *Door) closeGroup(c *gin.Context) {
	var body struct {
		By      string         `json:"by"`
		Episode grouping.Stamp `json:"episode"`
	}
	if !d.onlyBody(c, &body) {
		return
	}
	id, by, ok := d.writerOf(c, body.By)
	if !ok {
		return
	}
	g, err := d.Groups.Close(c.Request.Context(), id, grouping.CloseRequest{By: by, Episode: body.Episode})
	d.answerWrite(c, g, err)
}

// onlyBody decodes the body of a request that has no parameters. Otherwise it answers and
// returns false.
func (d *Door) onlyBody(c *gin.Context, to any) bool {
	if d.rejectParameters(c); c.IsAborted() {
		return false
	}
	return decodeBody(c, to)
}

// answerWrite answers with the group after the write of a person. If the episode that the
// person meant is over, the answer is 409 and has the present state.
func (d *Door) answerWrite(c *gin.Context, g *grouping.AlertGroup, err error) {
	over, isOver := errors.AsType[*grouping.EpisodeOverError](err)
	switch {
	case isOver:
		d.stream(c, 0, answerHead{media: jsonMedia, code: http.StatusConflict}, func(out *textStream) {
			j := &jsonStream{out}
			j.writeRaw(`{"error":`)
			j.writeValue(over.Error())
			j.writeRaw(`,"group":`)
			j.writeGroup(over.Group, over.Group.Alerts)
			j.writeRaw("}")
		})
	case err != nil:
		reply.Error(c, d.Logger, err)
	default:
		d.streamJSON(c, 0, func(out *jsonStream) { out.writeGroup(g, g.Alerts) })
	}
}

// ackView is the acknowledgement of a group that counts.
type ackView struct {
	ID       string    `json:"id"`
	By       string    `json:"by"`
	Verified bool      `json:"verified"`
	At       time.Time `json:"at"`
	Until    time.Time `json:"until,omitzero"`
	Note     string    `json:"note"`
	NewSince int       `json:"newSince"`
}

// noteView is a note of a group.
type noteView struct {
	ID       string    `json:"id"`
	By       string    `json:"by"`
	Verified bool      `json:"verified"`
	At       time.Time `json:"at"`
	Text     string    `json:"text"`
}

// closingView says who closed a group.
type closingView struct {
	By       string    `json:"by"`
	Verified bool      `json:"verified"`
	At       time.Time `json:"at"`
}

func viewAck(g *grouping.AlertGroup, now time.Time) *ackView {
	a := g.Ack(now)
	if a == nil {
		return nil
	}
	return &ackView{a.ID, a.Name, a.Verified, a.At.UTC(), a.Until.UTC(), a.Note, g.NewSince(a)}
}

func viewNotes(g *grouping.AlertGroup) []noteView {
	views := make([]noteView, 0, len(g.Notes))
	for _, n := range g.Notes {
		views = append(views, noteView{n.ID, n.Name, n.Verified, n.At.UTC(), n.Text})
	}
	return views
}

func viewClosing(g *grouping.AlertGroup) *closingView {
	c := g.ClosedBy
	if c == nil {
		return nil
	}
	return &closingView{c.Name, c.Verified, c.At.UTC()}
}
