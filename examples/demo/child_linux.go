package main

import "syscall"

// childAttributes put a child into a group of its own, so that Ctrl-C reaches
// only this program, which ends them in order; and end it with this program,
// should that be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
