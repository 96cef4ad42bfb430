package reply

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
)

// RequestIDHeader is the header with the ID of a request, in the request and in its
// answer. It is written as net/http writes it, which needs no conversion then.
const RequestIDHeader = "X-Request-Id"

// validRequestID matches the IDs that a client or a proxy may choose. The ID is
// written to the log and to pages, so it is short and has no special characters.
var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._:=+/-]+$`)

const maxRequestID = 64

// requestIDKey is the context key of the ID of a request.
type requestIDKey struct{}

// Identify gives the request an ID and sets the header of the answer. It keeps the
// ID that the request has already, if that ID is valid. Calling it again for the
// same request changes nothing.
func Identify(w http.ResponseWriter, r *http.Request) *http.Request {
	if RequestID(r.Context()) != "" {
		return r
	}
	id := r.Header.Get(RequestIDHeader)
	if len(id) > maxRequestID || !validRequestID.MatchString(id) {
		id = strings.ToLower(rand.Text()[:16]) // 80 bits
	}
	w.Header().Set(RequestIDHeader, id)
	return r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
}

// RequestID returns the ID of the request with this context, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// logHandler adds the ID of the request to the log lines about it.
type logHandler struct{ slog.Handler }

// LogRequestIDs returns a handler that adds the ID of the request to each line that is
// logged with the context of a request.
func LogRequestIDs(next slog.Handler) slog.Handler { return logHandler{next} }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if id := RequestID(ctx); id != "" {
		line = line.Clone()
		line.AddAttrs(slog.String("requestId", id))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
