package templates

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Links builds every address that a page names.
type Links struct {
	// Prefix is the path under which Muster is served: empty, or with a leading
	// and without a trailing slash.
	Prefix string
	// External is the scheme and host under which readers reach Muster, without
	// a trailing slash and without the prefix: what permalinks that leave the
	// page begin with.
	External string
	// Alertmanager, where it is set, stands for the external URL that an
	// Alertmanager gives, which may be an inner host name.
	Alertmanager string
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

// Home is the list of groups.
func (l Links) Home() string { return l.Prefix + "/" }

// Groups is the list of groups as the view selects it.
func (l Links) Groups(v View) string { return l.Home() + v.encode() }

// longestFilter bounds the addresses that Muster makes from label values: what
// is longer is refused by servers, Muster's own among them.
const maxLinkLength = 8 << 10

// groupsWith is the list with one more matcher; "" if that is too long.
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

// Group is a group's page, its permalink.
func (l Links) Group(id grouping.ID) string { return l.path("groups", string(id)) }

// GroupJSON is a group as JSON.
func (l Links) GroupJSON(id grouping.ID) string { return l.path("api", "v1", "groups", string(id)) }

// Alert is the page of one alert.
func (l Links) Alert(fp grouping.Fingerprint) string { return l.path("alerts", string(fp)) }

// AlertOf is the page of one alert of a source; "" is every source.
func (l Links) AlertOf(fp grouping.Fingerprint, source string) string {
	return l.Alert(fp) + sourceQuery(source)
}

func sourceQuery(source string) string {
	q := make(parameters, 0, 1)
	q.add("source", source)
	return q.String()
}

// AlertJSON is an alert of a source as JSON; "" is every source.
func (l Links) AlertJSON(fp grouping.Fingerprint, source string) string {
	return l.path("api", "v1", "alerts", string(fp)) + sourceQuery(source)
}

// History is the history as the view selects it.
func (l Links) History(v HistoryView) string { return l.path("history") + v.encode() }

// Status is the status page.
func (l Links) Status() string { return l.path("status") }

// Help is the help page.
func (l Links) Help() string { return l.path("help") }

// Word is the explanation of a word on the help page.
func (l Links) Word(id string) string { return l.Help() + "#" + id }

// Live is the stream of server-sent events.
func (l Links) Live() string { return l.path("api", "v1", "live") }

// Go is where links from notification templates lead.
func (l Links) Go() string { return l.path("go") }

// unknownOrigin stands for the address of Muster where nobody said it: what is
// copied into a configuration must be an address.
const exampleOrigin = "http://muster.example.net:9095"

// Known reports whether it is known how others reach Muster.
func (l Links) Known() bool { return l.External != "" }

// Configured is a path's address for use in a configuration.
func (l Links) Configured(path string) string { return cmp.Or(l.External, exampleOrigin) + path }

// Webhook is the absolute address that Alertmanager posts to.
func (l Links) Webhook() string { return l.Configured(l.path("webhook")) }

// Absolute is a page's address for use outside of it.
func (l Links) Absolute(path string) string { return l.External + path }

// Silence is the form in Alertmanager that makes a silence, filled with
// matchers for these labels and with a comment; empty where the Alertmanager's
// address cannot be linked to.
func (l Links) Silence(alertmanager string, of grouping.Labels, comment string) string {
	if l.Alertmanager != "" {
		alertmanager = l.Alertmanager
	}
	base, ok := webLink(alertmanager)
	if !ok {
		return ""
	}
	base, _, _ = strings.Cut(base, "#")
	base, _, _ = strings.Cut(base, "?")
	matchers := make([]string, 0, len(of))
	for _, name := range of.Names() {
		matchers = append(matchers, equals(name, of[name]).String())
	}
	return strings.TrimRight(base, "/") + "/#/silences/new?filter=" + escape("{"+strings.Join(matchers, ", ")+"}") +
		"&comment=" + escape(comment)
}

// escape writes a space as %20, never as +: Alertmanager's form reads the
// address as decodeURIComponent does, and drops what it cannot read.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// equals is the matcher name="value". Unlike labels.NewMatcher it cannot fail.
func equals(name, value string) *labels.Matcher {
	return &labels.Matcher{Type: labels.MatchEqual, Name: name, Value: value}
}

// webLink returns s if it can be shown as a link: an absolute http or https
// URL with a host and without credentials. Everything else stays text.
func webLink(s string) (string, bool) {
	const longest = 8 << 10 // browsers and proxies cut or refuse longer ones
	s = strings.TrimSpace(s)
	if len(s) > longest || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	return s, true
}
