package query

import (
	"testing"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

func TestParseFilter(t *testing.T) {
	for _, c := range []struct{ text, filter, sentence, at string }{
		{``, ``, ``, ``},
		{`namespace="payments"`, `namespace="payments"`, ``, ``},
		{`{a=b, "service.name"=~"x|y",}`, `a="b", service.name=~"x|y"`, ``, ``},
		{`checkout timeout`, `checkout timeout`, ``, ``},
		{`a="b,c", checkout`, `a="b,c", checkout`, ``, ``},
		{`checkout, a!~"x"`, `a!~"x", checkout`, ``, ``},
		{`checkout, a=\d`, `a="\\d", checkout`, ``, ``},
		{`namespace=="payments"`, ``, `unexpected "=" at column 11, expected label value`, `=`},
		{`word, b=="c"`, ``, `unexpected "=" at column 9, expected label value`, `=`},
		{`a="x`, ``, `"x at column 3: missing end "`, `"x`},
		{`a=~"("`, ``, "failed to create matcher: error parsing regexp: missing closing ): `^(?:()$`", ``},
		{`{`, ``, `end of input at column 1, expected close brace`, `{`},
		{`a="b\"c,d", a=\, e`, `a="b\"c,d", a="\\", e`, ``, ``},
		{`word, "a,b"`, `"word a,b"`, ``, ``},
		{`""="x"`, ``, `a label name is empty`, `""="x"`},
		{"a=\"\xff\"", ``, `the filter is not valid UTF-8`, "a=\"\xff\""},
		{`""`, ``, `the filter has neither a matcher nor a word`, `""`},
	} {
		f := ParseFilter([]string{c.text})
		if c.sentence != "" {
			require.NotNil(t, f.Err, c.text)
			require.Equal(t, c.sentence, f.Err.Sentence, c.text)
			require.Equal(t, c.at, f.Err.At, c.text)
			require.Equal(t, c.text, f.Err.Before+f.Err.At+f.Err.After)
			require.Equal(t, c.text, f.Text())
			require.Empty(t, f.Matchers)
			continue
		}
		require.Nil(t, f.Err, c.text)
		require.Equal(t, c.filter, f.Text(), c.text)
	}
}

// A filter that Alertmanager accepts in its default mode is accepted, and means the
// same.
func TestFiltersAreReadAsAlertmanagerReadsThem(t *testing.T) {
	alertmanager := compat.FallbackMatchersParser(promslog.NewNopLogger())
	for _, text := range []string{
		`a="b"`, `a=b`, `a = "b"`, ` a="b" `, `{a="b"}`, `{ a="b" , c!="d" }`, `a="b",`, `{a="b",}`, `a="b",c=~"d|e",f!~"g"`, `{}`,
		`a=""`, `a=`, `a!=`, `a=~.*`, `a=~".+"`, `a=b c`, `a=b=c`, `a==b`, `a=b}`, `{a=b`, `(a=b)`, `a=(b)`, `a='b'`,
		`a=\d`, `a="\d"`, `a=~"\d+"`, `a=~"10\.0\..*"`, `a=~"10\\.0\\..*"`,
		`path=C:\temp`, `path="C:\\temp"`, `path="C:\temp"`, `a="b\"c"`, `a="b\nc"`, `a="\t"`,
		`a="b;c"`, `a="b,c"`, `a="{b}"`, `a=~"x{2,3}"`, `"service.name"="checkout"`, `"a b"="c"`,
		`größe="x"`, `a=größe`, `a=🙂`, `🙂=a`, `"🙂"="a"`, `a:b="c"`,
		`a="b" , c="d"`, "a=b\n", `instance="10.0.0.1:9100"`, `instance=10.0.0.1:9100`, `url=http://x/y?z`,
		`a=~"(?i)net"`, `a!="b"`, `a!=b`, `a!~b`,
	} {
		want, err := alertmanager(text, "test")
		require.NoError(t, err, text)
		got := ParseFilter([]string{text})
		require.Nil(t, got.Err, text)
		require.Equal(t, want.String(), got.Matchers.String(), text)
		require.Empty(t, got.Words, text)
		again := ParseFilter([]string{got.Text()})
		require.Equal(t, want.String(), again.Matchers.String(), "%s: the text of the filter means the same", text)
	}
	// A text that both parsers reject is rejected here, unless it is a plain word.
	for _, text := range []string{
		`a="b`, `a=="b"`, `a=~"["`, `a=~*`, `="b"`, `a=b,,c=d`, `a="b" and c="d"`, `a!b`, `a~b`, `{a}`, `{"a"}`, `a="b"c`,
	} {
		_, err := alertmanager(text, "test")
		require.Error(t, err, text)
		require.NotNil(t, ParseFilter([]string{text}).Err, text)
	}
}

// Each parameter is parsed separately: the joined texts could mean something else.
func TestFiltersAreReadOneByOne(t *testing.T) {
	for _, texts := range [][]string{
		{`{alertname="Net"}`, `{severity="warning"}`},
		{`alertname="Net",`, `severity="warning"`},
		{`alertname=Net`, ` `, `{severity="warning",}`},
	} {
		f := ParseFilter(texts)
		require.Nil(t, f.Err, "%q", texts)
		require.Equal(t, `alertname="Net", severity="warning"`, f.Text(), "%q", texts)
	}
	f := ParseFilter([]string{`{a="b"`, `checkout`, `c="d`})
	require.NotNil(t, f.Err)
	require.Empty(t, f.Matchers, "a part of the filter would show too much")
	require.Empty(t, f.Words)
	require.Len(t, f.Texts, 3)
	require.Equal(t, `c="d`, f.Err.Before+f.Err.At+f.Err.After)
}
