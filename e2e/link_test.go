package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The link from the example template leads to the page of the group, also with special
// characters in the receiver and the labels.
func TestALinkFromATemplateLeadsToTheGroup(t *testing.T) {
	t.Parallel()
	amtool := filepath.Join(filepath.Dir(needsAlertmanager(t)), "amtool")
	m := startMuster(t)
	const data = `{"receiver":"team\\.a \\(copy\\+1\\)","status":"firing","groupKey":"{}:{x}","version":"4",
		"groupLabels":{"alertname":"Disk & \"quota\" 100% <full>","cluster":"eu 1+2"},"externalURL":"http://am",
		"commonLabels":{},"commonAnnotations":{},"alerts":[{"status":"firing","startsAt":"2026-11-23T03:00:00Z","labels":{"alertname":"x"}}]}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/webhook", strings.NewReader(data))
	require.NoError(t, err)
	res, err := client.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)

	file := filepath.Join(t.TempDir(), "data.json")
	require.NoError(t, os.WriteFile(file, []byte(data), 0o600))
	link, err := exec.CommandContext(t.Context(), amtool, "template", "render",
		"--template.glob=../examples/muster.tmpl", "--template.data="+file, `--template.text={{ template "muster.link" . }}`).CombinedOutput()
	require.NoError(t, err, string(link))
	path, found := strings.CutPrefix(strings.TrimSpace(string(link)), "http://muster.example.net:9095")
	require.True(t, found, string(link))

	r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+path, nil)
	require.NoError(t, err)
	noRedirect := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	res, err = noRedirect.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusFound, res.StatusCode)
	require.Regexp(t, "^/groups/[0-9a-f]{20}$", res.Header.Get("Location"), string(link))
}
