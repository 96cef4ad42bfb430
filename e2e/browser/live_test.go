package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func TestThePageIsLive(t *testing.T) {
	m := start(t)
	for i := range 30 {
		name := fmt.Sprintf("Alert%02d", i)
		m.notify(name, firing(name, "warning", "a"))
	}
	b := open(t, 1000, 600, false)
	b.visitLive(m.url + "/")

	// The reader has scrolled, focused a link and selected a text.
	eval[bool](b, `(() => {
		scrollTo(0, 400);
		const named = name => [...document.querySelectorAll('#rows article')].find(r => r.innerText.includes(name));
		const row = named('Alert08');
		row.querySelector('h2 a').focus({preventScroll: true});
		const text = named('Alert12').querySelector('.what p');
		getSelection().selectAllChildren(text);
		window.row = row; window.selected = getSelection().toString(); window.y = scrollY;
		return true;
	})()`)
	m.notify("Alert08", firing("Alert08", "warning", "a"), firing("Alert08", "warning", "b"))
	started := time.Now()
	m.notify("Brandnew", firing("Brandnew", "critical", "z"))
	b.until(`document.body.innerText.includes('Brandnew')`)
	took := time.Since(started)
	t.Logf("on the page after %s", took)
	require.Less(t, took, 10*time.Second, "usually within a second, later on a busy machine")
	require.Contains(t, eval[string](b, `document.querySelector('#rows article h2').textContent`), "Brandnew",
		"the most severe group is first")
	require.True(t, eval[bool](b, `[...document.querySelectorAll('#rows article')]
		.some(r => 'new' in r.dataset && r.innerText.includes('Brandnew'))`), "the new group is marked")
	require.True(t, eval[bool](b, `row.isConnected && row.contains(document.activeElement)`), "the focus stayed")
	require.Equal(t, eval[string](b, `selected`), eval[string](b, `getSelection().toString()`), "the selection stayed")
	b.until(`document.title.startsWith("(32)")`)
	require.Contains(t, eval[string](b, `document.querySelector('link[rel=icon]').href`), "data:image/svg")
	b.clean()
}

func TestThePageShowsWhatTheOtherReplicaHeard(t *testing.T) {
	url := "redis://" + miniredis.RunT(t).Addr()
	receiving, shown := startReplica(t, url), startReplica(t, url)
	b := open(t, 1000, 600, false)
	b.visitLive(shown.url + "/")
	for _, name := range []string{"First", "Second"} {
		started := time.Now()
		receiving.notify(name, firing(name, "critical", "z"))
		b.until(`document.body.innerText.includes('` + name + `')`)
		took := time.Since(started)
		t.Logf("on the page of the other replica after %s", took)
		require.Less(t, took, 10*time.Second, "usually within a second, later on a busy machine")
	}
	b.clean()
}

func TestOpenDetailsStay(t *testing.T) {
	m := start(t)
	group, _ := m.night()
	b := open(t, 1440, 900, false)
	b.visitLive(m.url + "/groups/" + string(group))
	eval[bool](b, `document.querySelectorAll('details').forEach(d => d.open = true) || true`)
	n := eval[int](b, `document.querySelectorAll('details[open]').length`)
	require.Positive(t, n)
	m.notify("CrashLoop", firing("CrashLoop", "critical", "pod-2"), firing("CrashLoop", "critical", "pod-3"))
	b.until(`document.body.innerText.includes('pod-3')`)
	require.Equal(t, n, eval[int](b, `document.querySelectorAll('details[open]').length`))
	b.clean()
}

func TestALostConnectionIsShownAndMended(t *testing.T) {
	m := start(t)
	m.notify("Before", firing("Before", "warning", "a"))
	b := open(t, 1000, 600, false)
	b.visitLive(m.url + "/")
	m.stop()
	b.until(`document.querySelector('#word').textContent !== 'Live'`)
	require.Contains(t, b.text(), "Before", "the last known state stays")
	b.until(`document.title.startsWith('(!)')`)
	m.notify("Meanwhile", firing("Meanwhile", "critical", "a"))
	m.listen(m.address)
	b.until(`document.body.innerText.includes('Meanwhile')`)
	b.until(isLive)
}

func TestAStorageOutageIsShown(t *testing.T) {
	m := start(t)
	m.night()
	m.setStorage(grouping.StorageStatus{Mode: "redis", Reason: "timeout", DegradedSince: time.Now().Add(-time.Minute), DirtyGroups: 2})
	b := open(t, 1000, 600, false)
	b.visit(m.url + "/")
	require.Contains(t, b.text(), "Redis has not answered since")
	b.visit(m.url + "/status")
	require.Contains(t, b.text(), "timeout")
}
