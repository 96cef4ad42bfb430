package e2e

import "syscall"

// childAttributes makes the kernel kill a child when the test binary dies, so that no
// server outlives its test.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
