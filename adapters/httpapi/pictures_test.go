package httpapi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/adapters/picture"
	"github.com/slotbook/slotbook/domain/practitioner"
)

// pictureOf returns where the practitioner's picture is.
func pictureOf(t testing.TB, answer *httptest.ResponseRecorder) string {
	t.Helper()
	var p httpapi.Practitioner
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
	return p.PictureURL
}

// album keeps pictures in memory.
type album struct{ all sync.Map }

func (*album) Prepare(upload []byte) (id string, shown []byte, err error) {
	return picture.Prepare(upload)
}

func (a *album) Put(_ context.Context, id string, shown []byte) error {
	a.all.Store(id, shown)
	return nil
}

func (a *album) Get(_ context.Context, id string) ([]byte, error) {
	stored, _ := a.all.Load(id)
	found, _ := stored.([]byte)
	return found, nil
}

func portrait(t testing.TB, side int) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, image.NewGray(image.Rect(0, 0, side, side))))
	return out.Bytes()
}

// claiming returns a PNG whose header says that it is so wide and high.
func claiming(picture []byte, side uint32) []byte {
	const header, sizes, sum = 12, 16, 29 // where the type of its first chunk, its sides and their CRC begin (PNG, 5.6 and 11.2.1)
	claims := slices.Clone(picture)
	binary.BigEndian.PutUint32(claims[sizes:], side)
	binary.BigEndian.PutUint32(claims[sizes+4:], side)
	binary.BigEndian.PutUint32(claims[sum:], crc32.ChecksumIEEE(claims[header:sum]))
	return claims
}

func TestThePictureOfAPractitioner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.open(t).practitioner
	path := "/v1/practitioners/" + who + "/picture"
	upload := func(body []byte, kind string) string {
		answer := w.send(t, http.MethodPut, path, http.Header{"Content-Type": {kind}, "Idempotency-Key": {"one"}}, body)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		return pictureOf(t, answer)
	}
	require.Equal(t, "practitioner.no-picture", rule(t, w.call(t, http.MethodGet, path, "")))

	first := upload(portrait(t, 600), "image/png")
	require.Equal(t, first, upload(portrait(t, 600), "image/png"), "the same command")
	require.True(t, strings.HasPrefix(first, path+"?v="))
	require.Equal(t, first, pictureOf(t, w.call(t, http.MethodGet, "/v1/practitioners/"+who, "")))
	shown := w.call(t, http.MethodGet, first, "")
	require.Equal(t, "image/jpeg", shown.Header().Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", shown.Header().Get("Cache-Control"))
	decoded, _, err := image.Decode(shown.Body)
	require.NoError(t, err)
	require.Equal(t, image.Pt(512, 512), decoded.Bounds().Size())

	plain := w.call(t, http.MethodGet, path, "")
	require.Equal(t, "public, no-cache", plain.Header().Get("Cache-Control"))
	for _, tag := range []string{plain.Header().Get("ETag"), `"other", W/` + plain.Header().Get("ETag"), "*"} {
		again := w.call(t, http.MethodGet, path, "", "If-None-Match", tag)
		require.Equal(t, http.StatusNotModified, again.Code)
		require.Empty(t, again.Body.Bytes())
	}

	second := w.send(t, http.MethodPut, path, http.Header{"Content-Type": {"image/png"}}, portrait(t, 20))
	require.NotEqual(t, first, pictureOf(t, second))
	old := w.call(t, http.MethodGet, first, "")
	require.Equal(t, "public, no-cache", old.Header().Get("Cache-Control"), "it is another picture now")

	require.Equal(t, http.StatusOK, w.call(t, http.MethodDelete, path, "").Code)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodDelete, path, "").Code, "twice is once")
	require.Equal(t, "practitioner.no-picture", rule(t, w.call(t, http.MethodGet, path, "")))
}

func TestWhatIsNoPictureChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.open(t).practitioner
	path := "/v1/practitioners/" + who + "/picture"
	put := func(to string, body []byte, kind string) string {
		return rule(t, w.send(t, http.MethodPut, to, http.Header{"Content-Type": {kind}}, body))
	}
	require.Equal(t, "picture.format", put(path, []byte(`{"a": 1}`), "image/png"), "its content says what it is")
	require.Equal(t, "picture.format", put(path, nil, "image/png"))
	require.Equal(t, "picture.pixels", put(path, claiming(portrait(t, 8), 7000), "image/png"))
	require.Equal(t, "request.too-large", put(path, make([]byte, practitioner.MaxPicture+1), "image/png"))
	require.Equal(t, "practitioner.not-found", put("/v1/practitioners/nobody/picture", portrait(t, 8), "image/png"))
	require.Equal(t, "practitioner.not-found", rule(t, w.call(t, http.MethodDelete, "/v1/practitioners/nobody/picture", "")))
	require.Equal(t, "practitioner.not-found", rule(t, w.call(t, http.MethodGet, "/v1/practitioners/nobody/picture", "")))
	require.Equal(t, "practitioner.no-picture", rule(t, w.call(t, http.MethodGet, path, "")))
}
