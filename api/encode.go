package api

import (
	"encoding/json"
	"time"

	"muster/grouping"
)

// appendAlert appends the JSON of an alert. It is what package json writes, which needs
// several times as long. Alerts are nearly all of a long answer.
func appendAlert(text []byte, v *alertView) ([]byte, error) {
	if v.SilenceURL != "" || v.DashboardURL != "" || v.PanelURL != "" || len(v.Values) > 0 || v.ValueString != "" {
		return appendValue(text, v) // Grafana sent it
	}
	start := len(text)
	text = appendString(append(text, `{"fingerprint":`...), string(v.Fingerprint))
	text = appendString(append(text, `,"status":`...), string(v.Status))
	text = appendLabels(append(text, `,"labels":`...), v.Labels)
	text = appendLabels(append(text, `,"annotations":`...), v.Annotations)
	text = appendString(append(text, `,"generatorURL":`...), v.GeneratorURL)
	ok := true
	text = appendTime(text, `,"startsAt":`, v.StartsAt, &ok)
	text = appendTime(text, `,"endsAt":`, v.EndsAt, &ok)
	text = appendTime(text, `,"firstSeenAt":`, v.FirstSeenAt, &ok)
	text = appendTime(text, `,"lastSeenAt":`, v.LastSeenAt, &ok)
	if v.Disputed {
		text = append(text, `,"disputed":true`...)
	}
	text = append(text, `,"episodes":[`...)
	for i, e := range v.Episodes {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, '{')
		first := len(text)
		text = appendTime(text, `,"startsAt":`, e.StartsAt, &ok)
		text = appendTime(text, `,"endsAt":`, e.EndsAt, &ok)
		if len(text) > first {
			text = append(text[:first], text[first+1:]...) // the first comma
		}
		text = append(text, '}')
	}
	if !ok {
		return appendValue(text[:start], v) // an error
	}
	return append(text, "]}"...), nil
}

// appendTime appends a field with a time, if it is not zero. If the time cannot be
// encoded, it sets ok to false.
func appendTime(text []byte, name string, at time.Time, ok *bool) []byte {
	if at.IsZero() {
		return text
	}
	text, err := at.AppendText(append(append(text, name...), '"'))
	*ok = *ok && err == nil
	return append(text, '"')
}

// appendLabels appends an object with the labels.
func appendLabels(text []byte, l grouping.Labels) []byte {
	for i := range l {
		if !isPlain(l[i].Name) || !isPlain(l[i].Value) {
			text, _ = appendValue(text, l) // labels are always encodable
			return text
		}
	}
	text = append(text, '{')
	for i := range l {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, '"'), l[i].Name...), `":"`...)
		text = append(append(text, l[i].Value...), '"')
	}
	return append(text, '}')
}

// appendString appends a string.
func appendString(text []byte, s string) []byte {
	if !isPlain(s) {
		text, _ = appendValue(text, s) // strings are always encodable
		return text
	}
	return append(append(append(text, '"'), s...), '"')
}

// appendValue appends any value with package json.
func appendValue(text []byte, v any) ([]byte, error) {
	encoded, err := json.Marshal(v)
	return append(text, encoded...), err
}

// isPlain reports whether package json writes the string unchanged between quotes.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
