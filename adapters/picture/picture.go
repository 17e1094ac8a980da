// Package picture makes of what somebody uploads what is shown to everybody: an
// upright JPEG of a limited size that holds nothing but the image. What a camera
// notes besides, such as where it was, is left behind.
package picture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"image/jpeg"
	_ "image/png" // registers the format

	"github.com/bep/imagemeta"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // registers the format

	"github.com/slotbook/slotbook/domain/practitioner"
)

const (
	side    = 512 // the longer one of what is shown, in pixels; what is smaller stays
	quality = 85
)

// Prepare makes the JPEG to be shown of an upload; its id is its SHA-256 in
// hexadecimal. What the file is its content says, not its name or header.
// Errors: [practitioner.ErrPicture], [practitioner.ErrPixels].
func Prepare(upload []byte) (id string, shown []byte, err error) {
	size, format, err := image.DecodeConfig(bytes.NewReader(upload))
	switch {
	case err != nil || size.Width < 1 || size.Height < 1:
		return "", nil, practitioner.ErrPicture
	case size.Width > practitioner.MaxPixels/size.Height:
		return "", nil, practitioner.ErrPixels
	}
	decoded, _, err := image.Decode(bytes.NewReader(upload))
	if err != nil {
		return "", nil, practitioner.ErrPicture
	}
	small := upright(fit(decoded), orientation(upload, format))
	var out bytes.Buffer
	if err := jpeg.Encode(&out, small, &jpeg.Options{Quality: quality}); err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(out.Bytes())
	return hex.EncodeToString(sum[:]), out.Bytes(), nil
}

// fit scales an image down until its longer side is 512 pixels, and puts it on
// white: JPEG knows no transparency.
func fit(from image.Image) *image.RGBA {
	w, h := from.Bounds().Dx(), from.Bounds().Dy()
	if longer := max(w, h); longer > side {
		w, h = max(1, w*side/longer), max(1, h*side/longer)
	}
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(to, to.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.CatmullRom.Scale(to, to.Bounds(), from, from.Bounds(), draw.Over, nil)
	return to
}

// orientation returns how the image lies in its file, 1 to 8 as in Exif (CIPA
// DC-008, tag 0112H); 1 when nothing readable says otherwise.
func orientation(upload []byte, format string) int {
	formats := map[string]imagemeta.ImageFormat{"jpeg": imagemeta.JPEG, "png": imagemeta.PNG, "webp": imagemeta.WebP}
	var tags imagemeta.Tags
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(upload), ImageFormat: formats[format], Sources: imagemeta.EXIF,
		ShouldHandleTag: func(t imagemeta.TagInfo) bool { return t.Tag == "Orientation" },
		HandleTag:       func(t imagemeta.TagInfo) error { tags.Add(t); return nil },
	})
	if err != nil {
		return 1
	}
	if n, ok := tags.EXIF()["Orientation"].Value.(uint16); ok && n >= 1 && n <= 8 {
		return int(n)
	}
	return 1
}

// upright turns and mirrors an image by its orientation.
func upright(from *image.RGBA, orientation int) *image.RGBA {
	if orientation == 1 {
		return from
	}
	w, h := from.Bounds().Dx(), from.Bounds().Dy()
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	to := image.NewRGBA(size)
	for y := range h {
		for x := range w {
			at := place(orientation, x, y, w-1, h-1)
			to.SetRGBA(at.X, at.Y, from.RGBAAt(x, y))
		}
	}
	return to
}

// place returns where a point of the file belongs; right and bottom are the last
// column and row of the file.
func place(orientation, x, y, right, bottom int) image.Point {
	switch orientation {
	case 2:
		return image.Pt(right-x, y)
	case 3:
		return image.Pt(right-x, bottom-y)
	case 4:
		return image.Pt(x, bottom-y)
	case 5:
		return image.Pt(y, x)
	case 6:
		return image.Pt(bottom-y, x)
	case 7:
		return image.Pt(bottom-y, right-x)
	case 8:
		return image.Pt(y, right-x)
	}
	return image.Pt(x, y)
}
