package pages_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/storage"
)

// After a restart with only rejections, an empty list must not claim that no
// notification arrived.
func TestEmptyListAfterRejections(t *testing.T) {
	before := testserver.New(t, testserver.Options{})
	require.Equal(t, http.StatusOK, before.Post(wiretest.Body(`"status":"firing","labels"`, `"status":"resolved","labels"`)).Code)
	groups, err := before.Manager.All(t.Context())
	require.NoError(t, err)
	old := *groups[0]
	old.LastNotifiedAt = time.Time{}
	stored := storage.NewMemory(storage.DefaultMemoryOptions())
	_, err = stored.Store(t.Context(), grouping.Change{Group: &old, Stamp: old.Meta.Stamp})
	require.NoError(t, err)
	h := testserver.New(t, testserver.Options{Storage: stored, Clock: grouping.NewClock()})
	_, err = h.Manager.RestoreGroups(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, h.Post("{").Code)
	text := h.Get("/").Body.String()
	require.Contains(t, text, "Muster has rejected 1 notification and accepted 0 since it started.")
	require.Contains(t, text, `href="/status#rejected"`)
}
