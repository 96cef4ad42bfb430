package api

import (
	"maps"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/version"

	"muster/grouping"
	"muster/internal/reply"
)

// v2Status says what Muster is, in the form of Alertmanager.
type v2Status struct {
	Cluster     v2Cluster `json:"cluster"`
	Config      v2Config  `json:"config"`
	Uptime      string    `json:"uptime"`
	VersionInfo v2Version `json:"versionInfo"`
}

type v2Cluster struct {
	Peers  []string `json:"peers"`
	Status string   `json:"status"`
}

type v2Config struct {
	Original string `json:"original"`
}

type v2Version struct {
	Branch    string `json:"branch"`
	BuildDate string `json:"buildDate"`
	BuildUser string `json:"buildUser"`
	GoVersion string `json:"goVersion"`
	Revision  string `json:"revision"`
	Version   string `json:"version"`
}

func (d *Door) serveV2Status(c *gin.Context) {
	receivers, ok := d.v2ReceiverNames(c)
	if !ok {
		return
	}
	d.respondJSON(c, v2Status{
		Cluster: v2Cluster{Peers: []string{}, Status: "disabled"},
		Config:  v2Config{Original: v2Configuration(receivers)},
		Uptime:  d.startedAt.UTC().Format(v2Time),
		VersionInfo: v2Version{
			Branch: version.Branch, BuildDate: version.BuildDate, BuildUser: version.BuildUser, GoVersion: version.GoVersion,
			Revision: version.GetRevision(), Version: version.Version,
		},
	})
}

// v2Configuration returns a configuration with the receivers, which clients want to be able to
// read. The one of Alertmanager can have secrets.
func v2Configuration(receivers []string) string {
	if len(receivers) == 0 {
		receivers = []string{"none"}
	}
	var e encoder
	e.string("route:\n  receiver: ", receivers[0]) // a JSON string is a YAML string
	e.raw("\nreceivers:\n")
	for _, receiver := range receivers {
		e.string("- name: ", receiver)
		e.raw("\n")
	}
	return string(e.text)
}

// v2Receiver is a receiver with its labels, of which Muster knows the name.
type v2Receiver struct {
	Labels map[string]string `json:"labels"`
	Name   string            `json:"name"`
}

func (d *Door) serveV2Receivers(c *gin.Context) {
	params := parseV2Params(c)
	matchers := params.matchers("receiver_matchers", "failed to parse receiver_matchers param: ")
	if params.answered(c) {
		return
	}
	names, ok := d.v2ReceiverNames(c)
	if !ok {
		return
	}
	receivers := []v2Receiver{}
	for _, name := range names {
		if grouping.AllMatch(matchers, receiverLabels(name)) {
			receivers = append(receivers, v2Receiver{map[string]string{"name": name}, name})
		}
	}
	d.respondJSON(c, receivers)
}

// v2ReceiverNames returns the sorted names of the receivers of the source of a request, or
// answers it and returns false.
func (d *Door) v2ReceiverNames(c *gin.Context) (names []string, ok bool) {
	groups, err := d.Groups.All(c.Request.Context())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return nil, false
	}
	source, known := c.Param("source"), map[string]bool{}
	for _, g := range groups {
		if source == "" || g.Source == source {
			known[g.Receiver] = true
		}
	}
	return slices.Sorted(maps.Keys(known)), true
}
