package postgres_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
)

// A peer that acknowledges nothing is noticed, on connections of the pool and
// on the store's own.
func TestAPeerThatIsGoneIsNoticed(t *testing.T) {
	t.Parallel()
	pool := openPool(t, postgrestest.Database(t))
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{})})
	require.NoError(t, err)
	var ofWriter []int
	store.PauseUnderLock(func() { ofWriter = socketOptions(t, store.Socket()) })
	start(t, store)
	_, err = store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1), resized(2)))
	require.NoError(t, err)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	want := []int{8000, 1, 5, 2}
	require.Equal(t, want, socketOptions(t, conn.Conn().PgConn().Conn()))
	require.Equal(t, want, ofWriter)
}

// socketOptions returns TCP_USER_TIMEOUT in milliseconds, whether there is
// keep-alive, and its idle time and interval in seconds.
func socketOptions(t *testing.T, conn net.Conn) (options []int) {
	t.Helper()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Errorf("the connection is a %T", conn)
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			for _, option := range [][2]int{
				{syscall.IPPROTO_TCP, 18},
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
			} {
				value, err := syscall.GetsockoptInt(int(fd), option[0], option[1])
				if err != nil {
					t.Errorf("socket option %v: %v", option, err)
				}
				options = append(options, value)
			}
		})
	}
	if err != nil {
		t.Errorf("socket: %v", err)
	}
	return options
}
