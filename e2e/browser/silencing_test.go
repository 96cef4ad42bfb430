package browser

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/testserver"
)

// startSilencing starts a server on which everybody may silence under a typed name.
func startSilencing(t *testing.T) (*muster, *testserver.FakeSilencer) {
	t.Helper()
	fake := &testserver.FakeSilencer{Names: []string{"default"}}
	m := startWith(t, testserver.Options{
		Silencer: fake, People: person.Policy{Silences: person.Silences{Allowed: true, Unverified: true}},
	})
	m.muted()
	return m, fake
}

// silencingPages are the pages on which people silence.
func silencingPages(m *muster) map[string]string {
	form := func(values url.Values) string { return m.url + "/silences/new?" + values.Encode() }
	return map[string]string{
		"form": form(url.Values{"filter": {`alertname="Disk"`}}), "bad": form(url.Values{"filter": {`a=="b"`}, "for": {"other"}}),
		"wide": form(url.Values{"filter": {`severity=~"critical|warning"`}, "comment": {"why"}}), "empty": m.url + "/silences/new",
		"silence": m.url + "/silences/s1", "pending": m.url + "/silences/s2", "expired": m.url + "/silences/s0", "list": m.url + "/silences",
	}
}

func TestSilencingPagesAreAccessible(t *testing.T) {
	m, _ := startSilencing(t)
	b := open(t, 1440, 900, false)
	for name, address := range silencingPages(m) {
		b.visit(address)
		eval[bool](b, `document.querySelectorAll('details').forEach(d => d.open = true), true`)
		b.accessible(name, 1440, 390, 320)
		b.clean()
	}
}

// The form is filled in and sent with the keyboard alone. A typed duration chooses itself.
func TestSilencingByKeyboard(t *testing.T) {
	m, fake := startSilencing(t)
	b := open(t, 1440, 900, false)
	b.visit(silencingPages(m)["form"])
	focus := func(id string) {
		for range 60 {
			if eval[string](b, `document.activeElement.id`) == id {
				return
			}
			b.press("\t")
		}
		require.FailNow(t, "the keyboard does not reach "+id)
	}
	focus("length")
	b.press("90m")
	require.True(t, eval[bool](b, `document.getElementById('for-other').checked`))
	focus("comment")
	b.press("OPS-1")
	focus("by")
	require.True(t, eval[bool](b, `new FormData(document.getElementById('new')).get('until') === ''`), "a POST has its empty fields")
	require.False(t, eval[bool](b, `const form = document.getElementById('new').cloneNode(true);
		form.method = 'get'; document.body.append(form); const has = new FormData(form).has('until'); form.remove(); has`), "a query has none")
	b.press("jo\t\t\r") // Preview is before Create: the Enter key in a field previews
	b.until(`location.pathname === '/silences/` + testserver.FakeSilenceID + `'`)
	call := fake.Calls()[0]
	require.Equal(t, grouping.Person{Name: "jo"}, call.By)
	require.Equal(t, 90*time.Minute, call.Silence.EndsAt.Sub(call.Silence.StartsAt))

	b.visit(m.url + "/silences/s1")
	eval[bool](b, `document.querySelector('.confirm summary').focus(), true`)
	b.press("\r")
	focus("expire-by")
	b.press("jo\r")
	b.until(`location.pathname === '/silences/s1' && performance.getEntriesByType('navigation')[0].redirectCount === 1`)
	require.Eventually(t, func() bool { return len(fake.Calls()) == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "s1", fake.Calls()[1].ID)
	b.clean()
}
