package demo

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/receiver"
)

// The story shows each cause of a mute, a notification of another receiver, and an alert that
// ends under a silence. Muster accepts all of it, and misses no event.
func TestStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		groups := grouping.DefaultOptions
		groups.Wait, groups.Interval, groups.Settle = time.Second, groupInterval, time.Second
		server := testserver.New(t, testserver.Options{Groups: groups})
		var log strings.Builder
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- server.Manager.Run(ctx) }()
		go func() {
			ended <- Play(ctx, Target{
				Handler: server.Router, WebhookPath: receiver.Path, EventsPath: receiver.EventsPath, Polls: server.Manager, People: server.Manager,
			}, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		time.Sleep(58 * time.Second)
		mutes, told := muted(t, server.Manager), map[grouping.EventKind]int{}
		require.Equal(t, map[string]string{
			"KubePersistentVolumeFillingUp postgres-data-0": "silence ana The volume is being resized.",
			"KubeAPIErrorsHigh ":                            "inhibition",
			"BackupRunsLong ":                               "interval maintenance-window",
		}, mutes)
		page, err := server.Manager.Events(ctx, grouping.EventQuery{Limit: 1000})
		require.NoError(t, err)
		for _, e := range page.Events {
			told[e.Kind]++
			if e.Kind == grouping.EventDelivered && e.Delivery.Receiver == "on-call" {
				told["delivered to on-call"]++
			}
		}
		states := map[grouping.AckState][]string{}
		all, err := server.Manager.All(ctx)
		require.NoError(t, err)
		for _, g := range all {
			if state := g.AckState(time.Now()); state != grouping.AckNo {
				states[state] = append(states[state], g.Name)
			}
		}
		require.Equal(t, map[grouping.AckState][]string{
			grouping.AckYes: {"HTTPErrorBudgetBurn"}, grouping.AckNew: {"KubePodCrashLooping"},
		}, states)
		require.Equal(t, 1, told[grouping.EventNoted])
		require.Equal(t, 2, told[grouping.EventSilenceCreated])
		require.Positive(t, told["delivered to on-call"])
		ends, err := server.Manager.ByFingerprint(ctx, labels("KubePersistentVolumeFillingUp", "warning", "namespace", "databases",
			"cluster", "prod-eu1", "persistentvolumeclaim", "postgres-wal-1").Fingerprint())
		require.NoError(t, err)
		require.Len(t, ends, 1)
		for _, a := range ends[0].Alerts {
			if a.Labels.Get("persistentvolumeclaim") == "postgres-wal-1" {
				require.Equal(t, grouping.StatusResolved, a.ShownStatus())
				require.Equal(t, 100*time.Second, a.EndsAt.Sub(a.StartsAt))
			}
		}

		time.Sleep(10 * time.Minute)
		require.NotContains(t, muted(t, server.Manager), "KubePersistentVolumeFillingUp postgres-data-0")
		reports, err := server.Manager.SourceReports(ctx)
		require.NoError(t, err)
		require.Len(t, reports, 1)
		require.Zero(t, reports[0].Recorder.Missing)
		require.Len(t, reports[0].Recorder.Instances, 2)
		require.Equal(t, version, reports[0].Recorder.Instances[0].Version)
		require.NotZero(t, reports[0].Pollers[0].Failed["pagerduty"])
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		require.Empty(t, log.String())
	})
}

// muted returns what mutes the alerts that are suppressed now.
func muted(t *testing.T, m *grouping.Manager) map[string]string {
	t.Helper()
	all, err := m.All(t.Context())
	require.NoError(t, err)
	mutes := map[string]string{}
	for _, g := range all {
		for _, a := range g.Alerts {
			if a.ShownStatus() != grouping.StatusSuppressed {
				continue
			}
			mute := a.Mutes()[0]
			text := string(mute.Kind)
			if s := m.SilenceOf(g.Source, mute.ID); s != nil {
				text += " " + s.CreatedBy + " " + s.Comment
			}
			if mute.Kind == grouping.MuteInterval {
				text += " " + mute.ID
			}
			mutes[a.Labels.Get("alertname")+" "+a.Labels.Get("persistentvolumeclaim")] = text
		}
	}
	return mutes
}
