package postgres

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
)

const (
	keySize    = 32   // bytes, for AES-256
	cachedKeys = 8192 // more than a page of the log has events
	// cachedFor is how long another process may go on using a key after it was
	// destroyed here.
	cachedFor = 10 * time.Second
)

// Keys holds the key of each person, wrapped with AES-256-GCM under the master
// key and bound to the person. It implements [eventcodec.Keys]. It is safe for
// concurrent use.
type Keys struct {
	pool   *pgxpool.Pool
	master cipher.AEAD

	patience time.Duration // with the database; shorter in tests

	mu         sync.Mutex
	most       int                  // keys in the younger half of the cache
	cache, old map[string]cachedKey // which becomes the older half when it is full
}

type cachedKey struct {
	key   []byte
	until time.Time
}

var _ eventcodec.Keys = (*Keys)(nil)

// NewKeys returns the keys in a database. master is 32 bytes; without it every
// sealed text is lost.
func NewKeys(pool *pgxpool.Pool, master []byte) (*Keys, error) {
	if len(master) != keySize {
		return nil, fmt.Errorf("the master key has %d bytes instead of %d", len(master), keySize)
	}
	block, err := aes.NewCipher(master)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Keys{pool: pool, master: aead, patience: patienceOfRead, most: cachedKeys, cache: map[string]cachedKey{}}, nil
}

// noPerson names the key by which a database recognizes its master key.
const noPerson = ""

// ErrOtherMaster says that the keys in the database were wrapped under another
// master key than the one at hand.
var ErrOtherMaster = errors.New("the master key is not the one that this database was first used with")

// Check returns [ErrOtherMaster] unless the master key is the one that the
// database was first used with. The first use settles it.
func (k *Keys) Check(ctx context.Context) error {
	_, err := k.Key(ctx, noPerson, true)
	return err
}

// Key returns the person's key. With create, a person who never had one gets
// one, and it is durable before Key returns. A destroyed key is never made
// anew. Errors: [eventcodec.ErrNoKey], [commands.ErrUnstorable] for a person
// that is no text, [commands.ErrUnavailable].
func (k *Keys) Key(ctx context.Context, person string, create bool) ([]byte, error) {
	if key := k.cached(person); key != nil {
		return key, nil
	}
	if !utf8.ValidString(person) || strings.IndexByte(person, 0) >= 0 {
		return nil, commands.ErrUnstorable
	}
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	wrapped, err := k.load(ctx, person)
	if errors.Is(err, pgx.ErrNoRows) && create {
		wrapped, err = k.create(ctx, person)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && wrapped == nil:
		return nil, eventcodec.ErrNoKey
	case err != nil:
		return nil, unavailable(err)
	}
	key, err := k.unwrap(person, wrapped)
	if err != nil {
		return nil, err
	}
	k.remember(person, key)
	return key, nil
}

// Fetch loads the keys of several persons in one query, so that those who ask for
// them next need not wait. Who has none is passed over. Errors:
// [commands.ErrUnavailable].
func (k *Keys) Fetch(ctx context.Context, persons []string) error {
	persons = slices.DeleteFunc(slices.Clone(persons), func(p string) bool { return k.cached(p) != nil })
	if len(persons) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	rows, err := k.pool.Query(ctx, `
		select person, wrapped
		from slotbook.person_key
		where person = any($1::text[]) and wrapped is not null`, persons)
	if err != nil {
		return unavailable(err)
	}
	var person string
	var wrapped []byte
	_, err = pgx.ForEachRow(rows, []any{&person, &wrapped}, func() error {
		if key, err := k.unwrap(person, wrapped); err == nil {
			k.remember(person, key) // what is damaged is found by whoever needs it
		}
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Destroy destroys the person's key for good; what it sealed cannot be read by
// anybody any more. Other processes may use the key for another 10 seconds.
// Destroying a key twice, or one that never was, is a success: the person
// never gets another. Errors: [commands.ErrUnavailable].
func (k *Keys) Destroy(ctx context.Context, person string) error {
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	_, err := k.pool.Exec(ctx, `
		insert into slotbook.person_key (person, wrapped, destroyed_at)
		values ($1, null, now())
		on conflict (person) do update
		set wrapped = null, destroyed_at = now()
		where person_key.destroyed_at is null`, person)
	k.mu.Lock()
	delete(k.cache, person)
	delete(k.old, person)
	k.mu.Unlock()
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func (k *Keys) load(ctx context.Context, person string) (wrapped []byte, err error) {
	err = k.pool.QueryRow(ctx, `
		select wrapped
		from slotbook.person_key
		where person = $1`, person).Scan(&wrapped)
	return wrapped, err
}

// create stores a new key, unless somebody else has been faster, and returns
// the one that is stored.
func (k *Keys) create(ctx context.Context, person string) ([]byte, error) {
	wrapped := k.wrap(person)
	inserted, err := k.pool.Exec(ctx, `
		insert into slotbook.person_key (person, wrapped)
		values ($1, $2)
		on conflict (person) do nothing`, person, wrapped)
	if err != nil || inserted.RowsAffected() == 1 {
		return wrapped, err
	}
	return k.load(ctx, person)
}

// wrap makes a key and returns it as nonce and ciphertext.
func (k *Keys) wrap(person string) []byte {
	var key [keySize]byte
	nonce := make([]byte, k.master.NonceSize())
	_, _ = rand.Read(key[:]) // never fails
	_, _ = rand.Read(nonce)
	return k.master.Seal(nonce, nonce, key[:], []byte(person))
}

func (k *Keys) unwrap(person string, wrapped []byte) ([]byte, error) {
	n := k.master.NonceSize()
	if len(wrapped) < n {
		return nil, errors.New("a person's key is damaged")
	}
	key, err := k.master.Open(nil, wrapped[:n], wrapped[n:], []byte(person))
	if err != nil {
		return nil, fmt.Errorf("%w, or the key of a person is damaged", ErrOtherMaster)
	}
	return key, nil
}

func (k *Keys) cached(person string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, there := k.cache[person]
	if !there {
		c, there = k.old[person]
	}
	if !there || time.Now().After(c.until) {
		return nil
	}
	return c.key
}

// remember keeps the key for a while. What was fetched together stays together:
// only what is older is forgotten.
func (k *Keys) remember(person string, key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.cache) >= k.most {
		k.cache, k.old = map[string]cachedKey{}, k.cache
	}
	k.cache[person] = cachedKey{key, time.Now().Add(cachedFor)}
}
