package api

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
	"muster/internal/reply"
)

// v2SilenceID is the form of the IDs of silences.
var v2SilenceID = regexp.MustCompile(`^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$`)

func (d *Door) serveV2Silences(c *gin.Context) {
	params := parseV2Params(c)
	matchers := params.matchers("filter", "")
	var states []grouping.SilenceState
	for _, state := range grouping.SilenceStates() {
		if params.allows(string(state)) {
			states = append(states, state)
		}
	}
	if params.answered(c) {
		return
	}
	all, err := d.Groups.AllSilences(c.Request.Context(), c.Param("source"))
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	all = slices.DeleteFunc(all, func(s grouping.SilenceInfo) bool {
		return !slices.Contains(states, s.State) || !isV2Silence(s.Silence) || !hasMatchers(s.Silence, matchers)
	})
	slices.SortStableFunc(all, compareSilences)
	d.streamJSON(c, 0, func(out *jsonStream) {
		out.writeRaw("[")
		for i := range all {
			out.writeComma(i)
			out.writeV2Silence(&all[i])
		}
		out.writeRaw("]\n")
	})
}

// isV2Silence reports whether the API can list a silence: one with several sets of matchers
// does not fit into its form.
func isV2Silence(s *grouping.Silence) bool { return len(s.MatcherSets) <= 1 }

// hasMatchers reports whether the silence has matchers that equal all of these.
func hasMatchers(s *grouping.Silence, matchers labels.Matchers) bool {
	for _, m := range matchers {
		same := func(o grouping.SilenceMatcher) bool {
			return o.Name == m.Name && o.Value == m.Value && o.Type == m.Type.String()
		}
		if len(s.MatcherSets) == 0 || !slices.ContainsFunc(s.MatcherSets[0], same) {
			return false
		}
	}
	return true
}

// compareSilences orders silences as Alertmanager does: active ones by their ends, pending ones
// by their starts, and the one that expired last is the first of these.
func compareSilences(a, b grouping.SilenceInfo) int {
	states := grouping.SilenceStates()
	if c := cmp.Compare(slices.Index(states, a.State), slices.Index(states, b.State)); c != 0 {
		return c
	}
	switch a.State {
	case grouping.SilencePending:
		return a.StartsAt.Compare(b.StartsAt)
	case grouping.SilenceExpired:
		return b.EndsAt.Compare(a.EndsAt)
	default:
		return a.EndsAt.Compare(b.EndsAt)
	}
}

// validV2SilenceID reports whether the path has the ID of a silence. Otherwise it answers.
func validV2SilenceID(c *gin.Context) bool {
	id := c.Param("id")
	ok := v2SilenceID.MatchString(id)
	if !ok {
		const notUUID = 601 // a number of Alertmanager's framework
		v2Fail(c, http.StatusUnprocessableEntity, notUUID, "silenceID in path must be of type uuid: "+reply.Quoted(id))
	}
	return ok
}

func (d *Door) serveV2Silence(c *gin.Context) {
	id := c.Param("id")
	if !validV2SilenceID(c) {
		return
	}
	all, err := d.Groups.AllSilences(c.Request.Context(), c.Param("source"))
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	i := slices.IndexFunc(all, func(s grouping.SilenceInfo) bool { return s.ID == id && isV2Silence(s.Silence) })
	if i < 0 {
		c.AbortWithStatus(http.StatusNotFound)
		return
	}
	d.streamJSON(c, 0, func(out *jsonStream) {
		out.writeV2Silence(&all[i])
		out.writeRaw("\n")
	})
}

// v2Silence is a silence in the form of Alertmanager.
type v2Silence struct {
	ID          string          `json:"id"`
	Status      v2SilenceStatus `json:"status"`
	UpdatedAt   string          `json:"updatedAt"`
	Annotations grouping.Labels `json:"annotations,omitzero"`
	Comment     string          `json:"comment"`
	CreatedBy   string          `json:"createdBy"`
	EndsAt      string          `json:"endsAt"`
	Matchers    []v2Matcher     `json:"matchers"`
	StartsAt    string          `json:"startsAt"`
}

type v2SilenceStatus struct {
	State grouping.SilenceState `json:"state"`
}

type v2Matcher struct {
	IsEqual bool   `json:"isEqual"`
	IsRegex bool   `json:"isRegex"`
	Name    string `json:"name"`
	Value   string `json:"value"`
}

func (o *jsonStream) writeV2Silence(s *grouping.SilenceInfo) {
	formatted := func(at time.Time) string { return at.UTC().Format(v2Time) }
	v := v2Silence{
		ID: s.ID, Status: v2SilenceStatus{s.State}, UpdatedAt: formatted(s.ChangedAt()), Comment: s.Comment, CreatedBy: s.CreatedBy,
		EndsAt: formatted(s.EndsAt), StartsAt: formatted(s.StartsAt), Matchers: []v2Matcher{}, Annotations: s.Annotations,
	}
	for _, set := range s.MatcherSets {
		for _, m := range set {
			v.Matchers = append(v.Matchers, v2Matcher{
				IsEqual: m.Type == "=" || m.Type == "=~", IsRegex: m.Type == "=~" || m.Type == "!~", Name: m.Name, Value: m.Value,
			})
		}
	}
	o.writeValue(v)
}
