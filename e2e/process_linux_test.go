package e2e

import "syscall"

// childAttributes make a child die with the test binary, also where that is
// killed: no server may outlive its test.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
