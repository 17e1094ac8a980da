package eventcodec

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/slotbook/slotbook/domain"
)

// Keys holds one 256-bit key for each person.
type Keys interface {
	// Key returns the person's key. With create, a person who never had one
	// gets one, durably, before Key returns. Errors: [ErrNoKey].
	Key(ctx context.Context, person string, create bool) ([]byte, error)
}

// ErrNoKey says that a person's key does not exist, or no longer: what it
// sealed cannot be read by anybody.
var ErrNoKey = errors.New("the person has no key")

// errMoved says that a box is not where it was sealed.
var errMoved = errors.New("the sealed text belongs to another place")

// context3 is what a box is bound to: moved elsewhere, it does not open.
type context3 struct {
	stream domain.StreamName
	event  string
	field  string
}

// String returns the place as a box carries it.
func (c context3) String() string { return c.field + "/" + c.event + "/" + string(c.stream) }

// seal replaces the open text by its box: field/event/stream/base64(nonce,
// ciphertext). A box that is sealed already, as when events are copied, is
// kept.
func (c *Codec) seal(ctx context.Context, where context3, s *domain.Sealed) error {
	if s.Text == "" {
		return nil
	}
	key, err := c.keys.Key(ctx, s.Person, true)
	if err != nil {
		return err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	nonce := syntheticNonce(key, where, s.Text)
	sealed := aead.Seal(nonce, nonce, []byte(s.Text), []byte(where.String()))
	*s = domain.Sealed{Person: s.Person, Box: where.String() + "/" + base64.RawURLEncoding.EncodeToString(sealed)}
	return nil
}

// Open returns the text of a box, or the text itself when it was never sealed.
// Errors: [ErrNoKey] when the person's key is gone.
func (c *Codec) Open(ctx context.Context, s domain.Sealed) (string, error) {
	if s.Box == "" {
		return s.Text, nil
	}
	where, body, err := split(s.Box)
	if err != nil {
		return "", err
	}
	key, err := c.keys.Key(ctx, s.Person, false)
	if err != nil {
		return "", err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return "", err
	}
	text, err := aead.Open(nil, body[:aead.NonceSize()], body[aead.NonceSize():], []byte(where))
	if err != nil {
		return "", fmt.Errorf("open sealed text of %s: %w", where, err)
	}
	return string(text), nil
}

// Disclose returns an event's data with its personal text open: in place of each
// box the text, or null when its key is gone. Numbers stay as they are written.
func (c *Codec) Disclose(ctx context.Context, data []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	opened := false
	for name, field := range fields {
		var s domain.Sealed
		if !bytes.Contains(field, []byte(`"box"`)) || json.Unmarshal(field, &s) != nil || s.Person == "" || s.Box == "" {
			continue
		}
		text, err := c.Open(ctx, s)
		if err != nil && !errors.Is(err, ErrNoKey) {
			return nil, err
		}
		fields[name] = json.RawMessage("null")
		if err == nil {
			if fields[name], err = json.Marshal(text); err != nil {
				return nil, err
			}
		}
		opened = true
	}
	if !opened {
		return data, nil
	}
	return json.Marshal(fields)
}

func split(box string) (where string, body []byte, err error) {
	i := strings.LastIndexByte(box, '/')
	if i < 0 {
		return "", nil, errMoved
	}
	body, err = base64.RawURLEncoding.DecodeString(box[i+1:])
	if err != nil || len(body) < 12 {
		return "", nil, errMoved
	}
	return box[:i], body, nil
}

// syntheticNonce derives the nonce from the key, the place and the text (the
// idea of SIV, RFC 5297): equal input gives equal bytes, and two different
// texts share a nonce with probability 2^-96.
func syntheticNonce(key []byte, where context3, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(where.String()))
	mac.Write([]byte{0})
	mac.Write([]byte(text))
	return mac.Sum(nil)[:12]
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// MemoryKeys keeps keys in memory, for the memory store and tests. New keys
// are derived from the person's id, so that tests are repeatable. The zero
// value is ready.
type MemoryKeys struct {
	mu        sync.Mutex
	known     map[string]bool
	destroyed map[string]bool
}

// Key returns the person's key.
func (m *MemoryKeys) Key(_ context.Context, person string, create bool) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]bool{}
	}
	if m.destroyed[person] || !create && !m.known[person] {
		return nil, ErrNoKey
	}
	m.known[person] = true
	key := sha256.Sum256([]byte("key of " + person))
	return key[:], nil
}

// Destroy forgets the person's key for good.
func (m *MemoryKeys) Destroy(person string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.destroyed == nil {
		m.destroyed = map[string]bool{}
	}
	m.destroyed[person] = true
}
