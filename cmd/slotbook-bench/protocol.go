package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

const rowProtocol = "bookings stream by stream, 64 clients"

// measureProtocol compares bookings over the protocol, which appends to one
// stream at a time, with those of one append for all: the same commands on the
// same store, in this process.
func measureProtocol(ctx context.Context, b *bench) ([]row, error) {
	url, err := b.database(ctx, "protocol")
	if err != nil {
		return nil, err
	}
	w, most := world{First: domain.DayOf(time.Now()).Add(2), Practitioners: 200}, b.bookings/2
	supply := 2 * most * (b.rounds + 2)
	if err := w.prepare(ctx, url, supply); err != nil {
		return nil, fmt.Errorf("prepare slots and patients: %w", err)
	}
	d, err := openStore(ctx, url)
	if err != nil {
		return nil, err
	}
	defer d.close()
	var next atomic.Int64
	over := func(store commands.Store) measure {
		h := commands.New(commands.Config{Store: store, Now: time.Now, NewID: newID})
		return func(ctx context.Context) (float64, error) {
			last := next.Load() + int64(most)
			return repeat(ctx, many, b.booking, func(ctx context.Context) error {
				n := next.Add(1)
				if n >= min(last, int64(supply)) {
					return errUsedUp
				}
				_, err := h.Book(ctx, commands.Request{Command: newID(), Actor: "local"}, commands.Booking{
					Appointment: domain.AppointmentID(newID()), Slots: []domain.SlotID{w.slotID(int(n))}, Patient: w.patient(int(n)),
				})
				return err
			})
		}
	}
	r, err := compare(ctx, b.rounds, []measure{over(d.store)}, []measure{over(oneByOne{d.store})})
	if err != nil {
		return nil, err
	}
	return []row{r.row(rowProtocol, "bookings/s", 0, "one append for all streams", 0, 0)}, nil
}

// oneByOne is a store that takes one stream at a time.
type oneByOne struct{ commands.Store }

// Atomic reports that it does not take several.
func (oneByOne) Atomic() bool { return false }

// Append refuses several.
func (s oneByOne) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if len(writes) > 1 {
		return 0, fmt.Errorf("%d writes in one append", len(writes))
	}
	return s.Store.Append(ctx, writes...)
}
