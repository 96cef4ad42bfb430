package redis

import (
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func TestParseFields(t *testing.T) {
	want := []grouping.StoredRecord{{Name: "m", Text: []byte("a\r\nb")}, {Name: "v", Text: []byte{}}}
	const pairs = "$1\r\nm\r\n$4\r\na\r\nb\r\n$1\r\nv\r\n$0\r\n\r\n"
	for _, header := range []string{"*4\r\n", "%2\r\n"} {
		answer := header + pairs
		fields, ok := parseFields([]byte(answer), nil)
		require.True(t, ok)
		require.Equal(t, want, fields)
		for n := range len(answer) {
			_, ok := parseFields([]byte(answer[:n]), nil)
			require.False(t, ok, "the answer ends too early: %q", answer[:n])
		}
	}
	fields, ok := parseFields([]byte("*0\r\n"), nil)
	require.True(t, ok)
	require.Empty(t, fields)
	for _, other := range []string{
		"-WRONGTYPE Operation against a key\r\n", "-MOVED 1 other:6379\r\n", "*-1\r\n", "_\r\n", ":1\r\n", "*2\r\n:1\r\n:2\r\n",
		"*2\r\n$-1\r\n$-1\r\n", "*4\r\n$1\r\nm\r\n$1\r\nx\r\n", "*x\r\n", "*2\r\n$1\r\nm\r\n$1\r\nx\r\n+OK\r\n",
	} {
		_, ok := parseFields([]byte(other), nil)
		require.False(t, ok, other)
	}
}

// The memory of an answer is used for later ones, but a document must not change.
func TestDocumentsSurviveLaterAnswers(t *testing.T) {
	_, r, w := mini(t, Options{})
	first, second := w.Add(t, groupKey("a"), a("x", "1")), w.Add(t, groupKey("b"), a("y", "2"))
	load := func(g *grouping.AlertGroup) *grouping.AlertGroup {
		read, err := r.Load(t.Context(), g.ID)
		require.NoError(t, err)
		return read
	}
	read := load(first)
	require.True(t, load(second).Equal(second))
	require.True(t, read.Equal(first))
}
