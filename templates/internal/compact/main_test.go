package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The folders of the package templates.
const sources, served = "../../static", "../../served"

// What is served is what the sources say.
func TestServedFilesAreThoseOfTheSources(t *testing.T) {
	files, err := compactAll(sources)
	require.NoError(t, err)
	require.Len(t, files, 3)
	entries, err := os.ReadDir(served)
	require.NoError(t, err)
	require.Len(t, entries, len(files), "run go generate ./templates")
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(served, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s: run go generate ./templates", name)
	}
}

// Sources are written to be read, and served without what only readers need.
func TestStaticFilesAreCompacted(t *testing.T) {
	files, err := compactAll(sources)
	require.NoError(t, err)
	// The // of an address in a string follows a colon.
	comment := regexp.MustCompile(`/\*|\*/|(^|[^:])//`)
	for name, maximumShare := range map[string]float64{"app.css": 0.7, "app.js": 0.6} {
		source, err := os.ReadFile(filepath.Join(sources, name))
		require.NoError(t, err)
		require.True(t, comment.Match(source), "%s: the source has comments", name)
		text := files[name]
		require.Empty(t, comment.FindAllString(string(text), -1), name)
		require.NotContains(t, string(text), "\n ", "%s is not indented", name)
		require.Less(t, float64(len(text)), maximumShare*float64(len(source)), name)
	}
	for name, text := range files {
		again, err := compact(filepath.Ext(name), text)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again), "%s: compacting twice changes nothing", name)
	}
}

// A run replaces what is there. A source that cannot be read as what it is changes nothing.
func TestRunWritesAllFiles(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "served")
	write := func(folder, name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write(from, "a.css", "a { top: 0; }\n")
	require.NoError(t, run(from, to))
	write(to, "old.css", "")
	require.NoError(t, run(from, to))
	written, err := filepath.Glob(filepath.Join(to, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(to, "a.css")}, written)
	text, err := os.ReadFile(written[0])
	require.NoError(t, err)
	require.Equal(t, "a{top:0}", string(text))

	write(from, "b.js", "let = ;")
	require.ErrorContains(t, run(from, to), "b.js")
	require.FileExists(t, written[0])
	require.Error(t, run(filepath.Join(from, "nothing"), to))
}

func TestCompactKeepsTheMeaning(t *testing.T) {
	for _, test := range []struct{ ext, source, want string }{
		{".css", "/* why */\na > b,\n.c {\n  color: red; /* why */\n  width: calc(1px + 2px);\n}\n", "a>b,.c{color:red;width:calc(1px + 2px)}"},
		{".css", `a::after { content: "/* no comment */  two spaces"; }`, `a::after{content:"/* no comment */  two spaces"}`},
		{".css", "@media (max-width: 720px) { .a .b { top: 0 !important; } }", "@media(max-width:720px){.a .b{top:0!important}}"},
		{".js", "/** @type {string} */\nconst address = 'http://a//b'; // why\nshow(address);\n", `const address="http://a//b";show(address)`},
		{".js", "function full(longName) {\n  return `a  ${longName} // b`;\n}\n", "function full(longName){return`a  ${longName} // b`}"},
		{".svg", "<svg>\n  <!-- stays -->\n</svg>\n", "<svg>\n  <!-- stays -->\n</svg>\n"},
	} {
		compacted, err := compact(test.ext, []byte(test.source))
		require.NoError(t, err)
		require.Equal(t, test.want, string(compacted))
	}
}
