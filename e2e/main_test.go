package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// The versions of Alertmanager in the tests. `make test` builds them. The event recorder of
// the older one has another form.
const (
	alertmanagerVersion      = "0.35.0"
	olderAlertmanagerVersion = "0.34.2"
)

// short skips all tests of this package. They run the program, and most of them a real
// Redis or Alertmanager. Without SHORT=1, a test fails if one of these is missing.
var short = os.Getenv("SHORT") == "1"

// musterBinary is the path of the program, which TestMain builds from this tree.
var musterBinary string

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // less work for the race detector
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if short {
		fmt.Println("SHORT=1: skipping the tests of the whole program with a real Redis or Alertmanager")
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "muster-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	musterBinary = filepath.Join(dir, "muster")
	build := exec.CommandContext(context.Background(), "go", "build", "-race", "-tags", "nomsgpack", "-o", musterBinary, "muster")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot build muster:", err)
		return 1
	}
	return m.Run()
}

// needsMuster skips the test if SHORT=1 is set: the program is not built then.
func needsMuster(t *testing.T) {
	t.Helper()
	if short {
		t.Skip("SHORT=1")
	}
}

// needsRedis returns the path of redis-server. It skips the test if SHORT=1 is set.
func needsRedis(t *testing.T) string {
	t.Helper()
	needsMuster(t)
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("%v: run `make test`, which installs it, or set SHORT=1", err)
	}
	return path
}

// needsAlertmanager returns the path of Alertmanager. It skips the test if SHORT=1 is
// set. ALERTMANAGER_DIR is a folder with alertmanager and amtool of another version.
func needsAlertmanager(t *testing.T) string {
	t.Helper()
	return alertmanagerPath(t, alertmanagerVersion)
}

// alertmanagerPath is needsAlertmanager for one version.
func alertmanagerPath(t *testing.T, version string) string {
	t.Helper()
	needsMuster(t)
	dir := cmp.Or(os.Getenv("ALERTMANAGER_DIR"), filepath.Join("..", ".tools", "alertmanager-"+version))
	path, err := filepath.Abs(filepath.Join(dir, "alertmanager"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is missing: run `make test`, which builds it, or set SHORT=1", path)
	}
	return path
}
