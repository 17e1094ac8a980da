package pgembed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

// dataMajor returns the major version that wrote the data, 0 when there is no data.
func dataMajor(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(data); err == nil {
			return 0, fmt.Errorf("%s exists but holds no cluster: move it away to start empty", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("version of the data: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("version of the data in %s: %w", data, err)
	}
	return major, nil
}

// createCluster runs initdb. The data folder appears complete or not at all: a crash half-way leaves a folder that the next
// attempt removes.
func (s *Server) createCluster(ctx context.Context, bin binaries) error {
	fresh := s.dataPath() + ".new"
	// LC_CTYPE has to be a UTF-8 locale. Not every system has C.UTF-8, older macOS for one.
	for _, locale := range []string{"C.UTF-8", "en_US.UTF-8"} {
		if err := os.RemoveAll(fresh); err != nil {
			return err
		}
		if err := s.as.makeOwn(fresh); err != nil {
			return err
		}
		said, err := s.initialize(ctx, bin, fresh, locale)
		if err == nil {
			return s.putInPlace(fresh)
		}
		if !strings.Contains(said, "locale") {
			return fmt.Errorf("initdb of PostgreSQL %v: %w: %s", bin, err, lastLine(said))
		}
	}
	return errors.New("this system has neither the locale C.UTF-8 nor en_US.UTF-8, and text search needs one of them")
}

// initialize returns what initdb said. Collation C sorts like C.UTF-8, by code point, only faster and the same on every
// system.
func (s *Server) initialize(ctx context.Context, bin binaries, data, locale string) (string, error) {
	cmd := s.as.command(ctx, s.folder, bin.program("initdb"),
		"--pgdata="+data, "--username="+superuser, "--pwfile="+s.passwordPath(), "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale-provider=libc", "--locale=C", "--lc-ctype="+locale, "--no-instructions")
	// initdb runs servers of its own; cancelling ends those with it.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// putInPlace makes the finished cluster the folder's data, durably.
func (s *Server) putInPlace(fresh string) error {
	if err := os.Rename(fresh, s.dataPath()); err != nil {
		return err
	}
	folder, err := os.Open(s.folder)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// arguments returns the command line of the server: where it listens, the default settings, and the caller's over them.
func (s *Server) arguments(port int) []string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": socketFolder(s.runPath()),
		"max_connections":         "200",
		"shared_buffers":          strconv.FormatUint(sharedBuffers(Memory())/mebibyte, 10) + "MB",
		"checkpoint_timeout":      "15min",
		"max_wal_size":            "1GB",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"lc_messages":             "C",
		"log_destination":         "stderr",
		"logging_collector":       "off",
	}
	if room, _ := RoomFor(s.folder); room >= 20*gibibyte {
		settings["max_wal_size"] = "4GB"
		settings["min_wal_size"] = "1GB"
	}
	for name, value := range s.config.Settings {
		settings[strings.ToLower(name)] = value
	}
	settings["port"] = strconv.Itoa(port)
	arguments := []string{"-D", s.dataPath()}
	for name, value := range settings {
		arguments = append(arguments, "--"+name+"="+value)
	}
	slices.Sort(arguments[2:])
	return arguments
}

// sharedBuffers gives an eighth of the memory to the server's cache, at least 16 MiB and at most 256 MiB; memory 0 is
// unknown.
func sharedBuffers(memory uint64) uint64 {
	if memory == 0 {
		return 256 * mebibyte
	}
	return min(max(memory/8, 16*mebibyte), 256*mebibyte)
}

// socketFolder returns the folder as the setting wants it, or empty (no unix socket) when the path of a socket in it would
// be longer than the system's 104 bytes (macOS; Linux has 108), or would need quoting.
func socketFolder(folder string) string {
	if len(folder+"/.s.PGSQL.65535") >= 104 || strings.ContainsAny(folder, `,"`) {
		return ""
	}
	return folder
}

// RoomFor returns the bytes that are free for a folder of this machine; known is false where the system does not tell.
func RoomFor(folder string) (bytes uint64, known bool) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0, false
	}
	return stat.Bavail * uint64(stat.Bsize), true
}

// writeDurably writes a file of mode 0600 that is still there after a power cut.
func writeDurably(path, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}

// lastLine returns the last line that says something, for an error of one sentence.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
