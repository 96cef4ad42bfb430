package file

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// holder names the process that holds the lock of the file, as in "process 4242".
// It returns "another process" if the kernel does not say which one.
func holder(path string) string {
	const unknown = "another process"
	info, err := os.Stat(path)
	if err != nil {
		return unknown
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return unknown
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return unknown
	}
	defer func() { _ = locks.Close() }()
	suffix := fmt.Sprintf(":%d", stat.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// A line looks like this: 1: FLOCK  ADVISORY  WRITE 4242 fd:01:1311 0 EOF
		if f := strings.Fields(lines.Text()); len(f) > 5 && strings.HasSuffix(f[5], suffix) {
			return "process " + f[4]
		}
	}
	return unknown
}
