package templates

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Links builds every URL that a page contains.
type Links struct {
	// Prefix is the path under which Muster is served. It is empty, or begins with a
	// slash and does not end with one.
	Prefix string
	// External is the scheme and host under which readers reach Muster, without a
	// trailing slash and without the prefix. Permalinks for use outside of a page
	// begin with it. It is empty if it is not known.
	External string
	// At is the parameter at of the pages of a past state, or "" for the present. Links to
	// pages without such a parameter ignore it.
	At string
}

// Now returns the links of the present.
func (l Links) Now() Links {
	l.At = ""
	return l
}

// Then returns the links of a past state.
func (l Links) Then(at time.Time) Links {
	l.At = formatAt(at)
	return l
}

// formatAt writes a time as the parameter at. Two writes can be a millisecond apart.
func formatAt(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.999Z07:00") }

// timed adds the time of the past state to a URL.
func (l Links) timed(href string) string {
	switch {
	case l.At == "":
		return href
	case strings.Contains(href, "?"):
		return href + "&at=" + l.At
	default:
		return href + "?at=" + l.At
	}
}

// NewLinks returns the links of a Muster that is served under the prefix.
func NewLinks(external, prefix string) Links {
	prefix = strings.Trim(prefix, "/")
	if prefix != "" {
		prefix = "/" + prefix
	}
	return Links{Prefix: prefix, External: strings.TrimRight(external, "/")}
}

func (l Links) path(parts ...string) string {
	var b strings.Builder
	b.WriteString(l.Prefix)
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// Home is the list of groups, without a query.
func (l Links) Home() string { return l.Prefix + "/" }

// Groups is the list of groups that the view selects.
func (l Links) Groups(v View) string { return l.timed(l.Home() + v.encode()) }

// maxLinkLength is the maximum length of a URL that Muster makes from label
// values. Web servers reject longer URLs, and so does Muster.
const maxLinkLength = 8 << 10

// groupsWith is the list with one more matcher. It is "" if the URL would be too
// long.
func (l Links) groupsWith(v View, m *matcher) string {
	if len(m.Value) > maxLinkLength {
		return ""
	}
	href := l.Groups(v.with(m))
	if len(href) > maxLinkLength {
		return ""
	}
	return href
}

// AllGroups is the list of groups.
func (l Links) AllGroups() string { return l.timed(l.Home()) }

// Group is a group's page. It is the group's permalink.
func (l Links) Group(id grouping.ID) string { return l.GroupOf(id, GroupView{Range: rangeEpisode}) }

// GroupOf is a group's page as the view selects it.
func (l Links) GroupOf(id grouping.ID, v GroupView) string {
	return l.timed(l.path("groups", string(id)) + v.encode())
}

// GroupJSON is a group as JSON.
func (l Links) GroupJSON(id grouping.ID) string {
	return l.timed(l.path("api", "v1", "groups", string(id)))
}

// Ack is where the form posts that acknowledges a group. It and the next ones are of the present
// only.
func (l Links) Ack(id grouping.ID) string { return l.path("groups", string(id), "ack") }

// AckAll is the page that acknowledges all groups of a view, and where its form posts.
func (l Links) AckAll(v View) string { return l.path("ack") + v.encode() }

// Unack is where the form posts that undoes an acknowledgement.
func (l Links) Unack(id grouping.ID) string { return l.path("groups", string(id), "unack") }

// Notes is where the form posts that adds a note to a group.
func (l Links) Notes(id grouping.ID) string { return l.path("groups", string(id), "notes") }

// CloseGroup is where the form posts that closes a group.
func (l Links) CloseGroup(id grouping.ID) string { return l.path("groups", string(id), "close") }

// Postmortem is a report about the last episode of a group as Markdown. The last one is that
// before the time of a past state.
func (l Links) Postmortem(id grouping.ID) string {
	var q parameters
	q.add("until", l.At)
	return l.path("groups", string(id), "postmortem.md") + q.String()
}

// Alert is the page of one alert.
func (l Links) Alert(fp grouping.Fingerprint) string { return l.AlertView(fp, AlertView{}) }

// AlertView is the page of one alert as the view selects it.
func (l Links) AlertView(fp grouping.Fingerprint, v AlertView) string {
	return l.timed(l.path("alerts", string(fp)) + v.encode())
}

// AlertOf is the page of one alert of a source. An empty source selects every
// source.
func (l Links) AlertOf(fp grouping.Fingerprint, source string) string {
	return l.AlertView(fp, AlertView{Source: source})
}

func sourceQuery(source string) string {
	q := make(parameters, 0, 1)
	q.add("source", source)
	return q.String()
}

// AlertJSON is an alert of a source as JSON. An empty source selects every source.
func (l Links) AlertJSON(fp grouping.Fingerprint, source string) string {
	return l.timed(l.path("api", "v1", "alerts", string(fp)) + sourceQuery(source))
}

// History is the history that the view selects.
func (l Links) History(v HistoryView) string { return l.path("history") + v.encode() }

// Silences is the list of silences.
func (l Links) Silences() string { return l.path("silences") }

// SilencesOf is the list of the silences that the view selects.
func (l Links) SilencesOf(v SilencesView) string { return l.Silences() + v.encode() }

// SilenceJSON is a silence of a source as JSON.
func (l Links) SilenceJSON(id, source string) string {
	return l.path("api", "v1", "silences", id) + sourceQuery(source)
}

// SilenceOf is the page of a silence of a source. An empty source selects every source.
func (l Links) SilenceOf(id, source string) string {
	return l.path("silences", id) + sourceQuery(source)
}

// NewSilence is the form for a new silence.
func (l Links) NewSilence() string { return l.path("silences", "new") }

// ExtendSilence is the target of the form that changes the end of a silence.
func (l Links) ExtendSilence(id string) string { return l.path("silences", id, "extend") }

// ExpireSilence is the target of the form that ends a silence now.
func (l Links) ExpireSilence(id string) string { return l.path("silences", id, "expire") }

// Status is the status page.
func (l Links) Status() string { return l.path("status") }

// Help is the help page.
func (l Links) Help() string { return l.path("help") }

// Word is the explanation of a word on the help page.
func (l Links) Word(id string) string { return l.Help() + "#" + id }

// Live is the stream of server-sent events.
func (l Links) Live() string { return l.path("api", "v1", "live") }

// Go is the target of the links in notification templates.
func (l Links) Go() string { return l.path("go") }

// exampleOrigin stands for the address of Muster if it is not known, because a
// configuration needs a complete URL.
const exampleOrigin = "http://muster.example.net:9095"

// Known reports whether Muster knows the address under which readers reach it.
func (l Links) Known() bool { return l.External != "" }

// Configured returns the URL of a path for a configuration.
func (l Links) Configured(path string) string { return cmp.Or(l.External, exampleOrigin) + path }

// Webhook is the URL that Alertmanager posts to.
func (l Links) Webhook() string { return l.Configured(l.path("webhook")) }

// Absolute returns the URL of a path for use outside of a page.
func (l Links) Absolute(path string) string { return l.External + path }

// Silence is Alertmanager's form for a new silence, filled with matchers for the
// labels and a comment. It is empty if the address of the Alertmanager is not a
// safe link.
func (l Links) Silence(alertmanager string, of grouping.Labels, comment string) string {
	base, ok := webLink(alertmanager)
	if !ok {
		return ""
	}
	base, _, _ = strings.Cut(base, "#")
	base, _, _ = strings.Cut(base, "?")
	matchers := make([]string, 0, of.Len())
	for name, value := range of.All() {
		matchers = append(matchers, equals(name, value).String())
	}
	return strings.TrimRight(base, "/") + "/#/silences/new?filter=" + escape("{"+strings.Join(matchers, ", ")+"}") +
		"&comment=" + escape(comment)
}

// escape escapes a query parameter. It writes a space as %20, because the form of
// Alertmanager does not read + as a space.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// equals returns the matcher name="value". Unlike labels.NewMatcher it cannot
// fail.
func equals(name, value string) *labels.Matcher {
	return &labels.Matcher{Type: labels.MatchEqual, Name: name, Value: value}
}

// webLink returns s if it is safe to show as a link: an absolute http or https URL
// with a host and without credentials. Pages show everything else as text.
func webLink(s string) (string, bool) {
	const maximum = 8 << 10 // bytes; browsers and proxies truncate or reject longer URLs
	s = strings.TrimSpace(s)
	if len(s) > maximum || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	return s, true
}
