package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// session is a connection of one goroutine with its prepared statements. A
// session that met any error other than a refused statement is closed and
// opened anew.
type session struct {
	conn     *pgx.Conn
	pg       *pgconn.PgConn
	prepared []*pgconn.StatementDescription
	binary   []int16 // the format of every parameter and every result
	room     room
}

// room is a message without a byte: it hands pgx a buffer that is large from
// the start. pgx begins every exchange with a kilobyte, and copies what it has
// each time that it needs twice as much.
type room struct{ buffer []byte }

// Encode puts what is to be sent so far into the large buffer.
func (r *room) Encode(sofar []byte) ([]byte, error) { return append(r.buffer[:0], sofar...), nil }

// Decode does nothing: there is nothing to receive.
func (r *room) Decode([]byte) error { return nil }

// Frontend marks what clients send.
func (r *room) Frontend() {}

// makeRoom makes room for the parameters of a statement.
func (s *session) makeRoom(p *parameters) {
	const small = 1024
	size := len(p.buffer) + 4*len(p.ends) + small
	if size < 2*small {
		return
	}
	if cap(s.room.buffer) < size {
		s.room.buffer = make([]byte, 0, 2*size)
	}
	s.pg.Frontend().Send(&s.room)
}

// patienceOfSocket bounds one exchange with the server. It is longer than all
// time-outs of the server that one exchange can meet.
const patienceOfSocket = 12 * time.Second

// settings are those of the writer's and the reader's connections. Plans are
// made once, from indexes only: what the tables hold says nothing about what
// they will hold, and planning costs more than running.
func settings() map[string]string {
	return map[string]string{
		"plan_cache_mode":                     "force_generic_plan",
		"enable_seqscan":                      "off",
		"jit":                                 "off",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "5s",
		"idle_in_transaction_session_timeout": "1s",
		"tcp_user_timeout":                    "5s",
	}
}

// errNoSession says that there is no connection to work with.
var errNoSession = errors.New("no connection to the database")

// openSession connects and prepares the statements. Errors: errNoSession.
func openSession(ctx context.Context, config *pgx.ConnConfig, statements ...string) (*session, error) {
	config = config.Copy()
	settle(config, settings())
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSession, err)
	}
	s := &session{conn: conn, pg: conn.PgConn(), binary: []int16{1}}
	for i, sql := range statements {
		d, err := s.pg.Prepare(ctx, fmt.Sprintf("s%d", i), sql, nil)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("%w: prepare statement %d: %w", errNoSession, i, err)
		}
		s.prepared = append(s.prepared, d)
	}
	return s, nil
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx) // it is closed whatever it says
}

// recover ends a transaction that a refused statement has left behind.
func (s *session) recover() error {
	if s.pg.TxStatus() == 'I' {
		return nil
	}
	if err := s.pg.Conn().SetDeadline(time.Now().Add(patienceOfSocket)); err != nil {
		return err
	}
	_, err := s.pg.Exec(context.Background(), "rollback").ReadAll()
	return err
}

// pipeline begins an exchange. It runs under the socket's deadline instead of
// a context: a caller's end must not cut it off, and watching a context costs
// a goroutine each time.
func (s *session) pipeline() (*exchange, error) {
	if err := s.pg.Conn().SetDeadline(time.Now().Add(patienceOfSocket)); err != nil {
		return nil, err
	}
	return &exchange{s, s.pg.StartPipeline(context.Background())}, nil
}

// exchange is one round trip: statements are sent, results are read in the
// same order, and done says whether all went well.
type exchange struct {
	session *session
	p       *pgconn.Pipeline
}

func (x *exchange) send(statement int, p *parameters) {
	var values [][]byte
	if p != nil {
		values = p.all()
		x.session.makeRoom(p)
	}
	x.p.SendQueryStatement(x.session.prepared[statement], values, x.session.binary, x.session.binary)
}

// rows hands every row of the next result to read, which must not keep it.
func (x *exchange) rows(read func(row [][]byte) error) error {
	results, err := x.p.GetResults()
	if err != nil {
		return err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return errWire
	}
	for reader.NextRow() {
		if err := read(reader.Values()); err != nil {
			return err
		}
	}
	_, err = reader.Close()
	return err
}

// skip reads over the next result.
func (x *exchange) skip() error { return x.rows(func([][]byte) error { return nil }) }

// done ends the exchange. err is what went wrong in it so far; the server's
// refusal can also come at the very end, with the commit.
func (x *exchange) done(err error) error {
	if closed := x.p.Close(); err == nil {
		return closed
	}
	return err
}

// lost reports whether the error says nothing about the request: the
// connection is gone or going, or the server is short of something for now.
// Trying again on a new connection can help.
func lost(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || errors.Is(err, errNoSession) || refused.Severity == "FATAL" || refused.Severity == "PANIC" {
		return true
	}
	switch refused.Code {
	case "55P03", "25006", "0A000": // lock_timeout; a standby; a plan that the schema's change made invalid
		return true
	}
	switch refused.Code[:2] {
	case "08", "40", "53", "57": // connection; rolled back; resources; operator, with statement_timeout
		return true
	}
	return false
}

// refusedBy returns the error that the server gave for a statement, whose
// transaction it has rolled back; or nil when the outcome is open.
func refusedBy(err error) *pgconn.PgError {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refused.Severity == "FATAL" || refused.Severity == "PANIC" {
		return nil
	}
	return refused
}

// tooSlow reports whether the statement met statement_timeout. The connection
// is as good as before.
func tooSlow(err error) bool {
	refused := refusedBy(err)
	return refused != nil && refused.Code == "57014"
}

// moved reports whether the log was not where an insert expected it.
func moved(err error) bool {
	refused := refusedBy(err)
	return refused != nil && refused.Code == "22012"
}

// duplicate reports whether an index refused a row that is there already.
func duplicate(err error) bool {
	refused := refusedBy(err)
	return refused != nil && refused.Code == "23505"
}
