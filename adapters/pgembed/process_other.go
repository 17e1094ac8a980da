//go:build !linux

package pgembed

import "syscall"

// endWithParent does nothing: only Linux can tie a process to its parent. A server that outlived its owner is used by the
// next Open.
func endWithParent(*syscall.SysProcAttr) {}

// childrenOf returns none: the children end by themselves when their parent is gone.
func childrenOf(int) []int { return nil }

// Memory returns 0, unknown.
func Memory() uint64 { return 0 }
