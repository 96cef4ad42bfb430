//go:build !linux

package e2e

import "syscall"

// childAttributes are none: only Linux tells a child of its parent's death.
func childAttributes() *syscall.SysProcAttr { return nil }
