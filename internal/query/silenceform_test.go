package query

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSilenceForm(t *testing.T) {
	f := ParseSilenceForm(url.Values{
		"filter": {`a="b"`, `c=~"d"`}, "source": {"prod"}, "group": {"0123456789abcdef0123"}, "for": {"4h"}, "comment": {" one\r\ntwo "},
	})
	require.Len(t, f.Matchers, 2)
	require.Equal(t, "one\ntwo", f.Comment)
	require.EqualValues(t, "0123456789abcdef0123", f.Group)
	require.Equal(t, "=~", f.SilenceMatchers()[1].Type)
	require.Equal(t, DefaultSilenceFor, ParseSilenceForm(url.Values{"for": {"1ms"}, "group": {"../x"}}).For)
	require.Empty(t, ParseSilenceForm(url.Values{"group": {"../x"}}).Group)
}

func TestEndOfASilence(t *testing.T) {
	now := time.Date(2026, 11, 26, 3, 14, 0, 0, time.UTC)
	for _, tc := range []struct{ form, until, length, want, problem string }{
		{"2h", "", "", "05:14", ""},
		{"4h", "2027-01-01T00:00", "90m", "07:14", ""},
		{"until", "2026-11-26T09:00", "", "09:00", ""},
		{"until", "2026-11-26 09:00", "", "09:00", ""},
		{"until", "", "", "", "Choose the time at which it ends."},
		{"until", "2026-11-26T03:14", "", "", "It must end in the future. It is 2026-11-26 03:14 UTC."},
		{"until", "1h", "", "", `"1h" is not a time such as 2006-01-02 15:04.`},
		{"until", "soon", "", "", `"soon" is not a time such as 2006-01-02 15:04.`},
		{"until", "9999-01-01T00:00", "", "", "It would last more than ten years."},
		{"other", "", "90m", "04:44", ""},
		{"other", "", "", "", "Say how long it lasts, such as 90m or 3d."},
		{"other", "", "0s", "", `"0s" is not a duration such as 90m or 3d.`},
		{"other", "", "-1h", "", `"-1h" is not a duration such as 90m or 3d.`},
		{"other", "", "11y", "", "It would last more than ten years."},
	} {
		f := SilenceForm{For: tc.form, Until: tc.until, Length: tc.length}
		end, problem := f.End(now)
		require.Equal(t, tc.problem, problem, tc)
		if tc.want != "" {
			require.Equal(t, tc.want, end.Format("15:04"))
		}
	}
}

func TestProblemsOfASilence(t *testing.T) {
	for text, want := range map[string]string{
		`a="b"`:             "",
		`a="b", c!="d"`:     "",
		"":                  "Every alert matches. Add a matcher.",
		"{}":                "Every alert matches. Add a matcher.",
		`alertname=~".+"`:   "Every alert matches. Add a matcher that selects some of them.",
		`a="b", word`:       `A silence needs matchers such as namespace="payments": "word" is not one.`,
		`a=""`:              "At least one matcher must need a value: Alertmanager refuses a silence that alerts without these labels match.",
		`a="`:               "", // the filter has an error
		`a!="b", a=~"x|"`:   "At least one matcher must need a value: Alertmanager refuses a silence that alerts without these labels match.",
		"<script>, " + "é ": `A silence needs matchers such as namespace="payments": "<script> é" is not one.`,
	} {
		f := ParseSilenceForm(url.Values{"filter": {text}})
		require.Equal(t, want, f.MatcherProblem(), text)
	}
	for text, want := range map[string]string{
		"OPS-1": "", " ": "Say why, and name a ticket if there is one.", strings.Repeat("é", 1000): "",
		strings.Repeat("é", 1001): "The comment has more than 1000 characters.", "a\xff": "The comment is not valid UTF-8.",
	} {
		f := ParseSilenceForm(url.Values{"comment": {text}})
		require.Equal(t, want, f.CommentProblem())
	}
}
