package receiver_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
)

const corpus = "../testdata/corpus"

// recorded returns every notification that a real Alertmanager sent, by its
// path in the corpus.
func recorded(t testing.TB) map[string][]byte {
	t.Helper()
	bodies := map[string][]byte{}
	metas, err := filepath.Glob(filepath.Join(corpus, "*", "meta.jsonl"))
	require.NoError(t, err)
	for _, meta := range metas {
		folder := filepath.Dir(meta)
		if filepath.Base(folder) == "14b-event-recorder" {
			continue // not notifications
		}
		text, err := os.ReadFile(meta)
		require.NoError(t, err)
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			var line struct{ File, Path string }
			require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
			if strings.Contains(line.Path, "custom") {
				continue // the operator's template defines a custom payload
			}
			body, err := os.ReadFile(filepath.Join(folder, line.File))
			require.NoError(t, err)
			bodies[filepath.Base(folder)+"/"+line.File] = body
		}
	}
	return bodies
}

func TestEveryRecordedBodyIsAccepted(t *testing.T) {
	bodies := recorded(t)
	require.Len(t, bodies, 215, "the corpus is incomplete, or its index was not read")
	h := testserver.New(t, testserver.Options{})
	for name, body := range bodies {
		w := h.Do(http.MethodPost, "/webhook", bytes.NewReader(body))
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", name, w.Body)
	}
}

func TestOtherSendersAreAccepted(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(corpus, "other-senders", "*.json"))
	require.NoError(t, err)
	require.Len(t, paths, 7)
	h := testserver.New(t, testserver.Options{})
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		w := h.Do(http.MethodPut, "/webhook/grafana/", bytes.NewReader(body))
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	}
}
