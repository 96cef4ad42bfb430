package api

import (
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/version"

	"muster/internal/reply"
)

func (d *Door) serveStats(c *gin.Context) {
	m, ok := d.onlyMoment(c)
	if !ok {
		return
	}
	totals, err := m.Totals(c.Request.Context())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	d.respondJSON(c, struct {
		statsView
		*pastView
	}{viewStats(totals), m.of})
}

func (d *Door) serveStatus(c *gin.Context) {
	totals, err := d.Groups.Totals(c.Request.Context())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	sources, err := d.Groups.SourceReports(c.Request.Context())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	gaps, err := d.Groups.Gaps(c.Request.Context(), time.Time{}, time.Time{})
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	st := d.Storage()
	d.respondJSON(c, statusView{
		Build: buildView{
			Version: version.Version, Revision: version.GetRevision(), Branch: version.Branch,
			BuildUser: version.BuildUser, BuildDate: version.BuildDate, GoVersion: version.GoVersion,
		},
		StartedAt: d.startedAt.UTC(), UptimeSeconds: time.Since(d.startedAt).Seconds(),
		Storage: storageView{
			Mode: st.Mode, Healthy: st.Healthy, Reason: st.Reason, DegradedSince: st.DegradedSince.UTC(),
			DirtyGroups: st.DirtyGroups, Partial: st.Partial, Problems: st.Problems,
		},
		RestoredGroups: st.Restored, LastNotification: totals.LastNotification, Problems: d.Problems(),
		Sources: viewSources(sources), Gaps: viewGaps(gaps),
	})
}
