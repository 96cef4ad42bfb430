package reply

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/person"
)

// Fail ends a request with an error as JSON.
func Fail(c *gin.Context, code int, message string) {
	c.AbortWithStatusJSON(code, gin.H{"error": message})
}

// Refuse answers a request that is not worked on, with as little work as possible: a request
// for the API with an error as JSON, and one for a page with a sentence.
func Refuse(w http.ResponseWriter, r *http.Request, code int, message string) {
	if !strings.Contains(r.URL.Path, "/api/") {
		http.Error(w, strings.ToUpper(message[:1])+message[1:]+".", code)
		return
	}
	text, _ := json.Marshal(map[string]string{"error": message}) // strings can always be encoded
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(text)
}

// refuseBusy ends a request because a limit is reached.
func refuseBusy(c *gin.Context, message string) {
	c.Abort()
	Refuse(c.Writer, c.Request, http.StatusServiceUnavailable, message)
}

// Error ends a request with the status code that matches the error. It logs only
// errors that Muster does not expect.
func Error(c *gin.Context, logger *slog.Logger, err error) {
	refused, _ := errors.AsType[*person.RefusedError](err)
	switch {
	case errors.Is(err, grouping.ErrBadQuery), errors.Is(err, grouping.ErrInvalid):
		Fail(c, http.StatusBadRequest, err.Error())
	case refused != nil:
		refuse(c, refused)
	case errors.Is(err, grouping.ErrGroupNotFound), errors.Is(err, grouping.ErrSilenceNotFound), errors.Is(err, grouping.ErrAckNotFound):
		Fail(c, http.StatusNotFound, err.Error())
	case errors.Is(err, grouping.ErrEpisodeOver):
		Fail(c, http.StatusConflict, err.Error())
	case c.Request.Context().Err() != nil:
		Cancelled(c)
	case errors.Is(err, grouping.ErrBusy):
		Fail(c, http.StatusServiceUnavailable, err.Error())
	case errors.Is(err, grouping.ErrStorage):
		Fail(c, http.StatusServiceUnavailable, "storage is unavailable, try again")
	default:
		logger.ErrorContext(c.Request.Context(), "Request failed", "handler", c.FullPath(), "err", err)
		Fail(c, http.StatusServiceUnavailable, "internal error")
	}
}

// refuse answers a person who may not write.
func refuse(c *gin.Context, refused *person.RefusedError) {
	RefusedHeader(c, refused)
	Fail(c, refused.Status, refused.Text)
}

// RefusedHeader sets the header that belongs to the status code of a refusal: with 405 the
// methods that are allowed, which are none.
func RefusedHeader(c *gin.Context, refused *person.RefusedError) {
	if refused.Status == http.StatusMethodNotAllowed {
		c.Writer.Header()["Allow"] = []string{""}
	}
}

// Cancelled ends a request whose client went away. A client that closed only its
// sending side still reads. Without an answer it would read 200.
func Cancelled(c *gin.Context) { c.AbortWithStatus(http.StatusServiceUnavailable) }
