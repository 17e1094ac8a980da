//go:build !linux

package postgres

import (
	"syscall"
	"time"
)

// boundUnacknowledged does nothing: keep-alive has to do.
func boundUnacknowledged(syscall.RawConn, time.Duration) error { return nil }
