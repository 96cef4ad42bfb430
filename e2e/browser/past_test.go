package browser

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/past"
	"muster/internal/testserver"
)

// fixedPast answers with one state for every time.
type fixedPast struct {
	testserver.Past

	wall history.Wall
}

func (p fixedPast) At(_ context.Context, t time.Time) (*history.Wall, error) {
	wall := p.wall
	wall.At = t
	return &wall, nil
}

// startInGap starts a Muster whose whole past is within a gap.
func startInGap(t *testing.T) *muster {
	t.Helper()
	m := start(t)
	m.night()
	groups, err := m.groups.All(t.Context())
	require.NoError(t, err)
	now := time.Now()
	m.server.UsePast(fixedPast{Past: past.New(m.groups), wall: history.Wall{
		Groups: groups, KnownSince: now.Add(-time.Hour), Gap: &grouping.Gap{From: now.Add(-10 * time.Minute), To: now.Add(time.Minute)},
	}})
	return m
}

// nextMillisecond waits until the next event has a time of its own.
func nextMillisecond(t *testing.T) {
	t.Helper()
	now := time.Now().Truncate(time.Millisecond)
	require.Eventually(t, func() bool { return time.Since(now) >= 2*time.Millisecond }, time.Second, time.Millisecond)
}

// Nothing on a page of the past changes by itself: it opens no stream and fetches nothing, its
// ages stand, and it shows no change of the present. Only the clocks go on.
func TestAPageOfThePastStands(t *testing.T) {
	m := start(t)
	m.night()
	b := open(t, 1440, 900, false)
	b.visit(m.url + "/?at=0s")
	const ages, passed = `[...document.querySelectorAll('main time')].map(t => t.textContent).join()`,
		`document.querySelector('[data-passed]').textContent`
	second := func() {
		shown := eval[string](b, passed)
		b.until(passed + " !== " + quote(shown))
	}
	second() // the script has shown the ages since whole seconds
	before := eval[string](b, ages)
	require.Contains(t, before, "10m")
	m.notify("Later", firing("Later", "critical", "x"))
	for range 3 {
		second()
	}
	require.Equal(t, before, eval[string](b, ages))
	require.NotContains(t, b.text(), "Later")
	require.Zero(t, m.server.Hub.Clients(), "no stream")
	require.Zero(t, eval[int](b, `performance.getEntriesByType('resource').filter(e => e.initiatorType === 'fetch').length`))
	require.Equal(t, "Past", eval[string](b, `document.getElementById('word').textContent`))
	require.Regexp(t, `^now \d\d:\d\d UTC$`, eval[string](b, `document.getElementById('clock').textContent`))
	require.Regexp(t, `^\[\d\d:\d\d\] Groups`, eval[string](b, `document.title`))
	icon := eval[string](b, `decodeURIComponent(document.querySelector('link[rel=icon]').href)`)
	require.Contains(t, icon, "#5f6873")
	require.NotContains(t, icon, "<text", "no number")
	b.clean()
}

// Keys step through the past, and the address means the same time for everybody.
func TestKeysOfThePast(t *testing.T) {
	m := start(t)
	group, _ := m.night()
	nextMillisecond(t)
	m.notify("Later", firing("Later", "critical", "x"))
	b := open(t, 1440, 900, false)
	here := "/groups/" + string(group)
	shows := func(text string) {
		b.until(`document.readyState === 'complete' && document.body.innerText.includes(` + quote(text) + `)`)
	}
	b.visitLive(m.url + here)
	b.press("-")
	shows("Muster does not know this time") // it has just begun
	require.Regexp(t, `\?at=\d{4}-\d\d-\d\dT`, eval[string](b, `location.search`), "-15m became a time")
	b.press("]")
	shows("CrashLoop")
	require.Equal(t, here, eval[string](b, `location.pathname`))
	b.press("0")
	b.until(`location.search === ''`)
	b.until(isLive)

	b.visit(m.url + "/?at=0s")
	shows("Later")
	b.press("[")
	b.until(`document.readyState === 'complete' && location.search.includes('T')`)
	shows("Later")
	last := eval[string](b, `location.search`)
	b.press("[")
	b.until(`document.readyState === 'complete' && location.search !== ` + quote(last))
	b.until(`!document.body.innerText.includes('Later')`)
	b.press("]")
	b.until(`location.search === ` + quote(last))
	shows("Later")
	b.clean()
}

// Without a script, the field leads to another time and keeps the filter.
func TestTheFieldOfThePastWithoutScript(t *testing.T) {
	m := start(t)
	m.night()
	b := open(t, 390, 844, true)
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	b.visit(m.url + `/?filter=severity%3D"critical"&state=all&at=0s`)
	require.NoError(t, chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#past form button"))))
	var address *url.URL
	require.Eventually(t, func() bool {
		where, err := chromedp.Run(b.ctx, chromedp.Location())
		if err != nil {
			return false
		}
		address, err = url.Parse(where)
		return err == nil && strings.Contains(address.Query().Get("at"), "T")
	}, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, `severity="critical"`, address.Query().Get("filter"))
	require.Equal(t, "all", address.Query().Get("state"))
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d`, address.Query().Get("at"))
}
