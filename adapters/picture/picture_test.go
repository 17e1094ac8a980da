package picture_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/picture"
	"github.com/slotbook/slotbook/domain/practitioner"
)

var (
	red  = color.RGBA{R: 255, A: 255}
	blue = color.RGBA{B: 255, A: 255}
)

// flag is red on the left and blue on the right.
func flag(w, h int) image.Image {
	i := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			i.Set(x, y, red)
			if x >= w/2 {
				i.Set(x, y, blue)
			}
		}
	}
	return i
}

func pngOf(t *testing.T, i image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, i))
	return out.Bytes()
}

func jpegOf(t *testing.T, i image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, i, nil))
	return out.Bytes()
}

// lying returns a JPEG whose Exif segment says how it lies.
func lying(t *testing.T, i image.Image, orientation uint16) []byte {
	t.Helper()
	exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	exif = binary.BigEndian.AppendUint16(exif, orientation)
	exif = append(exif, 0, 0, 0, 0, 0, 0)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2)) //nolint:gosec // a few bytes
	plain := jpegOf(t, i)
	return bytes.Join([][]byte{plain[:2], segment, exif, plain[2:]}, nil)
}

func shown(t *testing.T, upload []byte) image.Image {
	t.Helper()
	id, file, err := picture.Prepare(upload)
	require.NoError(t, err)
	require.Len(t, id, 64)
	i, format, err := image.Decode(bytes.NewReader(file))
	require.NoError(t, err)
	require.Equal(t, "jpeg", format)
	require.NotContains(t, string(file), "Exif")
	return i
}

// isRed reports whether the colour is nearer to red than to blue.
func isRed(c color.Color) bool {
	r, _, b, _ := c.RGBA()
	return r > b
}

func TestAPictureIsScaledDownAndNeverUp(t *testing.T) {
	t.Parallel()
	for from, to := range map[image.Point]image.Point{
		image.Pt(1000, 400): image.Pt(512, 204), image.Pt(400, 1000): image.Pt(204, 512), image.Pt(30, 20): image.Pt(30, 20),
		image.Pt(5000, 2): image.Pt(512, 1), image.Pt(512, 512): image.Pt(512, 512),
	} {
		i := shown(t, pngOf(t, flag(from.X, from.Y)))
		require.Equal(t, to, i.Bounds().Size())
		require.True(t, isRed(i.At(to.X/8, to.Y/2)))
		require.False(t, isRed(i.At(to.X*7/8, to.Y/2)))
	}
}

func TestAPictureIsShownUpright(t *testing.T) {
	t.Parallel()
	// Where the red half of the file is seen, by orientation.
	left, right, top, bottom := image.Pt(1, 8), image.Pt(14, 8), image.Pt(8, 1), image.Pt(8, 14)
	for orientation, at := range []image.Point{1: left, 2: right, 3: right, 4: left, 5: top, 6: top, 7: bottom, 8: bottom} {
		if orientation == 0 {
			continue
		}
		i := shown(t, lying(t, flag(64, 64), uint16(orientation))) //nolint:gosec // 1 to 8
		opposite := image.Pt(15, 15).Sub(at)
		require.True(t, isRed(i.At(at.X*4, at.Y*4)), "orientation %d", orientation)
		require.False(t, isRed(i.At(opposite.X*4, opposite.Y*4)), "orientation %d", orientation)
	}
	require.Equal(t, image.Pt(20, 40), shown(t, lying(t, flag(40, 20), 6)).Bounds().Size())
}

func TestTransparencyIsWhite(t *testing.T) {
	t.Parallel()
	r, g, b, _ := shown(t, pngOf(t, image.NewRGBA(image.Rect(0, 0, 8, 8)))).At(4, 4).RGBA()
	require.Equal(t, []uint32{0xffff, 0xffff, 0xffff}, []uint32{r, g, b})
}

func TestWebPIsTaken(t *testing.T) {
	t.Parallel()
	// The smallest lossless WebP: one pixel.
	one, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	require.NoError(t, err)
	require.Equal(t, image.Pt(1, 1), shown(t, one).Bounds().Size())
}

func TestTheSamePictureHasTheSameID(t *testing.T) {
	t.Parallel()
	upload := pngOf(t, flag(60, 60))
	one, _, err := picture.Prepare(upload)
	require.NoError(t, err)
	other, _, err := picture.Prepare(upload)
	require.NoError(t, err)
	require.Equal(t, one, other)
}

func TestWhatIsNoPictureIsRefused(t *testing.T) {
	t.Parallel()
	whole := jpegOf(t, flag(200, 200))
	for name, upload := range map[string][]byte{
		"nothing": nil, "JSON": []byte(`{"picture": 1}`), "half a file": whole[:len(whole)/2], "another kind": []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"),
	} {
		_, _, err := picture.Prepare(upload)
		require.ErrorIs(t, err, practitioner.ErrPicture, name)
	}
	bomb := pngOf(t, image.NewGray(image.Rect(0, 0, 3, 3)))
	binary.BigEndian.PutUint32(bomb[16:], 50_000) // the width; what follows is never decoded
	binary.BigEndian.PutUint32(bomb[20:], 50_000)
	_, _, err := picture.Prepare(fixed(bomb))
	require.ErrorIs(t, err, practitioner.ErrPixels)
}

// fixed mends the checksum of a PNG's header.
func fixed(file []byte) []byte {
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
	return file
}
