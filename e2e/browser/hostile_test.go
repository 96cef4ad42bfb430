package browser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// hostile has texts of known attacks on pages. Each calls pwned() if the browser runs it as
// a script, or closes the element in which it is written.
var hostile = []string{
	`<script>pwned()</script>`, `<ScRiPt>pwned()</sCrIpT>`, `</script><script>pwned()</script>`, `<script src=//evil.example/x.js></script>`,
	`<img src=x onerror=pwned()>`, `<img src=x onerror="pwned()">`, `<img/src=x/onerror=pwned()>`, `"><img src=x onerror=pwned()>`,
	`'><img src=x onerror=pwned()>`, `<svg onload=pwned()>`, `<svg><script>pwned()</script></svg>`, `<svg/onload=pwned()//`,
	`<svg><animate onbegin=pwned() attributeName=x dur=1s>`, `<math><mtext><img src=x onerror=pwned()></mtext></math>`,
	`<iframe src="javascript:pwned()"></iframe>`, `<iframe srcdoc="<script>parent.pwned()</script>"></iframe>`,
	`<body onload=pwned()>`, `<input autofocus onfocus=pwned()>`, `<details open ontoggle=pwned()>`, `<video><source onerror=pwned()></video>`,
	`<audio src=x onerror=pwned()>`, `<marquee onstart=pwned()>`, `<object data="javascript:pwned()">`, `<embed src="javascript:pwned()">`,
	`<link rel=stylesheet href="javascript:pwned()">`, `<meta http-equiv=refresh content="0;url=javascript:pwned()">`,
	`<base href="javascript:pwned()//">`,
	`<form action="javascript:pwned()"><button>x</button></form>`, `<a href="javascript:pwned()">x</a>`,
	`<style>@import '//evil.example/x.css';</style>`,
	`<style>*{background:url("javascript:pwned()")}</style>`, `<template><script>pwned()</script></template>`,
	`<noscript><p title="</noscript><img src=x onerror=pwned()>">`,
	`<!--<img src="--><img src=x onerror=pwned()//">`, `]]><script>pwned()</script>`, `<![CDATA[<script>pwned()</script>]]>`,
	`javascript:pwned()`,
	`JaVaScRiPt:pwned()`, "java\tscript:pwned()", "java\nscript:pwned()", ` javascript:pwned()`, "\x01javascript:pwned()",
	`data:text/html,<script>parent.pwned()</script>`, `vbscript:pwned()`, `//evil.example/x`, `/\evil.example`, `https:evil.example`,
	`" onmouseover="pwned()`, `' onmouseover='pwned()`, "` onmouseover=`pwned()", `" style="background:url(javascript:pwned())`,
	`x" autofocus onfocus="pwned()`,
	`{{constructor.constructor('pwned()')()}}`, `${pwned()}`, `#{pwned()}`, `<%= pwned() %>`, `{{ . }}`, `{{template "x"}}`,
	`\"-pwned()-\"`, `';pwned();//`, `</title><script>pwned()</script>`, `</textarea><script>pwned()</script>`,
	`</style><script>pwned()</script>`,
	"\u2028pwned()\u2029", "\u202e)(denwp", "a\x00b<script>pwned()</script>", `+ADw-script+AD4-pwned()+ADw-/script+AD4-`,
	`&lt;script&gt;pwned()&lt;/script&gt;`,
	`&#60;script&#62;pwned()`, `%3Cscript%3Epwned()%3C/script%3E`, "line\nid: 1\nevent: gone\ndata: {}\n\n", strings.Repeat("<b>", 500),
}

// TestHostileTexts sends every hostile text in every visible field, before a page is opened
// and while it is open. No text runs as a script or violates the content security policy.
// No text becomes an element, or a link with another scheme.
func TestHostileTexts(t *testing.T) {
	require.GreaterOrEqual(t, len(hostile), 60)
	m := start(t)
	var ids []grouping.ID
	send := func(round int) {
		for i, text := range hostile {
			l := grouping.NewLabels(map[string]string{"alertname": text, "severity": text, text: text, "instance": fmt.Sprint(round, i)})
			a := grouping.NotifiedAlert{
				Fingerprint: l.Fingerprint(), Status: grouping.StatusFiring, Labels: l, GeneratorURL: text, StartsAt: time.Now().UTC(),
				Annotations: grouping.NewLabels(
					map[string]string{"summary": text, "description": text, "runbook_url": text, "dashboard": text, text: text},
				),
			}
			out, err := m.groups.Ingest(context.Background(), grouping.Notification{
				Key:         grouping.Key{Source: "default", Receiver: text, GroupKey: fmt.Sprint(text, round)},
				GroupLabels: grouping.NewLabels(map[string]string{"alertname": text, text: text}), CommonLabels: l, CommonAnnotations: a.Annotations,
				RouteLabels: grouping.NewLabels(map[string]string{text: text}), Alerts: []grouping.NotifiedAlert{a}, ExternalURL: text, Reason: text,
			})
			require.NoError(t, err)
			ids = append(ids, out.Group.ID)
			m.hostileMutes(text, round, a, text)
		}
	}
	send(0)
	b := open(t, 1440, 900, false)
	check := func(where string) {
		t.Helper()
		require.False(t, eval[bool](b, `window.ran === true`), where)
		bad := eval[[]string](b, `[...document.querySelectorAll('*')].flatMap(n => [...n.attributes]
			.filter(a => a.name.startsWith('on') || a.name === 'style' || a.name === 'srcdoc' ||
				/^(href|src|action|formaction|data)$/.test(a.name) && !/^(https?:\/\/|\/(?![\/\\])|#|data:image\/svg)/.test(a.value))
			.map(a => n.nodeName + ' ' + a.name + '=' + a.value))`)
		require.Empty(t, bad, where)
		const unwanted = `script:not([src^="/static/"]),iframe,object,embed,base,form:not([role=search]):not([method])`
		require.Empty(t, eval[[]string](b, `[...document.querySelectorAll(`+quote(unwanted)+`)].map(n => n.outerHTML)`), where)
		b.clean()
	}
	guard := func(url string) {
		b.visit(url)
		eval[bool](b, `window.pwned = () => { window.ran = true }; true`)
	}
	pages := []string{m.url + "/?state=all", m.url + "/?by=alertname", m.url + "/history", m.url + "/status"}
	for _, id := range slices.Clone(ids) {
		pages = append(pages, m.url+"/groups/"+string(id))
	}
	g, err := m.groups.Get(t.Context(), ids[0])
	require.NoError(t, err)
	pages = append(pages, m.url+"/alerts/"+string(g.Alerts[0].Fingerprint))
	pages = append(pages, m.url+"/?state=suppressed", m.url+"/silences", m.url+"/history?kind=all")
	for i := range 3 {
		guard(m.url + "/silences")
		pages = append(pages, eval[string](b, fmt.Sprintf(`document.querySelectorAll('.sil h3 a')[%d].href`, i*20)))
	}
	for _, url := range pages {
		guard(url)
		check(url)
	}
	// The filter field shows the text that the user typed.
	for _, text := range hostile {
		escape := strings.NewReplacer("%", "%25", "&", "%26", "#", "%23", "+", "%2B", " ", "%20",
			"\n", "%0A", "\t", "%09", "\x00", "%00", "\x01", "%01")
		guard(m.url + "/?filter=" + escape.Replace(text))
		check("filter " + text)
	}
	// The texts also arrive as live updates.
	guard(m.url + "/?state=all")
	b.until(isLive)
	before := eval[string](b, `document.querySelector('#rows').innerText`)
	send(1)
	b.until(`document.querySelector('#rows').innerText !== ` + quote(before))
	check("live")
}
