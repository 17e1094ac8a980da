package main

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

// crashAt returns what kills the process, as kill -9 does, at the n-th step of a
// build of read models. It is for tests, which set SLOTBOOK_TEST_CRASH_AT; without
// a number it is nil.
func crashAt(n string) func(step string) {
	at, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return nil
	}
	var steps atomic.Int64
	return func(string) {
		if steps.Add(1) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // itself
			select {}                                      // until it has come
		}
	}
}
