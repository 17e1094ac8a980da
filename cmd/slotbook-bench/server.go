package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// serverProcess is the real server in its own process.
type serverProcess struct {
	command *exec.Cmd
	address string // host:port
	log     *os.File
}

// startServer starts the server on a database and waits until it listens.
func (b *bench) startServer(ctx context.Context, database string) (*serverProcess, error) {
	path, err := b.serverBinary(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(b.folder, "server.log"))
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, path, "serve", "--listen", "127.0.0.1:0", "--database-url", database, "--data-dir", filepath.Join(b.folder, "server")) //nolint:gosec // the binary that is measured
	command.Env = append(os.Environ(), "SLOTBOOK_MASTER_KEY="+hex.EncodeToString(masterKey()))
	if b.profile != "" {
		command.Env = append(command.Env, "SLOTBOOK_CPU_PROFILE="+filepath.Join(b.profile, "server.pprof"))
	}
	command.Stderr = log
	command.WaitDelay = 15 * time.Second
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &serverProcess{command: command, log: log}
	if s.address, err = listening(out); err != nil {
		return nil, fmt.Errorf("start the server: %w: %s", errors.Join(err, s.stop()), s.lastWords())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return s, nil
}

// serverBinary returns the binary's path, and builds it when it is missing.
func (b *bench) serverBinary(ctx context.Context) (string, error) {
	if _, err := os.Stat(b.binary); err == nil {
		return filepath.Abs(b.binary)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", b.binary, "github.com/slotbook/slotbook/cmd/slotbook") //nolint:gosec // a path that the caller gave
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, said)
	}
	return filepath.Abs(b.binary)
}

// listening reads the address off the server's greeting.
func listening(out io.Reader) (string, error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		_, address, found := strings.Cut(lines.Text(), "listens on ")
		if u, err := url.Parse(address); found && err == nil {
			return u.Host, nil
		}
	}
	return "", errors.Join(errors.New("it did not say where it listens"), lines.Err())
}

// stop ends the server and waits for it.
func (s *serverProcess) stop() error {
	err := s.command.Process.Signal(syscall.SIGTERM)
	if waited := s.command.Wait(); waited != nil {
		err = fmt.Errorf("the server: %w: %s", waited, s.lastWords())
	}
	return errors.Join(err, s.log.Close())
}

// lastWords returns the end of what the server logged.
func (s *serverProcess) lastWords() string {
	const enough = 2000
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-enough):])
}
