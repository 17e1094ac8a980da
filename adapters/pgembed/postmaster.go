package pgembed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var errEndedByItself = errors.New("the server had ended by itself")

// postmaster is a running server process and the goroutine that waits for its end.
type postmaster struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read it after done
}

// launch starts the server on a port and waits until it takes connections. It returns ErrPortTaken when it cannot listen.
// The server inherits the open file alive, and so the lock on it.
func (s *Server) launch(ctx context.Context, bin binaries, port int, alive *os.File) (*postmaster, error) {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of the server: %w", err)
	}
	defer log.Close()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("log of the server: %w", err)
	}
	// The server outlives the context that bounds its start.
	cmd := s.as.command(context.WithoutCancel(ctx), s.folder, bin.program("postgres"), s.arguments(port)...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{alive}
	p, err := startPostmaster(cmd)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL %v: %w", bin, err)
	}
	err = p.awaitReady(ctx, s.dataPath())
	if errors.Is(err, errEndedByItself) {
		return nil, explain(err, io.NewSectionReader(log, before, mebibyte))
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("start PostgreSQL %v: %w", bin, err)
	}
	return p, nil
}

// startPostmaster starts the process on a thread that stays with it: the system ends the process together with the thread
// that started it, and idle threads may end at any time.
func startPostmaster(cmd *exec.Cmd) (*postmaster, error) {
	p := &postmaster{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// awaitReady waits until the server takes connections, has ended, or ctx is over.
func (p *postmaster) awaitReady(ctx context.Context, data string) error {
	return poll(ctx, func() (bool, error) {
		select {
		case <-p.done:
			return true, fmt.Errorf("%w: %w", errEndedByItself, p.err)
		default:
		}
		pid, port := readyServer(data)
		if pid != p.cmd.Process.Pid || !listens(ctx, port) {
			return false, nil
		}
		// The file may have been a dead server's with the same process id. Whoever listens has written his own.
		pid, _ = readyServer(data)
		return pid == p.cmd.Process.Pid, nil
	})
}

// ended tells whether the process has ended.
func (p *postmaster) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// explain adds the reason that the server's log gives for its end.
func explain(ended error, log io.Reader) error {
	text, err := io.ReadAll(log)
	if err != nil {
		return errors.Join(ended, err)
	}
	reason := lastLine(string(text))
	for line := range strings.Lines(string(text)) {
		if _, fatal, found := strings.Cut(line, "FATAL:"); found {
			reason = strings.TrimSpace(fatal)
		}
	}
	if strings.Contains(string(text), "could not bind") {
		return fmt.Errorf("%w: %s", ErrPortTaken, reason)
	}
	return fmt.Errorf("%w: %s", ended, reason)
}

// stop shuts the server down: fast first, and after a minute at once, without the last checkpoint. It returns
// errEndedByItself when the server ended in another way.
func (p *postmaster) stop() error {
	// Signalling fails only when the process has ended.
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%w: %w", errEndedByItself, p.err)
		}
		return nil
	case <-patience.C:
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		<-p.done
		return nil
	}
}

// kill ends the server and its children without a word and waits for the server's end. The children are in sessions of their
// own; those that are not found here end as soon as they notice that the server is gone.
func (p *postmaster) kill() {
	// Stopped, it starts no further child.
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	for _, child := range childrenOf(p.cmd.Process.Pid) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// readyServer reads which server says, in the data folder, that it takes connections. The process id is 0 when none does; a
// server that was killed still seems to.
func readyServer(data string) (pid, port int) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, 0
	}
	// Lines by number: 1 process id, 4 port, 8 status.
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 || strings.TrimSpace(lines[7]) != "ready" {
		return 0, 0
	}
	pid, pidErr := strconv.Atoi(lines[0])
	port, portErr := strconv.Atoi(lines[3])
	if pidErr != nil || portErr != nil {
		return 0, 0
	}
	return pid, port
}
