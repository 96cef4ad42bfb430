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

// HelpPage explains filters, keys, words and links.
type HelpPage struct {
	Frame

	Filters  []KeyHelp // example and meaning
	Words    []KeyHelp
	Template string // leads from a notification template to a group
	Setup    Setup
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
		Words: []KeyHelp{
			{"firing", "Alertmanager reports the alert as active"},
			{"resolved", "Alertmanager said that it is over"},
			{"unreported", "it was firing, and then a complete notification left it out: silenced, inhibited or forgotten. Nobody said that it is over"},
			{"stale", "the group fires, but nobody has mentioned it for long"},
			{"settling", "the group is new and inside its group_wait"},
			{"truncated", "Alerts were cut from the notification, by Alertmanager's max_alerts or by a limit of Muster: counts are lower bounds"},
			{"Alertmanagers disagree", "one replica says firing, another resolved, about the same alert"},
			{"before restart", "known from the storage; no notification since Muster started"},
			{"episode", "one firing, from its start to its end"},
		},
		Template: `{{ define "muster.link" }}` + s.Links.Absolute(s.Links.Go()) +
			`?receiver={{ .Receiver | urlquery }}{{ range .GroupLabels.SortedPairs }}&l={{ .Name | urlquery }}%3D{{ .Value | urlquery }}{{ end }}{{ end }}`,
		Setup: *newSetup(s.Links),
	}
}
