package templates

// KeyHelp is a key and what it does.
type KeyHelp struct{ Key, Does string }

var keys = []KeyHelp{
	{"/", "go to the filter"},
	{"j  k", "next row, previous row"},
	{"Enter", "open the row"},
	{"g", "all groups"},
	{"u", "back to the list"},
	{"m", "silences"},
	{"h", "history"},
	{"e", "report"},
	{"o", "runbook"},
	{"s", "silence"},
	{"a", "to the field that acknowledges the group"},
	{"n", "to the field for a note"},
	{"y", "copy the link of the page"},
	{"t", "switch between UTC and local time"},
	{"r", "refresh"},
	{"p", "pause live updates"},
	{"-", "15 minutes back"},
	{"[  ]", "previous event, next event, in a past state"},
	{"0", "back to now"},
	{"w", "wall view"},
	{"?", "this help"},
	{"Esc", "leave the field or close"},
}

// Word explains a word that pages use. Marks link to it by its ID.
type Word struct{ ID, Word, Does string }

// HelpPage explains the words, filters, keys and links.
type HelpPage struct {
	Frame

	Filters   []KeyHelp // example and meaning
	Words     []Word
	Templates []LinkTemplate
	Setup     Setup
}

// LinkTemplate is a notification template that links to a group. It contains the
// source if there are several, because Alertmanager does not know its source.
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
	for _, source := range sortedKeys(s.Totals.Sources) {
		out = append(out, LinkTemplate{source, text(source)})
	}
	return out
}

// NewHelpPage makes the help page.
func NewHelpPage(s *Site) *HelpPage {
	return &HelpPage{
		Frame: s.newFrame("help", "Help"),
		Filters: []KeyHelp{
			{`namespace="payments"`, "groups with an alert that has exactly this label value"},
			{`severity=~"critical|warning"`, "the whole label value matches the regular expression"},
			{`cluster!="dev", team!~"test.*"`, "several matchers, separated by commas: one alert must match all of them"},
			{`"service.name"="checkout"`, "a label name can be quoted"},
			{`checkout timeout`, "words without an operator search in names, label values and annotations"},
		},
		Words: []Word{
			{"firing", "firing", "Alertmanager reports the alert as active."},
			{"resolved", "resolved", "Alertmanager reported the end of the alert."},
			{"suppressed", "suppressed", "The alert fires, but Alertmanager sends no notifications about it: " +
				"a silence, another alert (inhibition) or a time interval of the route mutes it. Muster knows which."},
			{"unreported", "unreported", "The alert was firing, then a complete notification omitted it. " +
				"Its end was not reported. Something mutes it, or Alertmanager lost it: the cause is not known. " +
				"If somebody closed its group, the group says so instead."},
			{"not-notified", "not notified", "Alertmanager knows this alert and has not notified about it yet."},
			{"gone", "not in Alertmanager", "The API of Alertmanager no longer lists the alert, and nobody reported its end. " +
				"It ended between the two times."},
			{"silence", "silence", "Somebody mutes all alerts that match its matchers until its end. " +
				"Alertmanager does not verify the name of its creator."},
			{"inhibition", "inhibited", "Another alert that fires mutes the alert."},
			{"interval", "time interval", "A schedule of the route mutes the alert. " +
				"Alertmanager does not say whether it is muted within the interval or outside of it."},
			{"delivery", "no delivery seen", "The event recorder reported no delivery to this receiver. " +
				"Events can be lost, so it does not mean that the delivery failed."},
			{"acknowledged", "acknowledged", "Somebody took care of the group. The list shows it below the others. This ends with the episode of " +
				"the group, at the time that was set, or if somebody undoes it."},
			{"new-since", "new since", "Alerts began to fire after somebody acknowledged the group. So the list shows it among the others again."},
			{"not-verified", "not verified", "Somebody typed the name. Muster cannot tell whether it is theirs."},
			{"closed-by", "closed by", "Somebody closed a group that its sender never closes. Its firing alerts became unreported. " +
				"The next notification about it opens it again."},
			{"stale", "stale", "The group is firing, but no notification about it has arrived for a long time."},
			{"settling", "settling", "The first notification about the group has just arrived. " +
				"Alertmanager reports further alerts after group_interval."},
			{"truncated", "truncated", "Alertmanager's max_alerts or a limit of Muster truncated the notification. " +
				"The counts are minimums."},
			{"disagree", "Alertmanagers disagree", "One replica reports an alert as firing, another reports it as resolved."},
			{"flapping", "flapping", "An alert started firing at least 4 times within the last hour."},
			{"often", "4th in 7 days", "The group fires for the fourth time within seven days. " +
				"Its page says more. Rows say so from the third time on."},
			{"longer", "longer than usual", "The alert or the group fires for longer than 90 % of its earlier episodes did."},
			{"before-restart", "before restart", "Restored from the storage. No notification has arrived since Muster started."},
			{"future", "starts in the future", "The start time of the alert is ahead of Muster's clock. " +
				"Muster counts its age from the time of the report."},
			{"episode", "episode", "One firing of an alert, from its start to its end."},
		},
		Templates: linkTemplates(s),
		Setup:     *newSetup(s),
	}
}
