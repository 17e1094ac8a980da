package main

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/slotbook/slotbook/projections/engine"
)

// newer returns read models as a newer program may have them: each version higher
// by a number. It is for tests, which set SLOTBOOK_TEST_NEWER; without a number
// they are as they are.
func newer(models []engine.Model, by string) []engine.Model {
	n, err := strconv.Atoi(by)
	if err != nil {
		return models
	}
	for i := range models {
		models[i].Version += n
	}
	return models
}

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
