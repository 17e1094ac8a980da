package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// asProgram makes the test binary be the program, so that tests start real
// processes.
const asProgram = "SLOTBOOK_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	postgrestest.Main(m)
}

// key is the master key of every process under test.
var key = strings.Repeat("0123456789abcdef", 4)

// built names the program as it is shipped, where it has been built already.
const built = "SLOTBOOK_TEST_PROGRAM"

// program prepares a process of the program as it is shipped: with the race
// detector it takes five times as long.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return process(t, cmp.Or(os.Getenv(built), os.Args[0]), args...)
}

func process(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...) //nolint:gosec // the test binary itself, or the program
	// The race detector would sleep for a second at the end of each process.
	cmd.Env = append(os.Environ(), asProgram+"=1", "SLOTBOOK_MASTER_KEY="+key, "GOCOVERDIR="+t.TempDir(), "GORACE=atexit_sleep_ms=10")
	return cmd
}

// server is a running process of "slotbook serve".
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	base string
	logs *lockedBuffer
	done chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve starts a server on a free port and waits until it says where it
// listens. It is killed when the test ends.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	return serveWith(t, nil, args...)
}

// serveWith is serve with variables of the environment besides.
func serveWith(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	cmd := program(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(cmd.Env, env...)
	return started(t, cmd)
}

// watched is serve with the race detector, if these tests have it: for servers
// whose requests race.
func watched(t *testing.T, args ...string) *server {
	t.Helper()
	return started(t, process(t, os.Args[0], append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...))
}

// started starts a server and waits until it says where it listens.
func started(t *testing.T, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, logs: &lockedBuffer{}, done: make(chan struct{})}
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	s.cmd.Stderr = s.logs
	require.NoError(t, s.cmd.Start())
	lines := bufio.NewScanner(out)
	for s.base == "" && lines.Scan() {
		if _, base, ok := strings.Cut(lines.Text(), "listens on "); ok {
			s.base = base
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = s.cmd.Wait() // the status says it
		close(s.done)
	}()
	t.Cleanup(s.kill)
	require.NotEmpty(t, s.base, "the server did not start: %s", s.logs)
	return s
}

// kill ends the process at once, as a crash does.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.done
}

// stop ends the process as an operator does, and returns its exit status.
func (s *server) stop() int {
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	<-s.done
	return s.cmd.ProcessState.ExitCode()
}

// reply is an answer of the server; status 0 when there was none.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

// text returns a field of the body.
func (r reply) field(name string) string {
	text, _ := r.body[name].(string)
	return text
}

// call sends a request. No answer in time is status 0.
func (s *server) call(timeout time.Duration, method, path string, body any, headers ...string) reply {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		require.NoError(s.t, err)
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, content)
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}
	}
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(data)}
	_ = json.Unmarshal(data, &r.body) // not every answer is JSON
	return r
}

const patience = 30 * time.Second

// post sends a request, with a key of its own unless one is given, and insists
// on an answer.
func (s *server) post(path string, body any, headers ...string) reply {
	if !slices.Contains(headers, "Idempotency-Key") {
		headers = append(slices.Clip(headers), "Idempotency-Key", uuid.NewString())
	}
	return s.insist(http.MethodPost, path, body, headers...)
}

func (s *server) get(path string) reply { return s.insist(http.MethodGet, path, nil) }

// insist sends a request, and sends it again, as the API says, when the store
// did not answer in time on a machine that cannot keep up. What an earlier try
// has created counts as created.
func (s *server) insist(method, path string, body any, headers ...string) reply {
	r := s.call(patience, method, path, body, headers...)
	for tries := 0; r.status == http.StatusServiceUnavailable && strings.HasPrefix(r.field("rule"), "store.") && tries < 20; tries++ {
		r = s.call(patience, method, path, body, headers...)
		if collection := strings.Count(path, "/") == 2; collection && method == http.MethodPost && r.status == http.StatusOK {
			r.status = http.StatusCreated
		}
	}
	return r
}

// clinicWith makes a clinic with practitioners whose next week is open, and
// returns the clinic and the first slot of each practitioner.
func clinicWith(s *server, practitioners, capacity int) (clinic string, slots []string) {
	r := s.post("/v1/clinics", map[string]any{"name": "Sunrise", "zone": "UTC"})
	require.Equal(s.t, http.StatusCreated, r.status, r.text)
	clinic = r.field("id")
	for n := range practitioners {
		p := s.post("/v1/practitioners", map[string]any{"name": fmt.Sprint("Dr. ", n), "clinicIds": []string{clinic}, "specialties": []string{"cardiology"}})
		require.Equal(s.t, http.StatusCreated, p.status, p.text)
		slots = append(slots, s.openWeek(p.field("id"), clinic, capacity)...)
	}
	return clinic, slots
}

// openWeek opens two slots of half an hour on each day of the week ahead and
// returns the first of tomorrow.
func (s *server) openWeek(practitioner, clinic string, capacity int) []string {
	var weekly []map[string]any
	for _, day := range []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"} {
		weekly = append(weekly, map[string]any{"weekday": day, "from": "00:00", "to": "01:00", "slotDuration": "PT30M", "capacity": capacity})
	}
	set := s.insist(http.MethodPut, "/v1/practitioners/"+practitioner+"/schedules/"+clinic, map[string]any{"weekly": weekly, "horizonDays": 7})
	require.Equal(s.t, http.StatusOK, set.status, set.text)
	list := s.get("/v1/slots?practitionerId=" + practitioner + "&minPosition=" + set.header.Get("Slotbook-Position"))
	require.Equal(s.t, http.StatusOK, list.status, list.text)
	items, _ := list.body["items"].([]any)
	require.NotEmpty(s.t, items, list.text)
	first, _ := items[0].(map[string]any)
	return []string{first["id"].(string)}
}

func (s *server) patient(name string) string {
	r := s.post("/v1/patients", map[string]any{"name": name})
	require.Equal(s.t, http.StatusCreated, r.status, r.text)
	return r.field("id")
}

// patients registers n patients at once.
func (s *server) patients(n int) []string {
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { ids[i] = s.patient(fmt.Sprint("Patient ", i)) })
	}
	all.Wait()
	return ids
}

// audited runs "slotbook audit" and requires that it finds nothing.
func audited(t *testing.T, url string) string {
	t.Helper()
	out, err := program(t, "audit", "--database-url", url).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "I1 to I5 hold")
	return string(out)
}
