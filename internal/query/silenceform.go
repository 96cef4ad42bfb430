package query

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"muster/grouping"
)

// How long a new silence lasts: one of the presets, or what another field says.
const (
	DefaultSilenceFor = "2h"
	SilenceForUntil   = "until"
	SilenceForOther   = "other"
)

// SilencePresets are the durations that the form for a new silence offers.
func SilencePresets() []string { return []string{"30m", "1h", DefaultSilenceFor, "4h", "8h", "24h"} }

// maxSilenceComment is the maximum number of characters of a comment. Every list of silences
// shows its beginning.
const maxSilenceComment = 1000

// SilenceForm has the fields of the form for a new silence, as a person filled them in.
type SilenceForm struct {
	Filter

	Source    string
	Group     grouping.ID // the group that the person came from, or ""
	For       string
	Until     string // of the field with a date
	Length    string // of the field with a duration
	Comment   string
	By        string
	Previewed string // what the last preview showed
}

// HasMatchers reports whether the form has matchers, and nothing else in their field.
func (f *SilenceForm) HasMatchers() bool {
	return f.Err == nil && len(f.Matchers) > 0 && len(f.Words) == 0
}

// ParseSilenceForm reads the query of the form, or its body.
func ParseSilenceForm(values url.Values) SilenceForm {
	f := SilenceForm{
		Filter: ParseFilter(values["filter"]), Source: values.Get("source"), Group: grouping.ID(values.Get("group")), For: values.Get("for"),
		Until: values.Get("until"), Length: strings.TrimSpace(values.Get("length")), By: strings.TrimSpace(values.Get("by")),
		Comment: strings.TrimSpace(strings.ReplaceAll(values.Get("comment"), "\r\n", "\n")), Previewed: values.Get("previewed"),
	}
	if !f.Group.Valid() || f.Group.IsSource() {
		f.Group = ""
	}
	if !slices.Contains(append(SilencePresets(), SilenceForUntil, SilenceForOther), f.For) {
		f.For = DefaultSilenceFor
	}
	return f
}

// ParseExtendForm reads the body of the form for another end. A typed duration, which counts from now,
// or a typed time wins over the choice.
func ParseExtendForm(values url.Values) SilenceForm {
	f := SilenceForm{For: SilenceForUntil, Until: strings.TrimSpace(values.Get("at")), Length: strings.TrimSpace(values.Get("length"))}
	switch {
	case f.Length != "":
		f.For = SilenceForOther
	case f.Until == "":
		f.Until = values.Get("until")
	}
	return f
}

// End returns when the silence ends if it begins now. Otherwise it returns a sentence.
func (f *SilenceForm) End(now time.Time) (end time.Time, problem string) {
	text := f.For
	switch f.For {
	case SilenceForUntil:
		if f.Until == "" {
			return end, "Choose the time at which it ends."
		}
		at, ok := parseTime(f.Until, now)
		if _, err := model.ParseDuration(strings.TrimPrefix(f.Until, "-")); !ok || err == nil {
			return end, quote(f.Until) + " is not a time such as 2006-01-02 15:04."
		}
		if !at.After(now) {
			return end, "It must end in the future. It is " + now.UTC().Format("2006-01-02 15:04") + " UTC."
		}
		return at, checkEnd(at, now)
	case SilenceForOther:
		if text = f.Length; text == "" {
			return end, "Say how long it lasts, such as 90m or 3d."
		}
	}
	d, err := model.ParseDuration(text)
	if err != nil || d <= 0 {
		return end, quote(text) + " is not a duration such as 90m or 3d."
	}
	at := now.Add(time.Duration(d))
	return at, checkEnd(at, now)
}

// checkEnd refuses an end that is so far away that it is a mistake.
func checkEnd(at, now time.Time) string {
	const maximum = 10 * 366 * 24 * time.Hour
	if at.Sub(now) > maximum {
		return "It would last more than ten years."
	}
	return ""
}

// MatcherProblem says in a sentence why the matchers are not those of a silence, or "". An error
// of the filter says it itself.
func (f *SilenceForm) MatcherProblem() string {
	switch {
	case f.Err != nil:
		return ""
	case len(f.Words) > 0:
		return "A silence needs matchers such as namespace=\"payments\": " + quote(strings.Join(f.Words, " ")) + " is not one."
	case len(f.Matchers) == 0:
		return "Every alert matches. Add a matcher."
	case grouping.MatchesEverything(f.Matchers):
		return "Every alert matches. Add a matcher that selects some of them."
	}
	for _, m := range f.Matchers {
		if !m.Matches("") {
			return ""
		}
	}
	return "At least one matcher must need a value: Alertmanager refuses a silence that alerts without these labels match."
}

// CommentProblem says in a sentence what is wrong with the comment, or "".
func (f *SilenceForm) CommentProblem() string {
	switch {
	case f.Comment == "":
		return "Say why, and name a ticket if there is one."
	case utf8.RuneCountInString(f.Comment) > maxSilenceComment:
		return "The comment has more than 1000 characters."
	case !utf8.ValidString(f.Comment):
		return "The comment is not valid UTF-8."
	}
	return ""
}

// Request returns a hash of what the person asked for.
func (f *SilenceForm) Request() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q %q", f.Source, f.Text(), f.For, f.Until, f.Length, f.Comment)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// SilenceMatchers returns the matchers as those of a silence.
func (f *SilenceForm) SilenceMatchers() []grouping.SilenceMatcher {
	out := make([]grouping.SilenceMatcher, 0, len(f.Matchers))
	for _, m := range f.Matchers {
		out = append(out, grouping.SilenceMatcher{Name: m.Name, Type: m.Type.String(), Value: m.Value})
	}
	return out
}
