package engine_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// strict is the ledger with constraints on its table of seats.
func strict(checks string) engine.Model {
	type row struct {
		Slot    string `db:"slot"`
		Claims  int    `db:"claims"`
		Patient string `db:"patient"`
	}
	m := ledger(1)
	m.Tables[0] = engine.NewTable("seat", "create table seat (slot text primary key, claims bigint not null, patient text"+checks+")",
		func(r domain.Recorded) []string { return []string{r.Stream.ID()} },
		func(s row, exists bool, r domain.Recorded) (row, bool) {
			switch e := r.Event.(type) {
			case slot.Booked:
				s.Claims++
				s.Patient = string(e.Patient)
				return s, true
			case slot.Withdrawn:
				return s, false
			}
			return s, exists
		})
	return m
}

func (w world) strict(checks string, batch int) *engine.Engine {
	c := w.config("test")
	c.Models, c.Batch = []engine.Model{strict(checks)}, batch
	return w.engine(c)
}

func (w world) parked(e *engine.Engine) []engine.Parked {
	w.Helper()
	parked, err := e.Parked(w.Context(), "ledger")
	require.NoError(w, err)
	return parked
}

const tooMany = `the table does not take the row: new row for relation "seat" violates check constraint "most" (SQLSTATE 23514)`

func TestARowThatItsTableDoesNotTakeIsParkedAndTheOthersGoOn(t *testing.T) {
	facts := []projectionstest.Fact{book(1, "pat"), book(2, "ana")}
	for n := range 300 {
		facts = append(facts, book(1000+n, domain.PatientID(fmt.Sprint(n))))
	}
	facts = append(facts, book(2, "ana"), book(2, "ana"), book(1, "pat"))
	w := newWorld(t, facts...)
	e := w.strict(", constraint most check (claims <= 2)", 0)
	require.NoError(t, e.CatchUp(t.Context()))
	want := []engine.Parked{{Table: "seat", Key: "2", Position: 2, Error: tooMany, Count: 3}}
	require.Equal(t, want, w.parked(e), "all events of the batch for it")
	require.Equal(t, 301, w.number("select count(*) from ledger_v1.seat"), "the others are there")
	require.Equal(t, 2, w.number("select claims from ledger_v1.seat where slot = '1'"))
	require.Equal(t, 305, w.number("select claims from ledger_v1.total"), "and so are the other tables")

	w.append(book(2, "ana"), book(3, "eva"), book(1, "pat"))
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, []engine.Parked{
		{Table: "seat", Key: "1", Position: 308, Error: tooMany, Count: 1}, {Table: "seat", Key: "2", Position: 2, Error: tooMany, Count: 4},
	}, w.parked(e))
	require.Equal(t, 2, w.number("select claims from ledger_v1.seat where slot = '1'"), "as it was before")

	report, err := e.Verify(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Empty(t, report.Differs())
	require.Len(t, report.Parked, 2)
	stopped := &engine.ParkedError{}
	require.ErrorAs(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"), &stopped)
	require.Equal(t, tooMany, stopped.Parked[0].Error)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{KeepParked: true}, "ledger"))
	require.Len(t, w.parked(e), 2)

	done, err := e.Retry(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Zero(t, done.Mended)
	require.Len(t, done.Parked, 2)
	w.append(withdraw(1))
	done, err = e.Retry(t.Context(), engine.Build{}, "ledger", engine.Lot{Table: "seat", Key: "1"})
	require.NoError(t, err)
	require.Zero(t, done.Mended, "the live tables have not come to it yet")
	require.NoError(t, e.CatchUp(t.Context()))
	done, err = e.Retry(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Equal(t, 1, done.Mended, "a slot that is withdrawn has no row")
	require.Equal(t, "2", w.parked(e)[0].Key)
	gone, err := e.Discard(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, 1, gone)
	require.Empty(t, w.parked(e))
	w.append(book(2, "ana"))
	require.NoError(t, e.CatchUp(t.Context()), "it goes on with the next event")
	require.Empty(t, w.parked(e))
}

func TestOfTwoRowsThatExcludeEachOtherTheLaterIsParked(t *testing.T) {
	w := newWorld(t, book(1, "ana"), book(2, "pat"))
	e := w.strict(", unique (patient)", 0)
	require.NoError(t, e.CatchUp(t.Context()))
	require.Empty(t, w.parked(e))
	w.append(withdraw(1), book(3, "ana"))
	require.NoError(t, e.CatchUp(t.Context()), "one comes in the place of the other")
	require.Empty(t, w.parked(e))
	w.append(book(4, "pat"))
	require.NoError(t, e.CatchUp(t.Context()))
	parked := w.parked(e)
	require.Len(t, parked, 1)
	require.Equal(t, "4", parked[0].Key)
	require.Contains(t, parked[0].Error, "seat_patient_key")
	require.NotContains(t, parked[0].Error, "pat)")

	done, err := e.Retry(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Equal(t, engine.Retried{Parked: parked}, done, "the other row is in its way still")
	require.Equal(t, parked, w.parked(e))
	w.append(withdraw(2))
	require.NoError(t, e.CatchUp(t.Context()))
	done, err = e.Retry(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Equal(t, 1, done.Mended)
	require.Equal(t, 1, w.number("select claims from ledger_v1.seat where slot = '4'"))
	report, err := e.Verify(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Empty(t, report.Differs())
}

func TestAValueThatAColumnCannotHoldParksItsRow(t *testing.T) {
	for _, batch := range []int{1, 0} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			w := newWorld(t, book(1, "ana"), book(2, "somebody"), book(3, "eva"))
			e := w.strict("", batch)
			w.exec("alter table ledger_v1.seat alter column patient type varchar(3)")
			require.NoError(t, e.CatchUp(t.Context()))
			parked := w.parked(e)
			require.Len(t, parked, 1)
			require.Equal(t, engine.Parked{
				Table: "seat", Key: "2", Position: 2, Count: 1,
				Error: "the table does not take the row: value too long for type character varying(3) (SQLSTATE 22001)",
			}, parked[0])
			require.Equal(t, 2, w.number("select count(*) from ledger_v1.seat"))
		})
	}
}
