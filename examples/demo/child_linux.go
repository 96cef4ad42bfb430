package main

import "syscall"

// childAttributes puts a child into its own process group. So Ctrl-C reaches only this
// program, which stops the children in order. If this program is killed, the kernel
// stops the children.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
