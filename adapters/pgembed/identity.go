package pgembed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that the programs of PostgreSQL run as.
type identity struct {
	name     string
	uid, gid uint32
	dropped  bool // this process is root and hands over to the user; otherwise it is that user
}

// runAs returns this process's own user, or, for root, the owner of the data, else postgres, else nobody.
func runAs(data string) (identity, error) {
	if os.Geteuid() != 0 {
		return identity{name: "this user", uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	if owner := ownerOf(data); owner != 0 {
		u, err := user.LookupId(strconv.FormatUint(uint64(owner), 10))
		if err != nil {
			return identity{}, fmt.Errorf("%s belongs to user id %d, which has no name on this system: PostgreSQL needs one", data, owner)
		}
		return dropTo(u)
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return dropTo(u)
		}
	}
	return identity{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody to run it as")
}

// ownerOf returns the owner's user id, 0 when the path does not exist.
func ownerOf(path string) uint32 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return 0
}

func dropTo(u *user.User) (identity, error) {
	uid, uidErr := strconv.ParseInt(u.Uid, 10, 64)
	gid, gidErr := strconv.ParseInt(u.Gid, 10, 64)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return identity{}, fmt.Errorf("ids of user %s: %w", u.Username, err)
	}
	// macOS has negative ids for nobody; the kernel takes them as 32 bits.
	return identity{name: "user " + u.Username, uid: uint32(uid), gid: uint32(gid), dropped: true}, nil
}

// canEnter refuses a folder that the user could not reach, before anything is created there. Only root can build such a
// trap, so nothing is checked otherwise.
func (id identity) canEnter(folder string) error {
	if !id.dropped {
		return nil
	}
	existing, err := deepestExisting(folder)
	if err != nil {
		return err
	}
	for at := existing; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("folder of the cluster: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", at)
		}
		if !id.mayEnter(info) {
			return fmt.Errorf("%w: PostgreSQL has to run as %s, who cannot enter %s (mode %04o), so choose a folder outside %s instead of %s, for example /var/lib/slotbook",
				ErrUnreachableFolder, id.name, at, info.Mode().Perm(), at, folder)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// deepestExisting returns the real path of the folder or of its nearest parent that exists.
func deepestExisting(folder string) (string, error) {
	real, err := filepath.EvalSymlinks(folder)
	if errors.Is(err, fs.ErrNotExist) && folder != filepath.Dir(folder) {
		return deepestExisting(filepath.Dir(folder))
	}
	if err != nil {
		return "", fmt.Errorf("folder of the cluster: %w", err)
	}
	return real, nil
}

// mayEnter reads the mode bits as the kernel does for a user without further groups.
func (id identity) mayEnter(info fs.FileInfo) bool {
	search := fs.FileMode(0o001)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case stat.Uid == id.uid:
			search = 0o100
		case stat.Gid == id.gid:
			search = 0o010
		}
	}
	return info.Mode()&search != 0
}

// makeFolders creates the folder and its missing parents. Below root they are open to be entered whatever the umask is;
// otherwise they are this user's alone.
func (id identity) makeFolders(folder string) error {
	if info, err := os.Stat(folder); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", folder)
		}
		return nil
	}
	if parent := filepath.Dir(folder); parent != folder {
		if err := id.makeFolders(parent); err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o700)
	if id.dropped {
		mode = 0o755
	}
	if err := os.Mkdir(folder, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(folder, mode)
}

// makeOwn creates a folder that belongs to the user alone.
func (id identity) makeOwn(folder string) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return id.own(folder)
}

// own hands a file or folder over to the user.
func (id identity) own(path string) error {
	if !id.dropped {
		return nil
	}
	if err := os.Chown(path, int(id.uid), int(id.gid)); err != nil {
		return fmt.Errorf("hand over to %s: %w", id.name, err)
	}
	return nil
}

// command prepares a program of PostgreSQL: as the right user, in a folder that user can be in, in a process group of its
// own (an interrupt at the terminal is for the owner to handle), and free of settings from this process's environment.
func (id identity) command(ctx context.Context, folder, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	// With a zone given, initdb does not compare every zone file with the system's; C keeps the log in English.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if id.dropped {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id.uid, Gid: id.gid, Groups: []uint32{}}
	}
	endWithParent(cmd.SysProcAttr)
	return cmd
}
