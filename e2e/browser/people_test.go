package browser

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// people makes people write about the groups of a night. It returns a group with everything.
func (m *muster) people() grouping.ID {
	m.t.Helper()
	ctx := context.Background()
	mira, jo := grouping.Person{Name: "mira", Verified: true}, grouping.Person{Name: "jo"}
	group := m.notify("Joined", firing("Joined", "critical", "a"))
	_, err := m.groups.Acknowledge(ctx, group, grouping.AckRequest{By: mira, Note: "looking at checkout 2.31"})
	require.NoError(m.t, err)
	m.notify("Joined", firing("Joined", "critical", "a"), firing("Joined", "critical", "b"))
	for _, text := range []string{"Bad tag.\nSee https://wiki.example.net/x.", "the team is informed"} {
		_, err = m.groups.AddNote(ctx, group, grouping.NoteRequest{By: jo, Text: text})
		require.NoError(m.t, err)
	}
	own := m.notify("Own", firing("Own", "warning", "a"))
	_, err = m.groups.Acknowledge(ctx, own, grouping.AckRequest{
		By: jo, Note: strings.Repeat("OPS-412 ", 30), Until: time.Now().Add(time.Hour),
	})
	require.NoError(m.t, err)
	closed := m.notify("Closed", firing("Closed", "warning", "a"))
	_, err = m.groups.Close(ctx, closed, grouping.CloseRequest{By: jo})
	require.NoError(m.t, err)
	return group
}

// pressFor presses a key that leads to a field. The browser of the tests types the character, too, because
// its events of one key do not belong together.
func (b *tab) pressFor(key, field string) {
	b.t.Helper()
	b.press(key)
	b.until(`document.activeElement.id === ` + quote(field))
	eval[bool](b, `(document.activeElement.value = '', true)`)
}

// A person acknowledges, undoes and writes a note with the keyboard alone. The name is typed once.
func TestPeopleWriteByKeyboard(t *testing.T) {
	m := start(t)
	group := m.notify("CrashLoop", firing("CrashLoop", "critical", "pod-1"))
	b := open(t, 1440, 900, false, chromedp.WithNewBrowserContext())
	b.visitLive(m.url + "/groups/" + string(group))
	b.pressFor("a", "ack-note")
	b.press("rollback started\r")
	b.until(`document.querySelector('h1').textContent === 'Who are you?' && document.activeElement.id === 'by'`)
	require.Equal(t, "rollback started", eval[string](b, `document.querySelector('#text').value`))
	b.press("Jo Ann\r")
	b.until(`location.hash === '#ack' && ` + isLive)
	require.Contains(t, b.text(), "Acknowledged by Jo Ann (not verified)")
	require.Contains(t, b.text(), "until it is over: rollback started.")

	b.pressFor("n", "note-text")
	b.press("first line\nsecond line\t\r")
	b.until(`location.hash === '#notes' && document.querySelectorAll('.notes li').length === 2 && ` + isLive)
	require.Contains(t, eval[string](b, `document.querySelector('.notes').innerText`), "first line\nsecond line")
	require.Equal(t, "Jo Ann", eval[string](b, `document.querySelector('#note-by').value`), "the cookie brings the name")

	eval[bool](b, `(document.querySelector('#undo-form button').focus(), true)`)
	b.press("\r")
	b.until(`location.hash === '#ack' && !document.querySelector('#undo-form') && ` + isLive)

	// The button of a row shows as soon as the row has the focus.
	b.visitLive(m.url + "/")
	const opacity = `getComputedStyle(document.querySelector('.ack')).opacity`
	require.Equal(t, "0", eval[string](b, opacity))
	b.press("j")
	for range 6 { // chips and marks come before it
		if b.press("\t"); eval[bool](b, `document.activeElement.matches('.ack')`) {
			break
		}
	}
	require.True(t, eval[bool](b, `document.activeElement.matches('.ack')`))
	require.Equal(t, "1", eval[string](b, opacity))
	b.press("\r")
	b.until(`document.querySelector('#rows .part')?.textContent === 'Acknowledged 1 group' && ` + isLive)
	require.Contains(t, b.text(), "Jo Ann (not verified), ")
	b.clean()
}

// While somebody types, the live page changes around the form. The text stays, also if somebody else
// acknowledges meanwhile, or if the episode ends.
func TestTheTextOfAFormSurvives(t *testing.T) {
	m := start(t)
	a := firing("CrashLoop", "critical", "pod-1")
	group := m.notify("CrashLoop", a)
	b := open(t, 390, 844, true, chromedp.WithNewBrowserContext())
	b.visitLive(m.url + "/groups/" + string(group))
	b.pressFor("a", "ack-note")
	b.press("my text")
	_, err := m.groups.Acknowledge(t.Context(), group, grouping.AckRequest{By: grouping.Person{Name: "mira", Verified: true}, Note: "hers"})
	require.NoError(t, err)
	b.until(`document.querySelector('#ack').innerText.includes('Acknowledged by mira')`)
	b.until(`document.querySelector('#say').textContent === 'Acknowledged by mira'`)
	const text = `document.querySelector('#ack-note').value`
	require.Equal(t, "my text", eval[string](b, text))
	require.Equal(t, "ack-note", eval[string](b, `document.activeElement.id`))

	a.Status, a.EndsAt = grouping.StatusResolved, time.Now().UTC()
	m.notify("CrashLoop", a)
	b.until(`document.querySelector('.for').innerText.includes('resolved')`)
	require.Equal(t, "my text", eval[string](b, text))
	m.notify("CrashLoop", firing("CrashLoop", "critical", "pod-2"))
	b.until(`document.querySelector('.for').innerText.includes('firing')`)
	require.Equal(t, "my text", eval[string](b, text))
	eval[bool](b, `(document.querySelector('#ack-by').value = 'jo', document.querySelector('#ack-note').focus(), true)`)
	b.press("\r")
	b.until(`document.querySelector('#ack').innerText.startsWith('This episode is over. A new one began at ')`)
	require.Equal(t, "my text", eval[string](b, text))
	require.Equal(t, "jo", eval[string](b, `document.querySelector('#ack-by').value`))
	eval[bool](b, `(document.querySelector('#ack-form .first').click(), true)`)
	b.until(`location.hash === '#ack' && document.querySelector('#ack').innerText.includes('Acknowledged by jo (not verified)')`)
	b.clean()
}

// Going back after a note and sending it once more adds nothing.
func TestTheBackButtonAddsNoNote(t *testing.T) {
	m := start(t)
	group := m.notify("CrashLoop", firing("CrashLoop", "critical", "pod-1"))
	b := open(t, 1440, 900, false, chromedp.WithNewBrowserContext())
	page := m.url + "/groups/" + string(group)
	b.visitLive(page)
	for range 2 {
		eval[bool](b, `(() => {
			document.querySelector('#note-by').value = 'jo';
			document.querySelector('#note-form input[name=id]').value = 'p0';
			document.querySelector('#note-text').value = 'once';
			document.querySelector('#note-form .btn').click();
			return true;
		})()`)
		b.until(`location.hash === '#notes' && document.querySelectorAll('.notes li').length === 1 && ` + isLive)
		eval[int](b, `setTimeout(() => history.back())`) // the answer precedes the end of the page
		b.until(`location.hash === '' && document.readyState === 'complete'`)
	}
	g, err := m.groups.Get(t.Context(), group)
	require.NoError(t, err)
	require.Len(t, g.Notes, 1)
}

// Forms work without a script.
func TestPeopleWriteWithoutScript(t *testing.T) {
	m := start(t)
	group := m.notify("CrashLoop", firing("CrashLoop", "critical", "pod-1"))
	b := open(t, 390, 844, false, chromedp.WithNewBrowserContext())
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	send := func(button string, keys ...string) {
		t.Helper()
		for i := 0; i+1 < len(keys); i += 2 {
			require.NoError(t, chromedp.Do(b.ctx, chromedp.SendKeys(chromedp.CSS(keys[i]), keys[i+1])))
		}
		require.NoError(t, chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(button))))
	}
	shows := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(b.ctx, time.Second) // the element may be of the page before
			defer cancel()
			html, err := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("main")))
			return err == nil && strings.Contains(html, text)
		}, 20*time.Second, 20*time.Millisecond, text)
	}
	b.visit(m.url + "/groups/" + string(group))
	send("#ack-form .first", "#ack-note", "rollback")
	shows("Who are you?")
	send("#again .first", "#by", "jo")
	shows("Acknowledged by <b>jo</b> (not verified)")
	send("#undo-form .btn")
	shows("Acknowledge</button>")
	send("#note-form .btn", "#note-text", "a note")
	shows("a note</bdi>")
	send("#close-form .btn")
	shows("Closed by <b>jo</b> (not verified)")
}
