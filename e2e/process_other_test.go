//go:build !linux

package e2e

import "syscall"

// childAttributes returns nil: only Linux can kill a child when its parent dies.
func childAttributes() *syscall.SysProcAttr { return nil }
