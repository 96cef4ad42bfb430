package templates

// KeyHelp is a key and what it does.
type KeyHelp struct{ Key, Does string }

var keys = []KeyHelp{
	{"/", "go to the filter"},
	{"j  k", "next, previous row"},
	{"Enter", "open the row"},
	{"g", "all groups"},
	{"u", "back to the list"},
	{"h", "history"},
	{"o", "runbook"},
	{"s", "silence in Alertmanager"},
	{"y", "copy the page's link"},
	{"t", "times in UTC or local"},
	{"r", "refresh"},
	{"p", "pause"},
	{"w", "wall view"},
	{"?", "this help"},
	{"Esc", "leave the field, close"},
}

// Word is a word that pages use and what it means. Marks link to it by its ID.
type Word struct{ ID, Word, Does string }

// HelpPage explains filters, keys, words and links.
type HelpPage struct {
	Frame

	Filters   []KeyHelp // example and meaning
	Words     []Word
	Templates []LinkTemplate
	Setup     Setup
}

// LinkTemplate leads from a notification template to a group. It names the
// source if there are several, since the template does not know it.
type LinkTemplate struct{ Source, Text string }

func linkTemplates(s *Site) []LinkTemplate {
	text := func(source string) string {
		if source != "" {
			source = "&source=" + escape(source)
		}
		return `{{ define "muster.link" }}` + s.Links.Configured(s.Links.Go()) + `?receiver={{ .Receiver | urlquery }}` + source +
			`{{ range .GroupLabels.SortedPairs }}&l={{ .Name | urlquery }}%3D{{ .Value | urlquery }}{{ end }}{{ end }}`
	}
	if !s.manySources() {
		return []LinkTemplate{{Text: text("")}}
	}
	var out []LinkTemplate
	for _, source := range sortedKeys(s.Summary.Sources) {
		out = append(out, LinkTemplate{source, text(source)})
	}
	return out
}

// NewHelpPage makes the help page.
func NewHelpPage(s *Site) *HelpPage {
	return &HelpPage{
		Frame: s.newFrame("help", "Help"),
		Filters: []KeyHelp{
			{`namespace="payments"`, "groups with an alert of which the label is exactly this"},
			{`severity=~"critical|warning"`, "the label matches the regular expression as a whole"},
			{`cluster!="dev", team!~"test.*"`, "several, joined by commas: all of them must hold for one alert"},
			{`"service.name"="checkout"`, "any name can be quoted"},
			{`checkout timeout`, "words without an operator are searched for in names, label values and annotations"},
		},
		Words: []Word{
			{"firing", "firing", "Alertmanager reports the alert as active"},
			{"resolved", "resolved", "Alertmanager reported its end"},
			{"unreported", "unreported", "it was firing, then a complete notification left it out: it is silenced, inhibited, or Alertmanager lost it. Nobody reported its end"},
			{"stale", "stale", "the group fires, but no notification about it has arrived for a long time"},
			{"settling", "settling", "the group's first notification arrived moments ago, when its group_wait was over. Alertmanager reports what joins later after group_interval"},
			{"truncated", "truncated", "alerts were cut from the notification, by Alertmanager's max_alerts or by a limit of Muster: counts are lower bounds"},
			{"disagree", "Alertmanagers disagree", "one replica says firing, another resolved, about the same alert"},
			{"flapping", "flapping", "an alert fired again at least 4 times within the last hour"},
			{"before-restart", "before restart", "known from the storage; no notification since Muster started"},
			{"future", "starts in the future", "the start that the sender gave lies ahead of Muster's clock: the age and the order count from when it was reported"},
			{"episode", "episode", "one firing, from its start to its end"},
		},
		Templates: linkTemplates(s),
		Setup:     *newSetup(s.Links),
	}
}
