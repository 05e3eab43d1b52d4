//go:build !linux

package redistest

import "syscall"

// childAttr asks for nothing: there is no portable way to tie a child's life to
// its parent's.
func childAttr() *syscall.SysProcAttr { return nil }

// standing trusts the signal: there is no portable way to see the state.
func standing(int) bool { return true }
