package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/pgembed"
)

func TestAServerKeepsTheDatabaseThatAnotherProcessStarted(t *testing.T) {
	t.Parallel()
	cases := []struct {
		what string
		end  func(t *testing.T, owner *server)
	}{
		{"and stopped", func(t *testing.T, owner *server) { require.Zero(t, owner.stop(), owner.logs) }},
		{"and left by a crash", func(_ *testing.T, owner *server) { owner.kill() }},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			folder := dataDir(t)
			owner := serve(t, "--data-dir", folder)
			survivors := []*server{serve(t, "--data-dir", folder), serve(t, "--data-dir", folder)}
			_, slots := clinicWith(owner, 1, 10)
			before := postmaster(folder)
			booked := book(owner, slots[0])
			c.end(t, owner)
			until(t, "another server of the database", func() bool { now := postmaster(folder); return now != 0 && now != before })
			for _, s := range survivors {
				until(t, "an answer without help", func() bool { return answers(s) })
				require.Equal(t, http.StatusOK, s.get("/v1/appointments/"+booked).status)
				book(s, slots[0])
				require.Zero(t, s.stop(), s.logs)
			}
			require.False(t, databaseLives(folder))
			require.Contains(t, fmt.Sprint(survivors[0].logs, survivors[1].logs), "was started again")
		})
	}
}

func TestAServerKeepsTheDatabaseThatAnotherCommandStarted(t *testing.T) {
	t.Parallel()
	folder := dataDir(t)
	require.Zero(t, execute(t, "migrate", "--data-dir", folder).status)
	command, err := pgembed.Open(t.Context(), pgembed.Config{Folder: filepath.Join(folder, "postgres")})
	require.NoError(t, err)
	require.True(t, command.Owned())
	t.Cleanup(func() { _ = command.Close() })
	s := serve(t, "--data-dir", folder)
	_, slots := clinicWith(s, 1, 10)
	require.NoError(t, command.Close())
	until(t, "an answer without help", func() bool { return answers(s) })
	book(s, slots[0])
	require.Zero(t, s.stop(), s.logs)
	require.False(t, databaseLives(folder))
}

func TestAServerWhoseDatabaseIsKilledLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	folder := dataDir(t)
	s := serve(t, "--data-dir", folder)
	slots, patients := slotsOf(s, 4), s.patients(8)
	var l load
	l.run(func() *server { return s }, slots, patients)
	until(t, "bookings", func() bool { return l.bookings() > 20 })
	require.NoError(t, syscall.Kill(postmaster(folder), syscall.SIGKILL))
	until(t, "the restart", func() bool { return strings.Contains(s.logs.String(), "was started again") })
	before := l.bookings()
	until(t, "bookings without help", func() bool { return l.bookings() > before+20 })
	l.end()
	require.Zero(t, l.count(http.StatusInternalServerError))
	for k, id := range l.acknowledged {
		require.Equal(t, http.StatusOK, s.get("/v1/appointments/"+id).status, "%s was acknowledged and is gone", k)
	}
	until(t, "readiness", func() bool { return answers(s) })
	require.Zero(t, s.stop(), s.logs)
	require.False(t, databaseLives(folder))
	audit := execute(t, "audit", "--data-dir", folder)
	require.Zero(t, audit.status, audit.out, audit.err)
}

func TestAServerWhoseDatabaseLostItsPortEnds(t *testing.T) {
	t.Parallel()
	folder := dataDir(t)
	s := serve(t, "--data-dir", folder)
	endpoint, err := os.ReadFile(filepath.Join(folder, "postgres", "endpoint"))
	require.NoError(t, err)
	// Held up, it cannot be faster than somebody else.
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	require.NoError(t, syscall.Kill(postmaster(folder), syscall.SIGKILL))
	until(t, "the port", func() bool {
		taken, err := net.Listen("tcp", strings.TrimSpace(string(endpoint)))
		if err == nil {
			t.Cleanup(func() { _ = taken.Close() })
		}
		return err == nil
	})
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
	<-s.done
	require.Equal(t, 1, s.cmd.ProcessState.ExitCode(), s.logs)
	lines := strings.Split(strings.TrimSpace(s.logs.String()), "\n")
	require.Contains(t, lines[len(lines)-1], "slotbook: the embedded PostgreSQL has ended and cannot come back")
	require.NotContains(t, s.logs.String(), "goroutine")

	again := serve(t, "--data-dir", folder)
	until(t, "an answer from another port", func() bool { return answers(again) })
	require.Zero(t, again.stop(), again.logs)
}

// answers tells whether a server is ready and lists slots.
func answers(s *server) bool {
	const brief = 5 * time.Second
	return s.call(brief, http.MethodGet, "/readyz", nil).status == http.StatusOK &&
		s.call(brief, http.MethodGet, "/v1/slots?limit=1", nil).status == http.StatusOK
}

// book books a slot for a new patient and returns the appointment.
func book(s *server, slot string) string {
	r := s.post("/v1/appointments", map[string]any{"slotId": slot, "patientId": s.patient("Ana")})
	require.Equal(s.t, http.StatusCreated, r.status, r.text)
	return r.field("id")
}

// postmaster returns the process of the folder's database, 0 when it says of
// none.
func postmaster(folder string) int {
	text, err := os.ReadFile(filepath.Join(folder, "postgres", "data", "postmaster.pid")) //nolint:gosec // the test's own folder
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return 0
	}
	return pid
}

// databaseLives tells whether any process of the folder's database is left:
// they all hold a lock.
func databaseLives(folder string) bool {
	file, err := os.Open(filepath.Join(folder, "postgres", "run", "alive")) //nolint:gosec // the test's own folder
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // nothing was written
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}
