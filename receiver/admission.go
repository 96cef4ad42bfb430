package receiver

import (
	"bytes"
	"errors"
	"math"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/limit"
)

// admissionOptions are the limits of an admission.
type admissionOptions struct {
	title                  string // what the status page and answers call the requests
	maxBodySize, maxMemory int64
	maxRequests            int
	// decodedSize estimates the memory that a body needs. nil: the handler counts what it
	// decodes, in admitted.memory.
	decodedSize func(body []byte) int64
}

// admission decides which posted bodies are received and processed, by their token,
// their source, their size and what others use. A limit rejects what exceeds it;
// nothing waits. Each kind of body has an admission of its own, so that one kind
// cannot block another.
type admission struct {
	title       string
	tokens      *webhookTokens
	draining    *atomic.Bool
	maxBodySize int64
	decodedSize func(body []byte) int64

	requests     *limit.Limit // requests that are processed
	bodyBytes    *limit.Limit // bytes of bodies that are received or complete
	decodedBytes *limit.Limit // bytes of decoded bodies
}

// newAdmission returns an admission. The names of its limits begin with the kind of
// the bodies.
func newAdmission(kind string, tokens *webhookTokens, draining *atomic.Bool, limits *limit.Registry, opts admissionOptions) *admission {
	a := &admission{
		title: opts.title, tokens: tokens, draining: draining, maxBodySize: opts.maxBodySize, decodedSize: opts.decodedSize,
		requests: limits.New(kind+"s", limit.Requests, int64(opts.maxRequests)),
		// One slow sender must not block the largest body that is allowed.
		bodyBytes:    limits.New(kind+"_bodies", limit.Bytes, max(opts.maxMemory, opts.maxBodySize)),
		decodedBytes: limits.New(kind+"_memory", limit.Bytes, opts.maxMemory),
	}
	limits.Show("Concurrent "+a.title, a.requests)
	limits.Show("Memory of "+a.title, a.decodedBytes, a.bodyBytes)
	return a
}

// admitted is a body that was received, with its part of the limits. Its owner
// releases it.
type admitted struct {
	source string
	body   *requestBody
	slot   limit.Hold
	memory limit.Hold
}

// release gives back everything. It is safe to call it more than once.
func (a *admitted) release() {
	a.body.close()
	a.memory.Release()
	a.slot.Release()
}

// admit receives the body of a request.
func (a *admission) admit(c *gin.Context) (*admitted, *refusal) {
	source, refused := a.check(c)
	if refused != nil {
		return nil, refused
	}
	in := &admitted{source: source, body: newRequestBody(a.bodyBytes, c.Request.ContentLength)}
	if refused := a.receive(c, in); refused != nil {
		in.release()
		return nil, refused
	}
	return in, nil
}

// check rejects a request by its headers, before its body is read.
func (a *admission) check(c *gin.Context) (source string, refused *refusal) {
	if a.draining.Load() {
		c.Header("Connection", "close")
		return "", refuse(http.StatusServiceUnavailable, limit.Draining, "shutting down, try again")
	}
	if source = c.Param("source"); source == "" {
		source = grouping.DefaultSource
	}
	// The parameter is a part of the first line of the request, which each group would keep.
	source = grouping.Intern([]byte(source))
	if !grouping.ValidSource(source) {
		return "", refuse(http.StatusBadRequest, limit.BadSource, "source: must have 1 to 64 letters, digits, '_', '.' or '-'")
	}
	if err := validateMediaType(c.Request.Header); err != nil {
		return "", &refusal{code: http.StatusUnsupportedMediaType, reason: limit.Media, err: err}
	}
	// Reject a large body before it is read if its decoded form would not fit.
	if size := c.Request.ContentLength; a.decodedSize != nil && size > largeBody && !a.decodedBytes.Fits(2*size) {
		return "", a.refuseLarge()
	}
	return source, nil
}

// receive reads the body, and takes a slot and memory for its decoded form.
func (a *admission) receive(c *gin.Context, in *admitted) *refusal {
	if refused := in.body.receive(http.MaxBytesReader(c.Writer, c.Request.Body, a.maxBodySize)); refused != nil {
		return refused
	}
	// Take a slot only after the body was received, so that slow clients do not
	// block others.
	var ok bool
	if in.slot, ok = a.requests.Take(1); !ok {
		return refuse(http.StatusServiceUnavailable, limit.Overloaded, "too many concurrent requests, try again")
	}
	if a.decodedSize == nil {
		in.memory, _ = a.decodedBytes.Take(0) // 0 bytes always fit
		return nil
	}
	if size := a.decodedSize(in.body.bytes()); size > minCountedSize {
		if in.memory, ok = a.decodedBytes.Take(size); !ok {
			return a.refuseLarge()
		}
	}
	return nil
}

// refuseLarge rejects a body, because the limit on decoded bytes leaves no room for it.
func (a *admission) refuseLarge() *refusal {
	return refuse(http.StatusServiceUnavailable, limit.Overloaded, "too many concurrent large %s, try again", a.title)
}

// checkToken rejects a request without a valid token. It accepts the token as a
// bearer token or as the password of basic authentication. With --web.config.file
// the header may already carry a user and a password.
func (a *admission) checkToken(c *gin.Context) *refusal {
	if a.tokens.path == "" {
		return nil
	}
	if a.tokens.acceptsRequest(c.Request) {
		return nil
	}
	c.Header("WWW-Authenticate", "Bearer")
	return refuse(http.StatusUnauthorized, limit.Unauthorized, "this webhook requires a token: Authorization: Bearer …")
}

// validateMediaType rejects everything but uncompressed JSON. It treats a
// missing Content-Type as JSON.
func validateMediaType(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return errors.New("Content-Encoding: must be identity")
	}
	text := h.Get("Content-Type")
	if text == "" || text == "application/json" { // Alertmanager sends the second
		return nil
	}
	media, params, err := mime.ParseMediaType(text)
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return errors.New("Content-Type: must be application/json")
	}
	// utf8 is common but not a registered name.
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return errors.New("Content-Type: charset must be utf-8")
	}
	return nil
}

// decodedSize estimates the memory that a body, or an event, needs until it is stored:
// the texts, and what they are kept in.
//
// The estimate was measured on tiny alerts, on usual alerts and on alerts with
// many labels. It is 1.0 to 3 times the memory that decoding needs; storing
// needs the rest. Events repeat many of their labels, so they need less.
func decodedSize(body []byte) int64 {
	const object, text = 200, 8
	size := int64(len(body)) + object*int64(bytes.Count(body, []byte{'{'})) + text*int64(bytes.Count(body, []byte{'"'}))
	return min(size, math.MaxInt64/2)
}
