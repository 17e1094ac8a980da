package pgembed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

var errLocked = errors.New("locked by another process")

// poll calls the function at once and then every 5 ms until it is done or ctx is over. It is for what another process does
// without telling.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// lockFile waits for the exclusive lock on a file. The lock ends with the last open copy of the file, in whatever process.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	var file *os.File
	err := poll(ctx, func() (bool, error) {
		var err error
		file, err = tryLock(path)
		if errors.Is(err, errLocked) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

// tryLock locks a file, or returns errLocked at once.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, errors.Join(err, file.Close())
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// listens tells whether somebody takes connections on the port.
func listens(ctx context.Context, port int) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address(port))
	if err != nil {
		return false
	}
	// Nothing was sent that closing could lose.
	_ = conn.Close()
	return true
}

// isFree tells whether a server could listen on the port. 0 asks the system for any.
func isFree(ctx context.Context, port int) bool {
	_, err := listenOnce(ctx, port)
	return err == nil
}

// freePort returns a random port that is free. It is taken from below those that systems give to outgoing connections, where
// a client that keeps dialling a stopped server could end up connected to itself, and hold the port.
func freePort(ctx context.Context) (int, error) {
	for range 50 {
		if port := 20_000 + rand.IntN(12_000); isFree(ctx, port) {
			return port, nil
		}
	}
	return listenOnce(ctx, 0)
}

func listenOnce(ctx context.Context, port int) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address(port))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("find a free port: %v is no TCP address", listener.Addr())
	}
	return addr.Port, nil
}
