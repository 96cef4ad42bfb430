package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// The dark scheme changes only colors. So the browser tests check in it only what depends on
// colors.
func TestTheDarkSchemeIsOnlyColors(t *testing.T) {
	css, err := os.ReadFile("static/app.css")
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
	script, err := os.ReadFile("static/app.js")
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
	_, err := loadAssets(fstest.MapFS{"served/a.exe": {}})
	require.ErrorContains(t, err, "a.exe")
	_, err = loadAssets(fstest.MapFS{})
	require.Error(t, err)
	_, err = newRenderer(t).assetURL("nope")
	require.Error(t, err)
}
