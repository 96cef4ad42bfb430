package api

import (
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/internal/reply"
)

// silenceView is a silence as the API answers it.
type silenceView struct {
	ID          string                 `json:"id"`
	Source      string                 `json:"source"`
	State       grouping.SilenceState  `json:"state"`
	CreatedBy   string                 `json:"createdBy"`
	Comment     string                 `json:"comment"`
	Matchers    []string               `json:"matchers"`
	OrMatchers  [][]string             `json:"orMatchers,omitempty"`
	StartsAt    time.Time              `json:"startsAt,omitzero"`
	EndsAt      time.Time              `json:"endsAt,omitzero"`
	UpdatedAt   time.Time              `json:"updatedAt,omitzero"`
	Ended       grouping.SilenceEnd    `json:"ended"`
	Annotations grouping.Labels        `json:"annotations,omitzero"`
	LastChange  *silenceWriteView      `json:"lastChange,omitempty"`
	Expected    []grouping.Fingerprint `json:"expected"`
	Muted       []mutedView            `json:"muted"`
}

// silenceWriteView is the last change of a silence through Muster.
type silenceWriteView struct {
	Kind      grouping.EventKind `json:"kind"`
	By        string             `json:"by"`
	Verified  bool               `json:"verified"`
	At        time.Time          `json:"at"`
	Confirmed bool               `json:"confirmed"`
}

// silenceWithAlerts is a silence with the alerts that it names.
type silenceWithAlerts struct {
	silenceView

	Alerts []alertView `json:"alerts"`
}

// mutedView is an alert that a silence mutes or muted.
type mutedView struct {
	Fingerprint grouping.Fingerprint `json:"fingerprint"`
	Since       time.Time            `json:"since,omitzero"`
	LastSeen    time.Time            `json:"lastSeen,omitzero"`
	Active      bool                 `json:"active"`
}

func viewSilence(of *grouping.SilenceInfo) silenceView {
	v := silenceView{
		ID: of.ID, Source: of.Source, State: of.State, CreatedBy: of.CreatedBy, Comment: of.Comment, Matchers: []string{},
		StartsAt: of.StartsAt.UTC(), EndsAt: of.EndsAt.UTC(), UpdatedAt: of.ChangedAt().UTC(), Ended: of.End, Annotations: of.Annotations,
		Expected: []grouping.Fingerprint{}, Muted: []mutedView{},
	}
	if w := of.Write; w != nil {
		v.LastChange = &silenceWriteView{w.Kind, w.By.Name, w.By.Verified, w.At.UTC(), w.Confirmed}
	}
	for i, set := range of.MatcherSets {
		if i == 0 {
			v.Matchers = matcherTexts(set)
		} else {
			v.OrMatchers = append(v.OrMatchers, matcherTexts(set))
		}
	}
	// An alert counts once, even if it is in several groups.
	at := map[grouping.Fingerprint]int{}
	for _, m := range of.Muted {
		fp := m.Alert.Fingerprint
		one := mutedView{fp, m.Mute.Since.UTC(), m.LastSeen.UTC(), m.Mute.Active() && m.Alert.Status != grouping.StatusResolved}
		i, known := at[fp]
		if !known {
			at[fp] = len(v.Muted)
			v.Muted = append(v.Muted, one)
			continue
		}
		same := &v.Muted[i]
		same.Active = same.Active || one.Active
		if one.Since.Before(same.Since) {
			same.Since = one.Since
		}
		if one.LastSeen.After(same.LastSeen) {
			same.LastSeen = one.LastSeen
		}
	}
	expected := map[grouping.Fingerprint]bool{}
	for _, e := range of.Expected {
		fp := e.Alert.Fingerprint
		if i, known := at[fp]; expected[fp] || known && v.Muted[i].Active {
			continue
		}
		expected[fp] = true
		v.Expected = append(v.Expected, fp)
	}
	return v
}

func (d *Door) serveSilences(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	asked := params.Silences()
	if err := queryError(params, &asked.Filter); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	page, err := d.Groups.Silences(c.Request.Context(), asked.Query())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	d.streamJSON(c, 0, func(out *jsonStream) {
		out.writeRaw(`{"silences":[`)
		for i := range page.Silences {
			out.writeComma(i)
			out.writeValue(viewSilence(&page.Silences[i]))
		}
		out.writeRaw(`],"total":`)
		out.writeValue(page.Total)
		out.writeNext(page.Next)
	})
}

func (d *Door) serveSilence(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	source := params.Text("source")
	if err := params.Err(); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	of, err := d.Groups.Silence(c.Request.Context(), source, c.Param("id"))
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	v := silenceWithAlerts{viewSilence(&of), []alertView{}}
	seen := map[grouping.Fingerprint]bool{}
	add := func(e grouping.ExpectedAlert) {
		if !seen[e.Alert.Fingerprint] {
			seen[e.Alert.Fingerprint] = true
			v.Alerts = append(v.Alerts, viewAlert(e.Group, e.Alert, d.Groups))
		}
	}
	for _, m := range of.Muted {
		add(m.ExpectedAlert)
	}
	for _, e := range of.Expected {
		add(e)
	}
	d.respondJSON(c, v)
}
