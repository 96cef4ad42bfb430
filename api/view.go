package api

import (
	"time"

	"muster/grouping"
)

// The types of the JSON API. Times are RFC 3339; fields of unknown times are
// omitted.

// GroupView is a group as the API answers it.
type GroupView struct {
	ID                grouping.ID     `json:"id"`
	Source            string          `json:"source"`
	Receiver          string          `json:"receiver"`
	GroupKey          string          `json:"groupKey"`
	GroupLabels       grouping.Labels `json:"groupLabels"`
	CommonLabels      grouping.Labels `json:"commonLabels"`
	CommonAnnotations grouping.Labels `json:"commonAnnotations"`
	RouteLabels       grouping.Labels `json:"routeLabels"`
	ExternalURL       string          `json:"externalURL"`
	State             grouping.State  `json:"state"`
	Settling          bool            `json:"settling"`
	Stale             bool            `json:"stale"`
	Truncated         uint64          `json:"truncated"`
	Counts            grouping.Counts `json:"counts"`
	CreatedAt         time.Time       `json:"createdAt,omitzero"`
	UpdatedAt         time.Time       `json:"updatedAt,omitzero"`
	LastNotifiedAt    time.Time       `json:"lastNotifiedAt,omitzero"`
	ResolvedAt        time.Time       `json:"resolvedAt,omitzero"`
	Notifications     int64           `json:"notifications"`
	LastReason        string          `json:"lastReason,omitempty"`
	Version           int64           `json:"version"`
	Episode           grouping.Stamp  `json:"episode,omitempty"`
	ClosedBy          *closingView    `json:"closedBy,omitempty"`
	Ack               *ackView        `json:"ack,omitempty"`
	Notes             []noteView      `json:"notes,omitempty"`
	Episodes          []episodeView   `json:"episodes"`
	Alerts            []alertView     `json:"alerts,omitempty"`
}

// goneView is the data of a live update for a removed group.
type goneView struct {
	ID grouping.ID `json:"id"`
}

type episodeView struct {
	StartsAt time.Time `json:"startsAt,omitzero"`
	EndsAt   time.Time `json:"endsAt,omitzero"`
}

type alertView struct {
	Fingerprint  grouping.Fingerprint `json:"fingerprint"`
	Status       grouping.Status      `json:"status"`
	Labels       grouping.Labels      `json:"labels"`
	Annotations  grouping.Labels      `json:"annotations"`
	GeneratorURL string               `json:"generatorURL"`
	SilenceURL   string               `json:"silenceURL,omitempty"`
	DashboardURL string               `json:"dashboardURL,omitempty"`
	PanelURL     string               `json:"panelURL,omitempty"`
	Values       map[string]float64   `json:"values,omitempty"`
	ValueString  string               `json:"valueString,omitempty"`
	StartsAt     time.Time            `json:"startsAt,omitzero"`
	EndsAt       time.Time            `json:"endsAt,omitzero"`
	FirstSeenAt  time.Time            `json:"firstSeenAt,omitzero"`
	LastSeenAt   time.Time            `json:"lastSeenAt,omitzero"`
	Disputed     bool                 `json:"disputed,omitempty"`
	Notified     bool                 `json:"notified"`
	EndsBetween  []time.Time          `json:"endsBetween,omitempty"`
	Mutes        []muteView           `json:"mutes"`
	Episodes     []episodeView        `json:"episodes"`
}

// viewGroup converts a group without its alerts, and without its notes if these are not
// wanted. A stream writes the alerts one by one. Acknowledgements are those that count now.
func viewGroup(g *grouping.AlertGroup, now time.Time, withNotes bool) GroupView {
	v := GroupView{
		ID: g.ID, Source: g.Source, Receiver: g.Receiver, GroupKey: g.GroupKey,
		GroupLabels: g.GroupLabels, CommonLabels: g.CommonLabels,
		CommonAnnotations: g.CommonAnnotations, RouteLabels: g.RouteLabels,
		ExternalURL: g.ExternalURL, State: g.State, Settling: g.Settling, Stale: g.Stale, Truncated: g.Truncated,
		Counts: g.Counts, CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt, LastNotifiedAt: g.LastNotifiedAt,
		ResolvedAt: g.ResolvedAt(), Notifications: g.Notifications, LastReason: g.LastReason, Version: g.Version,
		Episode: g.Opened, ClosedBy: viewClosing(g), Ack: viewAck(g, now), Episodes: viewEpisodes(g.Episodes()),
	}
	if withNotes {
		v.Notes = viewNotes(g)
	}
	return v
}

func viewAlert(g *grouping.AlertGroup, a *grouping.Alert, of muteDetails) alertView {
	lastSeen, _ := g.LastSeen(a)
	v := alertView{
		Fingerprint: a.Fingerprint, Status: a.ShownStatus(), Labels: a.Labels, Annotations: a.Annotations,
		GeneratorURL: a.GeneratorURL, StartsAt: a.StartsAt.UTC(), EndsAt: a.EndsAt.UTC(), FirstSeenAt: a.FirstSeenAt,
		LastSeenAt: lastSeen, Disputed: a.Disputed, Notified: !a.Unnotified, EndsBetween: endsBetween(a),
		Mutes: viewMutes(g.Source, a, of), Episodes: viewEpisodes(a.Episodes()),
	}
	if from := a.Grafana; from != nil {
		v.SilenceURL, v.DashboardURL, v.PanelURL = from.SilenceURL, from.DashboardURL, from.PanelURL
		v.Values, v.ValueString = from.Values, from.ValueString
	}
	return v
}

func viewEpisodes(episodes []grouping.Episode) []episodeView {
	views := make([]episodeView, 0, len(episodes))
	for _, e := range episodes {
		views = append(views, episodeView{e.StartsAt.UTC(), e.EndsAt.UTC()})
	}
	return views
}

type eventView struct {
	ID          string               `json:"id"`
	Time        time.Time            `json:"time"`
	Kind        grouping.EventKind   `json:"kind"`
	GroupID     grouping.ID          `json:"groupId"`
	Source      string               `json:"source"`
	Receiver    string               `json:"receiver"`
	Fingerprint grouping.Fingerprint `json:"fingerprint,omitempty"`
	Labels      grouping.Labels      `json:"labels"`
	Was         grouping.Status      `json:"was,omitempty"`
	StartsAt    time.Time            `json:"startsAt,omitzero"`
	EndsAt      time.Time            `json:"endsAt,omitzero"`
	Reason      string               `json:"reason,omitempty"`
	ExternalURL string               `json:"externalURL,omitempty"`
	Firing      *int                 `json:"firing,omitempty"`
	Resolved    *int                 `json:"resolved,omitempty"`
	Truncated   *uint64              `json:"truncated,omitempty"`
	Integration string               `json:"integration,omitempty"`
	Index       *uint64              `json:"index,omitempty"`
	Mute        *eventMuteView       `json:"mute,omitempty"`
	Silence     *silenceChangeView   `json:"silence,omitempty"`
	From        time.Time            `json:"from,omitzero"`
	To          time.Time            `json:"to,omitzero"`
	By          string               `json:"by,omitempty"`
	Verified    *bool                `json:"verified,omitempty"`
	Ack         string               `json:"ack,omitempty"`
	Note        string               `json:"note,omitempty"`
	Text        string               `json:"text,omitempty"`
	Until       time.Time            `json:"until,omitzero"`
}

func viewEvent(e *grouping.Event) eventView {
	n := e.Notification()
	view := eventView{
		ID: e.ID, Time: e.Time, Kind: e.Kind, GroupID: e.GroupID, Source: e.Source, Receiver: e.Receiver,
		Fingerprint: e.Fingerprint, Labels: e.Labels, Was: e.Was, StartsAt: e.StartsAt.UTC(), EndsAt: e.EndsAt.UTC(),
		Reason: n.Reason, ExternalURL: n.ExternalURL,
	}
	if e.Kind == grouping.EventNotified {
		view.Firing, view.Resolved, view.Truncated = &n.Firing, &n.Resolved, &n.Truncated
	}
	if d := e.Delivery; d != nil {
		view.Receiver, view.Integration, view.Index = d.Receiver, d.Integration, &d.Index
		view.Reason, view.Firing, view.Resolved = d.Reason, &d.Firing, &d.Resolved
	}
	if m := e.Mute; m != nil {
		view.Mute = viewEventMute(m)
	}
	if g := e.Gap; g != nil {
		view.From, view.To = g.From, g.To
	}
	if p := e.People; p != nil {
		view.By, view.Verified, view.Ack, view.Note, view.Text, view.Until = p.Name, &p.Verified, p.Ack, p.Note, p.Text, p.Until
	}
	if c := e.Silence; c != nil {
		view.Silence = &silenceChangeView{
			ID: c.ID, CreatedBy: c.CreatedBy, Comment: c.Comment, Matchers: matcherTexts(c.Matchers),
			StartsAt: c.StartsAt, EndsAt: c.EndsAt, OldEndsAt: c.OldEndsAt, Early: c.Early,
		}
		if c.By != nil {
			view.Silence.By, view.Silence.Verified = c.By.Name, c.By.Verified
		}
	}
	return view
}

type statsView struct {
	Groups           map[grouping.State]int  `json:"groups"`
	Alerts           map[grouping.Status]int `json:"alerts"`
	Receivers        map[string]int          `json:"receivers"`
	Acknowledged     int                     `json:"acknowledged"`
	Sources          map[string]sourceView   `json:"sources"`
	LastNotification time.Time               `json:"lastNotification,omitzero"`
}

type sourceView struct {
	Groups           int                  `json:"groups"`
	LastNotification time.Time            `json:"lastNotification,omitzero"`
	Alertmanagers    map[string]time.Time `json:"alertmanagers"`
}

func viewStats(t grouping.Totals) statsView {
	v := statsView{
		Groups: t.Groups, Alerts: t.Alerts, Receivers: t.Receivers, Acknowledged: t.Acknowledged,
		Sources: make(map[string]sourceView, len(t.Sources)), LastNotification: t.LastNotification,
	}
	for name, source := range t.Sources {
		v.Sources[name] = sourceView{source.Groups, source.LastNotification, source.Alertmanagers}
	}
	return v
}

type statusView struct {
	Build            buildView   `json:"build"`
	StartedAt        time.Time   `json:"startedAt"`
	UptimeSeconds    float64     `json:"uptimeSeconds"`
	Storage          storageView `json:"storage"`
	RestoredGroups   int         `json:"restoredGroups"`
	LastNotification time.Time   `json:"lastNotification,omitzero"`
	Problems         []string    `json:"problems,omitempty"`

	Sources []sourceStatusView `json:"sources"`
	Gaps    []gapView          `json:"gaps"`
}

// gapView is a time in which Muster was not running.
type gapView struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

func viewGaps(gaps []grouping.Gap) []gapView {
	views := make([]gapView, 0, len(gaps))
	for _, g := range gaps {
		views = append(views, gapView{g.From.UTC(), g.To.UTC()})
	}
	return views
}

type buildView struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

type storageView struct {
	Mode          string    `json:"mode"`
	Healthy       bool      `json:"healthy"`
	Reason        string    `json:"reason,omitempty"`
	DegradedSince time.Time `json:"degradedSince,omitzero"`
	DirtyGroups   int       `json:"dirtyGroups"`
	Partial       bool      `json:"partial"`
	Problems      []string  `json:"problems,omitempty"`
}
