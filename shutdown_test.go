package main

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The examples give Muster 5 s more than the maximum time for a shutdown.
func TestExamplesLeaveTimeToStop(t *testing.T) {
	var c config
	_, err := newFlags(&c).Parse(nil)
	require.NoError(t, err)
	require.Positive(t, c.shutdownTimeout)
	for name, grace := range map[string]string{
		"examples/compose.yaml":            `(?m)^    stop_grace_period: (\d+)s\b`,
		"examples/systemd/muster.service":  `(?m)^TimeoutStopSec=(\d+)$`,
		"examples/kubernetes/sidecar.yaml": `(?m)^      terminationGracePeriodSeconds: (\d+)\b`,
	} {
		found := regexp.MustCompile(grace).FindStringSubmatch(readDoc(t, name))
		require.NotNil(t, found, name)
		seconds, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Duration(seconds)*time.Second, c.shutdownTimeout+5*time.Second, name)
	}
}
