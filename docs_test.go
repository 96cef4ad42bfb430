package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain runs the program itself if helpFlags started this binary. So the test needs
// no second binary, which would take time to compile.
func TestMain(m *testing.M) {
	if os.Getenv("MUSTER_TEST_HELP") != "" {
		os.Args = []string{"muster", "--help"}
		main()
		return
	}
	os.Exit(m.Run())
}

// helpFlags returns the flags of muster --help with their defaults.
func helpFlags(t *testing.T) map[string]string {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "MUSTER_TEST_HELP=1")
	help, err := child.Output()
	require.NoError(t, err)
	flags := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:  -h, |      )--(\[no-\])?([a-z.-]+)(?:=(\S+))?`).FindAllStringSubmatch(string(help), -1) {
		value := strings.Trim(m[3], `"`)
		if value == strings.ToUpper(value) && !strings.ContainsAny(value, "0123456789") {
			value = "" // a placeholder such as --redis.url=URL
		}
		flags[m[2]] = value
	}
	require.Contains(t, flags, "web.listen-address")
	return flags
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// section returns the text under a heading of the README.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readDoc(t, "README.md"), "\n## "+heading+"\n")
	require.True(t, ok, heading)
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// sameDefault reports whether two defaults are equal. Times are equal also if they are
// written differently.
func sameDefault(readme, help string) bool {
	if readme == help {
		return true
	}
	if days, ok := strings.CutSuffix(readme, "d"); ok {
		perDay, err := time.ParseDuration(days + "h")
		if err != nil {
			return false
		}
		readme = (24 * perDay).String()
	}
	a, errA := time.ParseDuration(readme)
	b, errB := time.ParseDuration(help)
	return errA == nil && errB == nil && a == b
}

// The table in the README has every flag of --help with its default, and no others.
func TestReadmeHasAllFlags(t *testing.T) {
	flags := helpFlags(t)
	readme := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z.-]+)` \\| ([^|]*?) ?\\|").FindAllStringSubmatch(section(t, "Flags"), -1) {
		require.NotContains(t, readme, m[1], "--%s is in the README twice", m[1])
		readme[m[1]] = strings.Trim(m[2], "`")
	}
	for name, value := range flags {
		documented, ok := readme[name]
		require.True(t, ok, "--%s is not in the README", name)
		require.True(t, sameDefault(documented, value), "--%s: the default is %q, the README says %q", name, value, documented)
	}
	for name := range readme {
		require.Contains(t, flags, name, "--%s is in the README, but not in --help", name)
	}
}

// docs returns the names of the documents for users and operators.
func docs(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return append(names, "README.md", "CHANGELOG.md")
}

// alertmanagerFlags are flags of Alertmanager that the documents mention.
var alertmanagerFlags = []string{
	"cluster.peer", "cluster.peer-timeout", "cluster.listen-address", "cluster.advertise-address", "config.file",
}

// Every flag, test and file that the documents mention exists.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	flags := helpFlags(t)
	tests := testNames(t)
	for _, name := range docs(t) {
		t.Run(name, func(t *testing.T) {
			text := readDoc(t, name)
			for _, m := range regexp.MustCompile(`--([a-z]+(?:\.[a-z]+)+(?:-[a-z]+)*)`).FindAllStringSubmatch(text, -1) {
				if !slices.Contains(alertmanagerFlags, m[1]) {
					require.Contains(t, flags, m[1])
				}
			}
			for _, m := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(text, -1) {
				require.Contains(t, tests, m)
			}
			for _, m := range regexp.MustCompile(`\]\(([^)#: ]+)(?:#([^)]+))?\)`).FindAllStringSubmatch(text, -1) {
				target := filepath.Join(filepath.Dir(name), m[1])
				_, err := os.Stat(target)
				require.NoError(t, err)
				if m[2] != "" {
					require.Contains(t, anchors(readDoc(t, target)), m[2], target)
				}
			}
		})
	}
}

// anchors returns the link targets that GitHub makes from the headings of a document.
func anchors(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// testNames returns the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	require.NoError(t, err)
	require.True(t, names["TestDocumentsNameWhatThereIs"])
	return names
}
