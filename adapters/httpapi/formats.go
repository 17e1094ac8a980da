package httpapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// etag returns the strong ETag of a revision, "" for none.
func etag(r domain.Revision) string {
	if r < 0 {
		return ""
	}
	return `"` + strconv.FormatInt(int64(r), 10) + `"`
}

// position returns a position for a header, "" for none.
func position(p domain.Position) string {
	if p == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(p), 10)
}

// parseIfMatch reads If-Match: the strong ETag of one revision, as this API
// gives them out. Nothing and * expect no revision.
func parseIfMatch(text string) (*domain.Revision, error) {
	if text == "" || text == "*" {
		return nil, nil //nolint:nilnil // nothing is expected
	}
	inner, ok := strings.CutPrefix(text, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	n, err := strconv.ParseInt(inner, 10, 64)
	if !ok || !closed || err != nil || n < 0 || etag(domain.Revision(n)) != text {
		return nil, malformed.problem("If-Match is an ETag of this address, such as \"3\", or *")
	}
	revision := domain.Revision(n)
	return &revision, nil
}

// cursor is where a list goes on: which list with which filters, after which
// place.
type cursor[K any] struct {
	List  string `json:"list"`
	Place K      `json:"place"`
	Epoch string `json:"epoch,omitempty"` // of the store
}

// newCursors returns what seals cursors: a place may hold a patient's name,
// which has no place in an address. The key is derived from the hash key, so
// that every process reads the cursors of every other.
//
// A cursor is of one epoch of the store: after a restore the place that it names
// may be gone, or another one.
func newCursors(hashKey []byte, epoch string) (cursors, error) {
	block, err := aes.NewCipher(digest(hashKey, []byte("cursors")))
	if err != nil {
		return cursors{}, err
	}
	aead, err := cipher.NewGCM(block)
	return cursors{aead, digest(hashKey, []byte("nonces of cursors")), epoch}, err
}

type cursors struct {
	aead   cipher.AEAD
	nonces []byte // a key: the same place is the same cursor
	epoch  string
}

func digest(key, data []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return mac.Sum(nil)
}

func formatCursor[K any](c cursors, list string, place K) string {
	data, _ := json.Marshal(cursor[K]{list, place, c.epoch}) // places are text and times
	nonce := digest(c.nonces, data)[:c.aead.NonceSize()]
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nonce, nonce, data, nil))
}

// parseCursor reads what formatCursor wrote for the same list; "" is the start.
func parseCursor[K any](by cursors, list, text string) (K, error) {
	var c cursor[K]
	if text == "" {
		return c.Place, nil
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if n := by.aead.NonceSize(); err != nil || len(sealed) < n {
		return c.Place, badCursor.problem("")
	}
	data, err := by.aead.Open(nil, sealed[:by.aead.NonceSize()], sealed[by.aead.NonceSize():], nil)
	if err != nil || json.Unmarshal(data, &c) != nil || c.List != list {
		return c.Place, badCursor.problem("")
	}
	if c.Epoch != by.epoch {
		return c.Place, staleCursor.problem("")
	}
	return c.Place, nil
}

// maxDuration bounds what parseDuration takes; no duration of this API comes near.
const maxDuration = 10 * 365 * 24 * time.Hour

// parseDuration reads an ISO 8601 duration of whole days (of 24 hours), hours,
// minutes and seconds, such as PT30M. Errors: [errDuration].
func parseDuration(text string) (time.Duration, error) {
	rest, ok := strings.CutPrefix(text, "P")
	date, clock, timed := strings.Cut(rest, "T")
	if !ok || rest == "" || timed && clock == "" {
		return 0, errDuration
	}
	var total time.Duration
	for _, part := range []struct {
		text  string
		units []unit
	}{
		{date, []unit{{'D', 24 * time.Hour}}},
		{clock, []unit{{'H', time.Hour}, {'M', time.Minute}, {'S', time.Second}}},
	} {
		d, err := parseUnits(part.text, part.units)
		if err != nil {
			return 0, err
		}
		total += d
	}
	return total, nil
}

// formatDuration writes whole seconds as [parseDuration] reads them.
func formatDuration(d time.Duration) string {
	text := "PT"
	if hours := int(d.Hours()); hours > 0 {
		text += strconv.Itoa(hours) + "H"
	}
	if minutes := int(d.Minutes()) % 60; minutes > 0 || d < time.Second {
		text += strconv.Itoa(minutes) + "M"
	}
	if seconds := int(d.Seconds()) % 60; seconds > 0 {
		text += strconv.Itoa(seconds) + "S"
	}
	return text
}

type unit struct {
	letter byte
	length time.Duration
}

// parseUnits reads numbers that each end in the letter of a unit, the units in
// order.
func parseUnits(text string, units []unit) (time.Duration, error) {
	var total time.Duration
	for _, u := range units {
		end := strings.IndexByte(text, u.letter)
		if end < 0 {
			continue
		}
		n, err := strconv.ParseUint(text[:end], 10, 31)
		if err != nil || time.Duration(n) > maxDuration/u.length { //nolint:gosec // 31 bits
			return 0, errDuration
		}
		total += time.Duration(n) * u.length //nolint:gosec // 31 bits
		text = text[end+1:]
	}
	if text != "" {
		return 0, errDuration
	}
	return total, nil
}
