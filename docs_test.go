package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

// docs returns the names of all documents.
func docs(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		names = append(names, found...)
	}
	return names
}

// alertmanagerFlags are flags of Alertmanager that the documents mention.
var alertmanagerFlags = []string{
	"cluster.peer", "cluster.peer-timeout", "cluster.listen-address", "cluster.advertise-address", "config.file",
}

// assistantFlags are the flags of muster-mcp that Muster does not have.
var assistantFlags = []string{"http.config.file", "web.allowed-host"}

// Every flag, test, file and heading that a document mentions exists.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	flags := helpFlags(t)
	tests := testNames(t)
	for _, name := range docs(t) {
		t.Run(name, func(t *testing.T) {
			text := readDoc(t, name)
			for _, m := range regexp.MustCompile(`--([a-z]+(?:\.[a-z]+)+(?:-[a-z]+)*)`).FindAllStringSubmatch(text, -1) {
				if !slices.Contains(alertmanagerFlags, m[1]) && !slices.Contains(assistantFlags, m[1]) {
					require.Contains(t, flags, m[1])
				}
			}
			for _, m := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(text, -1) {
				require.True(t, tests[m], "%s is not a test", m)
			}
			for _, m := range regexp.MustCompile(`\]\(([^)#: ]*)(?:#([^)]+))?\)`).FindAllStringSubmatch(text, -1) {
				target := name
				if m[1] != "" {
					target = filepath.Join(filepath.Dir(name), m[1])
				}
				_, err := os.Stat(target)
				require.NoError(t, err)
				if m[2] != "" {
					require.Contains(t, anchors(readDoc(t, target)), m[2], target)
				}
			}
		})
	}
}

// Every identifier and every source file that a document writes as code exists.
func TestDocumentsNameCode(t *testing.T) {
	packages := goList(t)
	identifiers := identifiers(t, packages)
	for _, name := range docs(t) {
		t.Run(name, func(t *testing.T) {
			for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(readDoc(t, name), -1) {
				code := m[1]
				owner, _, _ := strings.Cut(code, ".")
				ours := slices.ContainsFunc(packages, func(p goPackage) bool { return p.name == owner })
				if ours && regexp.MustCompile(`^[a-z]+\.[A-Z]\w*(\.[A-Z]\w*)?$`).MatchString(code) {
					require.True(t, identifiers[code], "%s is not an identifier", code)
				}
				isFile := regexp.MustCompile(`^[a-z][\w-]*(/[\w.-]+)+\.(go|lua|md|html|css|js|sh|yml|yaml|tmpl)$`).MatchString(code)
				if isFile && !strings.Contains(code, "NAME") {
					require.FileExists(t, code)
				}
			}
		})
	}
}

// lineWidth is the column at which documents wrap.
const lineWidth = 100

// longAddress is an address that leaves no room for the rest of its line.
var longAddress = regexp.MustCompile(`\S{60,}`)

// Documents wrap, except for tables, code, HTML and long addresses.
func TestDocumentsWrap(t *testing.T) {
	for _, name := range docs(t) {
		code := false
		for i, line := range strings.Split(readDoc(t, name), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			begin := strings.TrimLeft(line, " ")
			if code || strings.HasPrefix(begin, "|") || strings.HasPrefix(begin, "<") || longAddress.MatchString(line) {
				continue
			}
			require.LessOrEqual(t, utf8.RuneCountInString(line), lineWidth, "%s:%d", name, i+1)
		}
		require.False(t, code, "%s: a code block does not end", name)
	}
}

// goPackage is a package of this module. Paths are relative to the module.
type goPackage struct {
	path, name string
	imports    []string // of this module, by code that is not test code
}

// goList returns all packages of the module.
func goList(t *testing.T) []goPackage {
	t.Helper()
	list := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	module := list("-m")
	ours := func(path string) (string, bool) {
		if path == module {
			return ".", true
		}
		return strings.CutPrefix(path, module+"/")
	}
	var packages []goPackage
	for line := range strings.Lines(list("-tags", "nomsgpack", "-f", `{{.ImportPath}} {{.Name}} {{join .Imports " "}}`, "./...")) {
		fields := strings.Fields(line)
		path, ok := ours(fields[0])
		require.True(t, ok, line)
		p := goPackage{path: path, name: fields[1]}
		for _, imported := range fields[2:] {
			if path, ok := ours(imported); ok {
				p.imports = append(p.imports, path)
			}
		}
		slices.Sort(p.imports)
		packages = append(packages, p)
	}
	return packages
}

const architecture = "docs/ARCHITECTURE.md"

// The table of packages has every package with what it imports, and no other.
func TestArchitectureHasAllPackages(t *testing.T) {
	_, table, _ := strings.Cut(readDoc(t, architecture), "\n## Packages\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|[^|]*\\| ([^|]*) \\|$").FindAllStringSubmatch(table, -1) {
		require.NotContains(t, rows, m[1], "two rows for %s", m[1])
		rows[m[1]] = nil
		for _, imported := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[2], -1) {
			rows[m[1]] = append(rows[m[1]], imported[1])
		}
	}
	for _, p := range goList(t) {
		require.Contains(t, rows, p.path, "the table lacks a package")
		require.Equal(t, p.imports, rows[p.path], "imports of %s", p.path)
		delete(rows, p.path)
	}
	require.Empty(t, rows, "the table has packages that do not exist")
}

// The picture of the packages has every import between those that it shows, and
// no other.
func TestArchitecturePicturesTheImports(t *testing.T) {
	_, picture, _ := strings.Cut(readDoc(t, architecture), "```mermaid\nflowchart")
	picture, _, _ = strings.Cut(picture, "```")
	paths := map[string]string{} // by the identifier of the node
	for _, m := range regexp.MustCompile(`(\w+)\["([^"]+)"\]`).FindAllStringSubmatch(picture, -1) {
		if paths[m[1]] = m[2]; m[2] == "main" {
			paths[m[1]] = "."
		}
	}
	shown := map[string]bool{}
	for _, path := range paths {
		shown[path] = true
	}
	var drawn, real []string
	for _, m := range regexp.MustCompile(`(?m)^ *(\w+)(?:\[.*?\])? --> (\w+)`).FindAllStringSubmatch(picture, -1) {
		drawn = append(drawn, paths[m[1]]+" --> "+paths[m[2]])
	}
	for _, p := range goList(t) {
		for _, imported := range p.imports {
			if shown[p.path] && shown[imported] {
				real = append(real, p.path+" --> "+imported)
			}
		}
	}
	require.Len(t, paths, 19)
	require.ElementsMatch(t, real, drawn)
}

// identifiers returns the exported names of the packages: package.Name, and for
// types package.Type.Field and package.Type.Method.
func identifiers(t *testing.T, packages []goPackage) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, p := range packages {
		files, err := filepath.Glob(filepath.Join(p.path, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, decl := range parsed.Decls {
				for _, name := range declared(decl) {
					names[p.name+"."+name] = true
				}
			}
		}
	}
	return names
}

// declared returns the names that a declaration declares, fields and methods
// with the name of their type before them.
func declared(decl ast.Decl) (names []string) {
	if f, ok := decl.(*ast.FuncDecl); ok {
		if f.Recv == nil {
			return []string{f.Name.Name}
		}
		on := f.Recv.List[0].Type
		if pointer, ok := on.(*ast.StarExpr); ok {
			on = pointer.X
		}
		if ident, ok := on.(*ast.Ident); ok {
			names = append(names, ident.Name+"."+f.Name.Name)
		}
		return names
	}
	for _, spec := range decl.(*ast.GenDecl).Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				names = append(names, name.Name)
			}
		case *ast.TypeSpec:
			names = append(names, spec.Name.Name)
			var fields *ast.FieldList
			switch body := spec.Type.(type) {
			case *ast.StructType:
				fields = body.Fields
			case *ast.InterfaceType:
				fields = body.Methods
			default:
				continue
			}
			for _, field := range fields.List {
				for _, name := range field.Names {
					names = append(names, spec.Name.Name+"."+name.Name)
				}
			}
		}
	}
	return names
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
