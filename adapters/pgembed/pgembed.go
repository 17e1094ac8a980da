// Package pgembed starts an embedded PostgreSQL: a cluster of its own in one folder, with nothing to set up.
//
//	FOLDER/
//	  data/      the cluster, owned by the user the server runs as
//	  run/       the unix socket, and the file that every process of the server keeps locked
//	  password   of the superuser slotbook, mode 0600
//	  endpoint   host:port of the last start
//	  lock       held while somebody starts the server
//	  log        what the server writes
//
// Binaries are the installed ones, highest version first, otherwise a pinned bundle from npm. PostgreSQL refuses to run as
// root: root starts it as the user who owns the data, else as postgres, else as nobody.
//
// Invariants: at most one server runs on a folder, whoever asks; data is never opened by another major version than the one
// that wrote it; commits are durable (fsync and synchronous_commit are on); text is UTF-8, and so is LC_CTYPE, without which
// trigrams of anything but ASCII are silently empty; where the system can do it (Linux) the server ends with its owner.
package pgembed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	// ErrNoBinaries tells that there is no PostgreSQL on this machine and that none could be fetched.
	ErrNoBinaries = errors.New("no PostgreSQL found")
	// ErrOtherMajor tells that the data was written by a major version of PostgreSQL that is not at hand.
	ErrOtherMajor = errors.New("data of another PostgreSQL version")
	// ErrUnreachableFolder tells that the user whom root hands the server to cannot enter the folder.
	ErrUnreachableFolder = errors.New("folder out of the server's reach")
	// ErrPortTaken is what Reopen answers when the server cannot come back on its port.
	ErrPortTaken = errors.New("another program has taken the server's port")
	// ErrNotOwned is what Kill and Restart answer when another process started the server.
	ErrNotOwned = errors.New("pgembed: the server belongs to another process")
)

// superuser is the role that the cluster is made with.
const superuser = "slotbook"

// Config says where a cluster lives and how its server runs.
type Config struct {
	// Folder holds everything of one cluster; it is created when missing. Required.
	Folder string
	// Cache is the folder that unpacked bundles are kept in, shared by all clusters. Empty: /var/cache/slotbook for root
	// (/Library/Caches/slotbook on macOS), the user's cache folder otherwise.
	Cache string
	// Bin is a folder with the programs postgres and initdb, and the only one that is looked at. Empty: find some.
	Bin string
	// Settings are server settings by name. They override the defaults, except port, which may not be set. Default: none.
	Settings map[string]string
}

// Server is a running PostgreSQL, or a stopped one between Kill or Close and Restart. Its methods may be called
// concurrently.
type Server struct {
	config Config
	folder string
	as     identity

	mu         sync.Mutex
	port       int
	password   string
	owned      bool
	postmaster *postmaster // nil: shared, killed or closed
}

// Open makes sure that a server runs on the folder and answers. One that runs already, started by whatever process, is
// used; otherwise Open makes the cluster if need be, starts the server and owns it. Of several that open one folder at once,
// one starts the server. ctx bounds the wait (recovery after a crash can take minutes), not the life of the server.
//
// Errors to act on: ErrNoBinaries, ErrOtherMajor, ErrUnreachableFolder.
func Open(ctx context.Context, c Config) (*Server, error) {
	s, err := prepare(c)
	if err == nil {
		err = s.attach(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("pgembed: %w", err)
	}
	return s, nil
}

// URL returns the address of a database over TCP, password included. The database "postgres" always exists. The address
// stays the same over Restart.
func (s *Server) URL(database string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     address(s.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable&connect_timeout=10", // seconds; starting, this machine may be busy
	}
	return u.String()
}

// Owned tells whether this Server started the server process, so that Close stops it.
func (s *Server) Owned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned
}

// Close stops the server when this Server owns it, and waits until it has ended. Open transactions are rolled back. On a
// shared, killed or closed server it does nothing. It fails when the server had ended on its own.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop()
}

// Kill ends every process of the server at once, as a crash does: nothing is written or said any more. The data stays, and
// Restart recovers it. It is meant for tests.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owned {
		return ErrNotOwned
	}
	if s.postmaster == nil {
		return nil
	}
	s.postmaster.kill()
	s.postmaster = nil
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alive, err := lockFile(ctx, s.alivePath())
	if err != nil {
		return fmt.Errorf("pgembed: wait for the killed server to be gone: %w", err)
	}
	return alive.Close()
}

// Restart stops the server if it still runs and starts it again on the same port.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owned {
		return ErrNotOwned
	}
	if err := s.stop(); err != nil && !errors.Is(err, errEndedByItself) {
		return err
	}
	if err := s.attachLocked(ctx); err != nil {
		return fmt.Errorf("pgembed: restart: %w", err)
	}
	return nil
}

// Running tells whether the server still runs, on the port of URL. It is cheap: it connects to nothing, and reads nothing
// that the server has to answer. A server that is just ending still runs.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.postmaster != nil {
		return !s.postmaster.ended()
	}
	alive, err := tryLock(s.alivePath())
	if !errors.Is(err, errLocked) {
		if err == nil {
			// Nothing was written that closing could lose.
			_ = alive.Close()
		}
		return false
	}
	pid, port := readyServer(s.dataPath())
	return pid == 0 || port == s.port
}

// Reopen makes sure, as Open does, that a server runs on the folder and answers: the one that runs by now, whoever started
// it, or a new one, which this Server then owns. URL stays the same. Only data that is there is opened.
//
// Error to act on: ErrPortTaken.
func (s *Server) Reopen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.postmaster != nil && !s.postmaster.ended() {
		return nil
	}
	if err := s.reopen(ctx); err != nil {
		return fmt.Errorf("pgembed: %w", err)
	}
	return nil
}

// reopen is Reopen for a caller that holds the mutex and whose own server, if it had one, has ended.
func (s *Server) reopen(ctx context.Context) error {
	s.postmaster = nil
	major, err := dataMajor(s.dataPath())
	if err != nil {
		return err
	}
	if major == 0 {
		return fmt.Errorf("the data in %s is gone", s.dataPath())
	}
	port := s.port
	if err := s.attachLocked(ctx); err != nil {
		return err
	}
	if s.port != port {
		moved := s.port
		s.port = port
		return fmt.Errorf("%w: it is on port %d now", ErrPortTaken, moved)
	}
	return nil
}

// stop is Close for a caller that holds the mutex.
func (s *Server) stop() error {
	if s.postmaster == nil {
		return nil
	}
	p := s.postmaster
	s.postmaster = nil
	if err := p.stop(); err != nil {
		return fmt.Errorf("pgembed: %w (see %s)", err, s.logPath())
	}
	return nil
}

// prepare checks the configuration and makes the folders, so that everything that follows can be done by s.as.
func prepare(c Config) (*Server, error) {
	if c.Folder == "" {
		return nil, errors.New("a folder for the cluster is required")
	}
	if _, set := c.Settings["port"]; set {
		return nil, errors.New("the setting port cannot be given: the port is picked, and kept over restarts")
	}
	folder, err := filepath.Abs(c.Folder)
	if err != nil {
		return nil, fmt.Errorf("folder of the cluster: %w", err)
	}
	s := &Server{config: c, folder: folder}
	if s.as, err = runAs(s.dataPath()); err != nil {
		return nil, err
	}
	if err := s.as.canEnter(folder); err != nil {
		return nil, err
	}
	if err := s.as.makeFolders(folder); err != nil {
		return nil, err
	}
	return s, s.as.makeOwn(s.runPath())
}

func (s *Server) attach(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attachLocked(ctx)
}

// attachLocked uses the running server or starts one, while no other process does the same.
func (s *Server) attachLocked(ctx context.Context) error {
	lock, err := lockFile(ctx, filepath.Join(s.folder, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	alive, err := s.settle(ctx)
	if err != nil {
		return err
	}
	if s.password, err = s.loadPassword(); err != nil {
		return err
	}
	if alive == nil {
		s.owned = false
		return nil
	}
	// The server has inherited the lock by the time start returns and holds it until its last process has ended.
	defer alive.Close()
	s.owned = true
	return s.start(ctx, alive)
}

// settle waits until it is clear whether a server runs on the folder. It returns nil when one answers; otherwise the lock
// that says that no process of any server is left here, not even a backend whose postmaster was killed.
func (s *Server) settle(ctx context.Context) (*os.File, error) {
	var alive *os.File
	err := poll(ctx, func() (bool, error) {
		var err error
		if alive, err = tryLock(s.alivePath()); !errors.Is(err, errLocked) {
			return true, err
		}
		pid, port := readyServer(s.dataPath())
		if pid == 0 || !listens(ctx, port) {
			return false, nil
		}
		s.port = port
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("a server in %s is running but does not answer: %w", s.folder, err)
	}
	return alive, nil
}

// start makes the cluster if there is none yet and starts the server.
func (s *Server) start(ctx context.Context, alive *os.File) error {
	major, err := dataMajor(s.dataPath())
	if err != nil {
		return err
	}
	bin, err := findBinaries(ctx, s.config, s.as, major)
	if err != nil {
		return err
	}
	if major == 0 {
		if err := s.createCluster(ctx, bin); err != nil {
			return err
		}
	}
	if s.postmaster, err = s.launchOnPort(ctx, bin, alive); err != nil {
		return err
	}
	endpoint := address(s.port) + "\n"
	if err := os.WriteFile(s.endpointPath(), []byte(endpoint), 0o644); err != nil {
		return errors.Join(fmt.Errorf("note the endpoint: %w", err), s.stop())
	}
	return nil
}

// launchOnPort starts the server on the port it had before in this process, else on the recorded or a random free one; there
// it tries again when somebody else takes the port in the meantime.
func (s *Server) launchOnPort(ctx context.Context, bin binaries, alive *os.File) (*postmaster, error) {
	if s.port != 0 {
		return s.launch(ctx, bin, s.port, alive)
	}
	port := s.recordedPort()
	for tries := 0; ; tries++ {
		if port == 0 || !isFree(ctx, port) {
			var err error
			if port, err = freePort(ctx); err != nil {
				return nil, err
			}
		}
		p, err := s.launch(ctx, bin, port, alive)
		if errors.Is(err, ErrPortTaken) && tries < 5 {
			port = 0
			continue
		}
		if err == nil {
			s.port = port
		}
		return p, err
	}
}

// loadPassword reads the superuser's password, and makes one up when there is neither a password nor data.
func (s *Server) loadPassword() (string, error) {
	path := s.passwordPath()
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("password of the cluster: %w", err)
	}
	if major, err := dataMajor(s.dataPath()); err != nil || major != 0 {
		return "", errors.Join(err, fmt.Errorf("%s is missing although there is data: put it back, or move %s away to start empty", path, s.folder))
	}
	password := rand.Text()
	if err := writeDurably(path, password+"\n"); err != nil {
		return "", fmt.Errorf("password of the cluster: %w", err)
	}
	// initdb reads the file, as the user that the server runs as.
	return password, s.as.own(path)
}

// recordedPort returns the port of the last start, 0 when there is none.
func (s *Server) recordedPort() int {
	text, err := os.ReadFile(s.endpointPath())
	if err != nil {
		return 0
	}
	_, digits, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	port, err := strconv.Atoi(digits)
	if err != nil || port < 1 || port > 65535 {
		return 0
	}
	return port
}

func (s *Server) dataPath() string     { return filepath.Join(s.folder, "data") }
func (s *Server) runPath() string      { return filepath.Join(s.folder, "run") }
func (s *Server) alivePath() string    { return filepath.Join(s.folder, "run", "alive") }
func (s *Server) passwordPath() string { return filepath.Join(s.folder, "password") }
func (s *Server) endpointPath() string { return filepath.Join(s.folder, "endpoint") }
func (s *Server) logPath() string      { return filepath.Join(s.folder, "log") }
