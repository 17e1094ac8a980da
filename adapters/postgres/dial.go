package postgres

import (
	"context"
	"net"
	"strings"
	"syscall"
	"time"
)

// How a peer that is no longer there is noticed, whichever side is to speak:
// what was sent and is not acknowledged ends the connection after
// unacknowledged, and an idle connection is probed. Without it a connection
// through a network that swallows packets hangs for a quarter of an hour or,
// when it waits for an answer, for ever.
const (
	unacknowledged = 8 * time.Second
	probeAfter     = 5 * time.Second
	probeEvery     = 2 * time.Second
)

// dial opens the connections of everything here.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: 3},
		Control: func(network, _ string, socket syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			return boundUnacknowledged(socket, unacknowledged)
		},
	}
	return dialer.DialContext(ctx, network, address)
}
