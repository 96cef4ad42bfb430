package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// amtool runs the amtool of the tested version against a server, and returns what it prints.
func (a *alertmanager) amtool(url string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), waitTimeout)
	defer cancel()
	path := filepath.Join(filepath.Dir(a.path), "amtool")
	out, err := exec.CommandContext(ctx, path, append([]string{"--alertmanager.url=" + url}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("amtool %s: %w: %s", strings.Join(args, " "), err, out)
	}
	// It warns that the version of the server is another one.
	lines := strings.SplitAfter(string(out), "\n")
	text := strings.Builder{}
	for _, line := range lines {
		if !strings.Contains(line, "level=") && !strings.HasPrefix(line, "Warning:") {
			text.WriteString(line)
		}
	}
	return text.String(), nil
}

// queries are what people ask amtool.
var queries = [][]string{
	{"alert", "query"},
	{"alert"},
	{"alert", "query", "-a"},
	{"alert", "query", "-s", "-i"},
	{"alert", "query", "-u"},
	{"alert", "query", "instance=~c.*", "severity=critical"},
	{"alert", "query", "--receiver=team"},
	{"alert", "query", "--receiver=none"},
	{"silence", "query"},
	{"silence", "query", "--expired"},
	{"silence", "query", "-q"},
	{"silence", "query", "instance=c-2"},
}

// dashboard reads what dashboards such as karma show of a server: the groups of Muster's receiver,
// and the silences. They ask for both without parameters. updatedAt is not comparable, nor is
// endsAt of an alert that fires, because each server counts it from another report. Muster has the
// fields of the newest version. They are empty here, and an older Alertmanager does not have them.
func dashboard(t *testing.T, url string) (read struct {
	Groups   []map[string]any
	Silences []map[string]any
},
) {
	t.Helper()
	_, err := do(http.MethodGet, url+"/api/v2/silences", nil, &read.Silences)
	require.NoError(t, err)
	_, err = do(http.MethodGet, url+"/api/v2/alerts/groups", nil, &read.Groups)
	require.NoError(t, err)
	read.Groups = slices.DeleteFunc(read.Groups, func(g map[string]any) bool {
		receiver, ok := g["receiver"].(map[string]any)
		return !ok || receiver["name"] != "team"
	})
	require.NotEmpty(t, read.Groups)
	require.NotEmpty(t, read.Silences)
	dropEmpty := func(fields map[string]any, name string) {
		if value := reflect.ValueOf(fields[name]); value.IsValid() && value.Len() == 0 {
			delete(fields, name)
		}
	}
	for _, g := range read.Groups {
		dropEmpty(g, "routeLabels")
		alerts, ok := g["alerts"].([]any)
		require.True(t, ok)
		for _, a := range alerts {
			alert, ok := a.(map[string]any)
			require.True(t, ok)
			delete(alert, "updatedAt")
			delete(alert, "endsAt")
			delete(alert, "receivers") // the other receivers do not post to Muster
			status, ok := alert["status"].(map[string]any)
			require.True(t, ok)
			dropEmpty(status, "mutedBy")
		}
	}
	return read
}

// amtool prints the same whether it asks Alertmanager or Muster. It still does after
// Alertmanager was killed and came back without any data.
func TestAmtool(t *testing.T) {
	t.Parallel()
	setup := causesSetups(t)[0]
	setup.recorder, setup.poller = false, true
	c := startCauses(t, setup)
	c.fires("Amtool", "c-1")
	c.fires("Amtool", "c-2")
	c.am.silence("c-2")
	ended := c.am.silence("c-3")
	c.am.expire(ended)
	c.suppressed("Amtool", "c-2")
	waitFor(t, causesTimeout, "Muster knows the silences", func() error {
		var silences []any
		if _, err := c.m.fetch("/api/v2/silences", &silences); err != nil || len(silences) != 2 {
			return fmt.Errorf("it knows %d, err: %w", len(silences), err)
		}
		return nil
	})
	before := map[string]string{}
	for _, query := range queries {
		want, err := c.am.amtool(c.am.url, query...)
		require.NoError(t, err)
		got, err := c.am.amtool(c.m.url, query...)
		require.NoError(t, err)
		require.Equal(t, want, got, "%s", query)
		before[fmt.Sprint(query)] = got
	}
	require.Equal(t, dashboard(t, c.am.url), dashboard(t, c.m.url))
	for _, args := range [][]string{
		{"cluster", "show"}, {"config", "show"}, {"config", "routes", "show"}, {"alert", "query", "-o", "extended"},
	} {
		text, err := c.am.amtool(c.m.url, args...)
		require.NoError(t, err)
		require.NotEmpty(t, text, "%s", args)
	}
	config, err := c.am.amtool(c.m.url, "config", "show")
	require.NoError(t, err)
	require.Contains(t, config, "team")

	c.am.kill()
	c.am.deleteData()
	c.am.start()
	time.Sleep(2 * pollInterval) // Muster polls the empty one
	nothing, err := c.am.amtool(c.am.url, "silence", "query", "-q")
	require.NoError(t, err)
	require.Empty(t, strings.TrimSpace(nothing))
	for _, query := range queries {
		if query[0] == "alert" {
			got, err := c.am.amtool(c.m.url, query...)
			require.NoError(t, err)
			require.Equal(t, before[fmt.Sprint(query)], got, "%s", query)
		}
	}
}
