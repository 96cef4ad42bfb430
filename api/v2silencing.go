package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/reply"
)

// maxV2Silence is the maximum size of a silence that is passed on. A usual one has less than 1 KiB.
const maxV2Silence = 256 << 10

// passV2Silence passes a new or changed silence on to Alertmanager.
func (d *Door) passV2Silence(c *gin.Context) {
	source, ok := d.v2SilencedSource(c)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxV2Silence))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		v2Fail(c, http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, "the silence has more than 262144 bytes")
		return
	}
	if err != nil {
		v2Fail(c, http.StatusBadRequest, http.StatusBadRequest, "the body is incomplete")
		return
	}
	// The creator is a free text for Alertmanager. Without a verified name, it is the only name.
	var typed struct {
		CreatedBy string `json:"createdBy"`
	}
	_ = json.Unmarshal(body, &typed) // Alertmanager says what is wrong with it
	by, err := d.v2Silencer(c, typed.CreatedBy)
	if err != nil {
		v2FailPerson(c, err)
		return
	}
	if by.Verified {
		if body, err = withCreator(body, by.Name); err != nil {
			v2Fail(c, http.StatusBadRequest, http.StatusBadRequest, err.Error())
			return
		}
	}
	d.passV2Change(c, func() (grouping.SilenceAnswer, error) {
		return d.Silencer.PassPost(c.Request.Context(), source, c.GetHeader("Content-Type"), body, by)
	})
}

var errNotObject = errors.New("the body is not a JSON object")

// withCreator returns the body of a silence with another creator. All else stays as it is.
//
// It reads as Alertmanager does: the case of a name does not count, the last of several equal names
// does, and what follows the object is ignored. Otherwise a client could get another name through.
func withCreator(body []byte, name string) ([]byte, error) {
	from := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if begin, err := from.ReadToken(); err != nil || begin.Kind() != jsontext.KindBeginObject {
		return nil, errNotObject
	}
	out := []byte{'{'}
	for from.PeekKind() == jsontext.KindString {
		key, err := from.ReadValue()
		if err != nil {
			return nil, errNotObject
		}
		key = key.Clone()
		value, err := from.ReadValue()
		if err != nil {
			return nil, errNotObject
		}
		var said string
		if json.Unmarshal(key, &said, jsontext.AllowInvalidUTF8(true)) != nil || strings.EqualFold(said, "createdBy") {
			continue
		}
		out = append(append(append(append(out, key...), ':'), value...), ',')
	}
	if end, err := from.ReadToken(); err != nil || end.Kind() != jsontext.KindEndObject {
		return nil, errNotObject
	}
	quoted, err := jsontext.AppendQuote(nil, name)
	if err != nil {
		return nil, err
	}
	return append(append(append(out, `"createdBy":`...), quoted...), '}'), nil
}

// passV2Expiry passes the end of a silence on to Alertmanager.
func (d *Door) passV2Expiry(c *gin.Context) {
	source, ok := d.v2SilencedSource(c)
	if !ok || !validV2SilenceID(c) {
		return
	}
	by, err := d.v2Silencer(c, "")
	if err != nil {
		v2FailPerson(c, err)
		return
	}
	d.passV2Change(c, func() (grouping.SilenceAnswer, error) {
		return d.Silencer.PassDelete(c.Request.Context(), source, c.Param("id"), by)
	})
}

// unnamed is the name of a person who ends a silence and gives no name, because Alertmanager's API
// has no place for one.
const unnamed = "a client of the API"

// v2Silencer returns who changes a silence. A verified name wins over the creator in the body.
func (d *Door) v2Silencer(c *gin.Context, creator string) (grouping.Person, error) {
	by, err := d.People.Silencer(c.Request, "")
	refused, ok := errors.AsType[*person.RefusedError](err)
	if !ok || refused.Status != http.StatusBadRequest {
		return by, err
	}
	if creator == "" {
		creator = unnamed
	}
	return d.People.Silencer(c.Request, creator)
}

// v2SilencedSource returns the source of a request that changes a silence. Otherwise it answers.
func (d *Door) v2SilencedSource(c *gin.Context) (source string, ok bool) {
	if !d.People.Silences.Allowed {
		allowed := http.MethodGet
		c.Header("Allow", allowed)
		v2Fail(c, http.StatusMethodNotAllowed, http.StatusMethodNotAllowed, "method "+c.Request.Method+" is not allowed, but [GET] are")
		return "", false
	}
	if source = c.Param("source"); source == "" {
		reports, err := d.Groups.SourceReports(c.Request.Context())
		if err != nil {
			reply.Error(c, d.Logger, err)
			return "", false
		}
		sources := d.Silencer.Sources()
		for _, r := range reports {
			sources = append(sources, r.Source)
		}
		slices.Sort(sources)
		if sources = slices.Compact(sources); len(sources) > 1 {
			v2FailText(c, http.StatusBadRequest, "Muster has several sources: use /source/"+sources[0]+v2Path+", for example")
			return "", false
		}
		source = sources[0] // the flag needs one
	}
	if !d.Silencer.CanSilence(source) {
		v2FailText(c, http.StatusBadRequest, "no --alertmanager.url has the source "+reply.Quoted(source))
		return "", false
	}
	return source, true
}

// v2FailPerson answers a person who may not change silences.
func v2FailPerson(c *gin.Context, err error) {
	code := http.StatusForbidden
	if refused, ok := errors.AsType[*person.RefusedError](err); ok {
		code = refused.Status
	}
	if code == http.StatusMethodNotAllowed {
		c.Header("Allow", http.MethodGet)
	}
	v2Fail(c, code, code, err.Error())
}

// passV2Change makes a change of a silence, and passes on the answer of the Alertmanager.
func (d *Door) passV2Change(c *gin.Context, change func() (grouping.SilenceAnswer, error)) {
	var answer grouping.SilenceAnswer
	err := d.Readers.Wait(c)
	if err == nil {
		answer, err = change()
	}
	failed, _ := errors.AsType[*grouping.SilenceFailedError](err)
	refused, _ := errors.AsType[*grouping.SilenceRefusedError](err)
	switch {
	case failed != nil && failed.Unknown:
		v2FailText(c, http.StatusGatewayTimeout, failed.Text)
	case failed != nil:
		v2FailText(c, http.StatusBadGateway, failed.Text)
	case refused != nil:
		v2FailText(c, http.StatusBadGateway, refused.Error())
	case errors.Is(err, grouping.ErrBusy):
		v2FailText(c, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		reply.Error(c, d.Logger, err)
	case len(answer.Body) == 0:
		c.Status(answer.Status)
		c.Writer.WriteHeaderNow()
	default:
		c.Data(answer.Status, answer.ContentType, answer.Body)
	}
}
