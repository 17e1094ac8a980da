package postgres

import (
	"errors"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall does not
// name on every architecture.
const tcpUserTimeout = 18

func boundUnacknowledged(socket syscall.RawConn, bound time.Duration) error {
	var refused error
	err := socket.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(bound.Milliseconds()))
	})
	return errors.Join(err, refused)
}
