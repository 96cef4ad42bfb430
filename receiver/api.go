package receiver

import (
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/version"

	"muster/grouping"
	"muster/internal/query"
)

func (s *Server) serveGroups(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	asked := params.Groups(query.StateAll)
	withAlerts := params.Bool("alerts")
	if err := queryError(params, &asked.Filter); err != nil {
		s.failWith(c, err)
		return
	}
	page, err := s.groups.ListGroups(c.Request.Context(), asked.Query())
	if err != nil {
		s.failWith(c, err)
		return
	}
	s.streamJSON(c, 0, func(out *jsonStream) {
		out.writeGroups(page.Groups, func(g *grouping.AlertGroup) []*grouping.Alert {
			if withAlerts {
				return g.Alerts
			}
			return nil
		})
		out.writeRaw(`,"total":`)
		out.writeValue(page.Total)
		out.writeNext(page.Next)
	})
}

// queryError returns an error that lists every problem of a query and its
// filter, or nil.
func queryError(params *query.Params, filter *query.Filter) error {
	if filter.Err != nil {
		params.Fault("filter", filter.Err.Brief())
	}
	return params.Err()
}

// rejectParameters answers 400 if a request has query parameters. It guards the
// routes that take no parameters.
func (s *Server) rejectParameters(c *gin.Context) {
	if err := query.Parse(c.Request.URL.RawQuery).Err(); err != nil {
		s.failWith(c, err)
		c.Abort()
	}
}

// groupIDParam returns the group ID in the path. It answers 404 and returns
// false if the text is not a valid ID.
func (s *Server) groupIDParam(c *gin.Context) (grouping.ID, bool) {
	id := grouping.ID(c.Param("id"))
	if !id.Valid() {
		fail(c, http.StatusNotFound, "group "+quoted(string(id))+" not found: an ID has 20 hex digits")
		return "", false
	}
	return id, true
}

func (s *Server) serveGroup(c *gin.Context) {
	id, ok := s.groupIDParam(c)
	if !ok {
		return
	}
	g, err := s.groups.GetGroup(c.Request.Context(), id)
	if err != nil {
		s.failWith(c, err)
		return
	}
	s.streamJSON(c, 0, func(out *jsonStream) { out.writeGroup(g, g.Alerts) })
}

func (s *Server) serveAlert(c *gin.Context) {
	fp := grouping.Fingerprint(c.Param("fingerprint"))
	if !fp.Valid() {
		fail(c, http.StatusNotFound, "alert "+quoted(string(fp))+" not found: a fingerprint has 16 hex digits")
		return
	}
	params := query.Parse(c.Request.URL.RawQuery)
	source, receiver := params.Text("source"), params.Text("receiver")
	if err := params.Err(); err != nil {
		s.failWith(c, err)
		return
	}
	groups, err := s.groups.GetGroupByFingerprint(c.Request.Context(), fp)
	if err != nil {
		s.failWith(c, err)
		return
	}
	if groups = selectGroups(groups, source, receiver); len(groups) == 0 {
		fail(c, http.StatusNotFound, "alert "+quoted(string(fp))+" not found in this source and receiver")
		return
	}
	s.streamJSON(c, 0, func(out *jsonStream) {
		out.writeGroups(groups, func(g *grouping.AlertGroup) []*grouping.Alert { return []*grouping.Alert{g.Alert(fp)} })
		out.writeRaw("}")
	})
}

// selectGroups returns the groups of the source and the receiver. An empty
// string matches every source or receiver.
func selectGroups(groups []*grouping.AlertGroup, source, receiver string) []*grouping.AlertGroup {
	q := grouping.ListQuery{Source: source, Receiver: receiver}
	return slices.DeleteFunc(slices.Clone(groups), func(g *grouping.AlertGroup) bool { return !q.Selects(g) })
}

func (s *Server) serveGroupEvents(c *gin.Context) {
	if id, ok := s.groupIDParam(c); ok {
		s.respondEvents(c, id)
	}
}

func (s *Server) serveEvents(c *gin.Context) { s.respondEvents(c, "") }

func (s *Server) respondEvents(c *gin.Context, id grouping.ID) {
	params := query.Parse(c.Request.URL.RawQuery)
	asked := params.Events(time.Now())
	if asked.Group = id; id == "" {
		asked.Group = params.GroupID("group")
	}
	if err := queryError(params, &asked.Filter); err != nil {
		s.failWith(c, err)
		return
	}
	page, err := s.groups.Events(c.Request.Context(), asked.Query(nil))
	if err != nil {
		s.failWith(c, err)
		return
	}
	s.streamJSON(c, eventsSize(page.Events), func(out *jsonStream) {
		out.writeRaw(`{"events":[`)
		for i := range page.Events {
			if out.failed() {
				return
			}
			out.writeComma(i)
			out.writeValue(viewEvent(&page.Events[i]))
		}
		out.writeRaw("]")
		out.writeNext(page.Next)
	})
}

func (s *Server) serveStats(c *gin.Context) {
	stats, err := s.groups.GetStats(c.Request.Context())
	if err != nil {
		s.failWith(c, err)
		return
	}
	s.respondJSON(c, viewStats(stats))
}

func (s *Server) serveStatus(c *gin.Context) {
	stats, err := s.groups.GetStats(c.Request.Context())
	if err != nil {
		s.failWith(c, err)
		return
	}
	st := s.storage()
	s.respondJSON(c, statusView{
		Build: buildView{
			Version: version.Version, Revision: version.GetRevision(), Branch: version.Branch,
			BuildUser: version.BuildUser, BuildDate: version.BuildDate, GoVersion: version.GoVersion,
		},
		StartedAt: s.startedAt.UTC(), UptimeSeconds: time.Since(s.startedAt).Seconds(),
		Storage: storageView{
			Mode: st.Mode, Healthy: st.Healthy, Reason: st.Reason, DegradedSince: st.DegradedSince.UTC(),
			DirtyGroups: st.DirtyGroups, Partial: st.Partial, Problems: st.Problems,
		},
		RestoredGroups: st.Restored, LastNotification: stats.LastNotification, Problems: s.problems(),
	})
}
