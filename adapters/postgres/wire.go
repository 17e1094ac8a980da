package postgres

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/slotbook/slotbook/domain"
)

// The writer and the reader speak PostgreSQL's binary format themselves: they
// run the same few statements for ever, and what general scanning costs is a
// good part of an append. Formats: "Binary Formats" in the send and receive
// functions of the types (src/backend/utils/adt).

// parameters collects the parameters of one statement in one buffer, which is
// used again from batch to batch.
type parameters struct {
	buffer []byte
	ends   []int
	values [][]byte
}

func (p *parameters) reset() { p.buffer, p.ends = p.buffer[:0], p.ends[:0] }

// end closes a parameter.
func (p *parameters) end() { p.ends = append(p.ends, len(p.buffer)) }

// all returns the values. It is called when the buffer no longer grows.
func (p *parameters) all() [][]byte {
	p.values = p.values[:0]
	from := 0
	for _, to := range p.ends {
		p.values = append(p.values, p.buffer[from:to:to])
		from = to
	}
	return p.values
}

func (p *parameters) int64(v int64) {
	p.buffer = binary.BigEndian.AppendUint64(p.buffer, uint64(v))
	p.end()
}

func (p *parameters) bytes(v []byte) {
	p.buffer = append(p.buffer, v...)
	p.end()
}

func (p *parameters) text(v string) {
	p.buffer = append(p.buffer, v...)
	p.end()
}

// array opens a one-dimensional array; n elements and end follow.
func (p *parameters) array(element uint32, n int) {
	dimensions := 1
	if n == 0 {
		dimensions = 0
	}
	for _, v := range []int{dimensions, 0, int(element)} {
		p.buffer = appendUint32(p.buffer, v)
	}
	if n > 0 {
		p.buffer = appendUint32(appendUint32(p.buffer, n), 1)
	}
}

// streams adds an array of texts.
func (p *parameters) streams(names []domain.StreamName) {
	p.array(textType, len(names))
	for _, name := range names {
		p.textElement(string(name))
	}
	p.end()
}

func (p *parameters) textElement(v string) {
	p.buffer = append(appendUint32(p.buffer, len(v)), v...)
}

func (p *parameters) bytesElement(v []byte) {
	p.buffer = append(appendUint32(p.buffer, len(v)), v...)
}

func (p *parameters) int64Element(v int64) {
	p.buffer = binary.BigEndian.AppendUint64(appendUint32(p.buffer, 8), uint64(v))
}

func appendUint32(b []byte, v int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(v))
}

// The element types of the arrays.
const (
	textType = uint32(pgtype.TextOID)
	int8Type = uint32(pgtype.Int8OID)
	uuidType = uint32(pgtype.UUIDOID)
	jsonType = uint32(pgtype.JSONOID)
)

// errWire says that the server sent something that is not of the type asked for.
var errWire = errors.New("the database answered in an unexpected format")

func readInt64(b []byte) (int64, error) {
	if len(b) != 8 {
		return 0, errWire
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

func readUUID(b []byte) (uuid.UUID, error) {
	if len(b) != 16 {
		return uuid.UUID{}, errWire
	}
	return uuid.UUID(b), nil
}

// readTime reads a timestamptz: microseconds since 2000.
func readTime(b []byte) (time.Time, error) {
	const year2000 = 946_684_800_000_000 // microseconds after 1970
	v, err := readInt64(b)
	return time.UnixMicro(year2000 + v).UTC(), err
}
