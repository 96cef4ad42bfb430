package api

import (
	"time"

	"muster/grouping"
)

// sourceStatusView says what Muster receives from a source.
type sourceStatusView struct {
	Source   string             `json:"source"`
	Webhook  webhookStatusView  `json:"webhook"`
	Recorder recorderStatusView `json:"recorder"`
	Poller   []pollerStatusView `json:"poller"`
}

type webhookStatusView struct {
	LastAt time.Time `json:"lastAt,omitzero"`
}

type recorderStatusView struct {
	LastAt    time.Time            `json:"lastAt,omitzero"`
	Instances []instanceStatusView `json:"instances"`
	Missing   int                  `json:"missing"`
}

type instanceStatusView struct {
	Instance    string    `json:"instance"`
	Version     string    `json:"version"`
	LastAt      time.Time `json:"lastAt,omitzero"`
	SkewSeconds float64   `json:"skewSeconds"`
}

type pollerStatusView struct {
	URL    string    `json:"url"`
	LastAt time.Time `json:"lastAt,omitzero"`
	Error  string    `json:"error"`
}

func viewSources(reports []grouping.SourceReport) []sourceStatusView {
	views := make([]sourceStatusView, 0, len(reports))
	for _, r := range reports {
		v := sourceStatusView{
			Source: r.Source, Webhook: webhookStatusView{r.Webhook.LastAt.UTC()}, Poller: []pollerStatusView{},
			Recorder: recorderStatusView{LastAt: r.Recorder.LastAt.UTC(), Instances: []instanceStatusView{}, Missing: r.Recorder.Missing},
		}
		for _, i := range r.Recorder.Instances {
			v.Recorder.Instances = append(v.Recorder.Instances, instanceStatusView{i.Instance, i.Version, i.LastAt.UTC(), i.Skew.Seconds()})
		}
		for _, p := range r.Pollers {
			v.Poller = append(v.Poller, pollerStatusView{p.URL, p.LastAt.UTC(), p.Err})
		}
		views = append(views, v)
	}
	return views
}
