package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// Sources are written to be read, and served without what only readers need.
func TestStaticFilesAreCompacted(t *testing.T) {
	assets, err := loadAssets(staticFiles)
	require.NoError(t, err)
	require.Len(t, assets, 3)
	// The // of an address in a string follows a colon.
	comment := regexp.MustCompile(`/\*|\*/|(^|[^:])//`)
	for name, maximumShare := range map[string]float64{"app.css": 0.7, "app.js": 0.6} {
		source, err := staticFiles.ReadFile(path.Join(staticDir, name))
		require.NoError(t, err)
		require.True(t, comment.Match(source), "%s: the source has comments", name)
		served := assets[name].Body
		require.Empty(t, comment.FindAllString(string(served), -1), name)
		require.NotContains(t, string(served), "\n ", "%s is not indented", name)
		require.Less(t, float64(len(served)), maximumShare*float64(len(source)), name)
	}
	for name, served := range assets {
		again, err := minifyAsset(path.Ext(name), served.Body)
		require.NoError(t, err)
		require.Equal(t, string(served.Body), string(again), "%s: compacting twice changes nothing", name)
	}
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
		compacted, err := minifyAsset(test.ext, []byte(test.source))
		require.NoError(t, err)
		require.Equal(t, test.want, string(compacted))
	}
}

// The dark scheme changes only colors. So the browser tests check in it only what depends on
// colors.
func TestTheDarkSchemeIsOnlyColors(t *testing.T) {
	css, err := staticFiles.ReadFile(path.Join(staticDir, "app.css"))
	require.NoError(t, err)
	sources := string(css)
	err = fs.WalkDir(htmlFiles, ".", func(name string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		text, err := htmlFiles.ReadFile(name)
		sources += string(text)
		return err
	})
	require.NoError(t, err)
	script, err := staticFiles.ReadFile(path.Join(staticDir, "app.js"))
	require.NoError(t, err)
	sources += string(script)
	require.Equal(t, 1, strings.Count(sources, "prefers-color-scheme"))
	require.NotContains(t, sources, "light-dark(")

	const declaration = `\s*(--[a-z-]+): #[0-9a-f]{3,6};(?: /\*.*\*/)?\n`
	root := regexp.MustCompile(`(?s):root \{\n(.*?)\n\}`).FindString(string(css))
	block := regexp.MustCompile(`prefers-color-scheme: dark\) \{\n  :root \{\n((?:` + declaration + `)+)  \}\n\}`)
	dark := block.FindStringSubmatch(string(css))
	require.NotNil(t, dark)
	for _, found := range regexp.MustCompile(declaration).FindAllStringSubmatch(dark[1], -1) {
		require.Regexp(t, `\n  `+found[1]+`: #[0-9a-f]{3,6};`, root, "it is a color in the light scheme, too")
	}
}

// The address of a static file contains the hash of what is served there, and
// the policy of the pages allows this address alone.
func TestTheHashIsThatOfTheServedBytes(t *testing.T) {
	r := newRenderer(t)
	page, err := r.Render(&HelpPage{})
	require.NoError(t, err)
	for name := range r.assets {
		address, err := r.assetURL(name)
		require.NoError(t, err)
		require.Contains(t, string(page), `="`+address+`"`, "a page refers to it")

		asset, ok := r.Static()[path.Base(address)]
		require.True(t, ok, address)
		sum := sha256.Sum256(asset.Body)
		hash := hex.EncodeToString(sum[:8])
		require.Contains(t, address, "."+hash+".")
		require.Equal(t, hash, asset.Hash)
	}
	require.NotRegexp(t, `<style|<script>| style=| on[a-z]+=`, string(page), "the policy forbids what is inline")
}

func TestBrokenFilesFailAtStart(t *testing.T) {
	_, err := loadAssets(fstest.MapFS{"static/a.exe": {}})
	require.Error(t, err)
	_, err = loadAssets(fstest.MapFS{})
	require.Error(t, err)
	_, err = loadAssets(fstest.MapFS{"static/a.js": {Data: []byte("let = ;")}})
	require.ErrorContains(t, err, "a.js")
	_, err = newRenderer(t).assetURL("nope")
	require.Error(t, err)
}
