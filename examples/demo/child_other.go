//go:build !linux

package main

import "syscall"

// childAttributes are none: Ctrl-C reaches the children, too, and ends them.
func childAttributes() *syscall.SysProcAttr { return nil }
