//go:build !linux

package main

import "syscall"

// childAttributes returns nil: on other systems Ctrl-C stops the children directly.
func childAttributes() *syscall.SysProcAttr { return nil }
