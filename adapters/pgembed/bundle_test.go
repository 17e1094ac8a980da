package pgembed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestTheBundleFromNPMServes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not on the search path, so there is nothing to fetch the bundle with")
	}
	as, err := runAs("")
	require.NoError(t, err)
	bin, err := bundledBinaries(t.Context(), "", as)
	if errors.Is(err, ErrNoBinaries) {
		t.Skip("the bundle cannot be fetched or does not run here: ", err)
	}
	require.NoError(t, err)
	require.Equal(t, bundleMajor, bin.major)

	folder := openFolder(t)
	server, err := Open(t.Context(), Config{Folder: folder, Bin: bin.folder})
	require.NoError(t, err)
	require.Equal(t, bundleMajor, answerMajor(t, server))
	require.NoError(t, server.Close())

	server, err = Open(t.Context(), Config{Folder: folder})
	require.NoError(t, err, "binaries that match the data are found without being named")
	require.Equal(t, bundleMajor, answerMajor(t, server))
	require.NoError(t, server.Close())
}

// answerMajor asks the server for its major version, and checks that trigrams work.
func answerMajor(t *testing.T, server *Server) int {
	t.Helper()
	db, err := pgx.Connect(t.Context(), server.URL("postgres"))
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "create extension if not exists pg_trgm")
	require.NoError(t, err)
	var major int
	var trigrams []string
	row := db.QueryRow(t.Context(), "select current_setting('server_version_num')::int / 10000, show_trgm('한글')")
	require.NoError(t, row.Scan(&major, &trigrams))
	require.NotEmpty(t, trigrams)
	require.NoError(t, db.Close(t.Context()))
	return major
}

func TestEveryPlatformHasItsPinnedBundle(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "darwin"} {
		for _, processor := range []string{"amd64", "arm64"} {
			b, known := bundleFor(system, processor)
			require.True(t, known)
			sum, err := base64.StdEncoding.DecodeString(b.sum)
			require.NoError(t, err)
			require.Len(t, sum, sha512.Size)
		}
	}
	_, known := bundleFor("plan9", "386")
	require.False(t, known)
}

func TestATarballIsUnpackedWithItsModesAndLinks(t *testing.T) {
	t.Parallel()
	tarball := pack(t, []tar.Header{
		{Name: "package/README.md", Mode: 0o644},
		{Name: "package/native/bin/postgres", Mode: 0o755},
		{Name: "package/native/lib/libpq.so.5.18", Mode: 0o600},
	}, `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`)
	folder := filepath.Join(t.TempDir(), "unpacked")
	require.NoError(t, pinned(tarball).unpack(tarball, folder))

	require.NoFileExists(t, filepath.Join(folder, "README.md"))
	for name, mode := range map[string]os.FileMode{"bin": 0o755, "bin/postgres": 0o755, "lib/libpq.so.5.18": 0o644} {
		info, err := os.Stat(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	link, err := os.Readlink(filepath.Join(folder, "lib/libpq.so.5"))
	require.NoError(t, err)
	require.Equal(t, "libpq.so.5.18", link)
}

func TestATarballThatIsNotThePinnedOneIsRefused(t *testing.T) {
	t.Parallel()
	tarball := pack(t, nil, "[]")
	folder := filepath.Join(t.TempDir(), "unpacked")
	err := pinned(tarball).unpack(append(tarball, 0), folder)
	require.ErrorIs(t, err, errBadSum)
	require.NoDirExists(t, folder)
}

func TestATarballCannotWriteOutsideItsFolder(t *testing.T) {
	t.Parallel()
	tarball := pack(t, []tar.Header{{Name: "package/native/../../../escaped", Mode: 0o644}}, "[]")
	parent := t.TempDir()
	err := pinned(tarball).unpack(tarball, filepath.Join(parent, "a", "b"))
	require.Error(t, err, "the parent is missing")
	err = pinned(tarball).unpack(tarball, filepath.Join(parent, "unpacked"))
	require.ErrorIs(t, err, errBadPath)
	require.NoFileExists(t, filepath.Join(parent, "escaped"))
}

func TestACacheThatOthersCouldWriteIsRefused(t *testing.T) {
	t.Parallel()
	shared := filepath.Join(t.TempDir(), "shared")
	require.NoError(t, os.Mkdir(shared, 0o700))
	require.NoError(t, os.Chmod(shared, 0o777))
	_, err := cacheFolder(shared, identity{})
	require.ErrorContains(t, err, "writable by nobody else")
}

func TestWithoutPostgresAndNPMTheErrorSaysWhatToInstall(t *testing.T) {
	if _, known := bundleFor(runtime.GOOS, runtime.GOARCH); !known {
		t.Skip("there is no bundle for this platform to begin with")
	}
	t.Setenv("PATH", t.TempDir())
	as, err := runAs("")
	require.NoError(t, err)
	_, err = bundledBinaries(t.Context(), filepath.Join(openFolder(t), "cache"), as)
	require.ErrorIs(t, err, ErrNoBinaries)
	require.ErrorContains(t, err, "apt-get install postgresql")
	require.ErrorContains(t, err, "brew install postgresql@17")
}

func TestVersionsAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": {15, 18},
		"postgres (PostgreSQL) 18.4\n":                           {18, 4},
		"postgres (PostgreSQL) 19beta2\n":                        {19, 0},
		"postgres (PostgreSQL) 20devel":                          {20, 0},
	} {
		major, minor, err := parseVersion(text)
		require.NoError(t, err)
		require.Equal(t, want, [2]int{major, minor}, text)
	}
	for _, text := range []string{"", "postgres", "postgres (PostgreSQL) new"} {
		_, _, err := parseVersion(text)
		require.Error(t, err, text)
	}
}

func TestTheCacheOfTheServerFollowsTheMemory(t *testing.T) {
	t.Parallel()
	for gigabytes, want := range map[uint64]uint64{0: 256, 1: 128, 2: 256, 64: 256} {
		require.Equal(t, want*mebibyte, sharedBuffers(gigabytes*gibibyte))
	}
	require.EqualValues(t, 16*mebibyte, sharedBuffers(64*mebibyte))
}

// openFolder is t.TempDir, which root's server can enter as well: the testing package keeps its folders to this user.
func openFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(folder), 0o755))
	return folder
}

// pinned returns a bundle whose sum is the tarball's.
func pinned(tarball []byte) bundle {
	sum := sha512.Sum512(tarball)
	return bundle{sum: base64.StdEncoding.EncodeToString(sum[:])}
}

// pack makes a tarball of empty files, and the list of links.
func pack(t *testing.T, files []tar.Header, links string) []byte {
	t.Helper()
	var tarball bytes.Buffer
	zipped := gzip.NewWriter(&tarball)
	written := tar.NewWriter(zipped)
	for _, header := range files {
		require.NoError(t, written.WriteHeader(&header))
	}
	header := &tar.Header{Name: "package/native/pg-symlinks.json", Mode: 0o644, Size: int64(len(links))}
	require.NoError(t, written.WriteHeader(header))
	_, err := written.Write([]byte(links))
	require.NoError(t, err)
	require.NoError(t, written.Close())
	require.NoError(t, zipped.Close())
	return tarball.Bytes()
}
