package reply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/person"
)

func TestErrorsHaveTheirStatusCode(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		err  error
		code int
		text string
	}{
		"bad query":   {t.Context(), fmt.Errorf("%w: limit", grouping.ErrBadQuery), 400, `{"error":"bad query: limit"}`},
		"invalid":     {t.Context(), &grouping.InvalidError{Field: "by", Sentence: "required"}, 400, `{"error":"by: required"}`},
		"no such ack": {t.Context(), &grouping.AckNotFoundError{}, 404, ""},
		"over":        {t.Context(), &grouping.EpisodeOverError{Group: &grouping.AlertGroup{State: grouping.StateResolved}}, 409, ""},
		"unknown":     {t.Context(), &grouping.GroupNotFoundError{ID: "0123"}, 404, ""},
		"storage":     {t.Context(), &grouping.StorageError{Err: errors.New("hunter2")}, 503, `{"error":"storage is unavailable, try again"}`},
		"busy":        {t.Context(), grouping.ErrBusy, 503, `{"error":"too many concurrent requests, try again"}`},
		"not a writer": {
			t.Context(), fmt.Errorf("x: %w", &person.RefusedError{Status: 403, Text: "\"dana\" may not write here"}), 403,
			`{"error":"\"dana\" may not write here"}`,
		},
		"read-only": {
			t.Context(), &person.RefusedError{Status: 405, Text: "this Muster is read-only"}, 405, `{"error":"this Muster is read-only"}`,
		},
		"anything":     {t.Context(), errors.New("hunter2"), 503, `{"error":"internal error"}`},
		"disconnected": {cancelled, &grouping.StorageError{Err: cancelled.Err()}, 503, ""},
	} {
		w := httptest.NewRecorder()
		c, _ := gin.CreateTestContext(w)
		c.Request = httptest.NewRequest(http.MethodGet, "/", nil).WithContext(tc.ctx)
		Error(c, promslog.NewNopLogger(), tc.err)
		c.Writer.WriteHeaderNow()
		require.Equal(t, tc.code, w.Code, name)
		require.True(t, c.IsAborted(), name)
		require.Equal(t, tc.code == http.StatusMethodNotAllowed, w.Header()["Allow"] != nil, name)
		if tc.text != "" {
			require.JSONEq(t, tc.text, w.Body.String(), name)
		}
	}
}
