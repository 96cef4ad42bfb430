package query

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// Forms send empty parameters. They do not hide the value beside them.
func TestAnEmptyFormatHidesNoFormat(t *testing.T) {
	for text, problem := range map[string]string{
		"format=&format=ndjson&follow=true&limit=1000000":  "",
		"format=&format=csv&limit=1000000":                 "",
		"format=&format=csv&cursor=&cursor=x":              "cursor: an answer as csv has no pages",
		"format=csv&follow=true":                           "follow: only possible with format=ndjson",
		"format=ndjson&follow=true&until=&until=yesterday": "until: not possible with follow, which has no end",
		"format=xml&limit=1000000": `format: "xml" is not one of json, csv, ndjson; ` +
			`limit: "1000000" is not a number between 1 and 1000`,
	} {
		values, err := url.ParseQuery(text)
		require.NoError(t, err)
		p := Of(values)
		p.Format()
		p.Follow()
		p.limit()
		p.Text("cursor")
		p.Text("until")
		if problem == "" {
			require.NoError(t, p.Err(), text)
			continue
		}
		require.ErrorContains(t, p.Err(), ": "+problem, text)
	}
}
