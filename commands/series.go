package commands

import (
	"context"
	"errors"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
)

var allSeries = aggregate[series.State, series.Command, series.Event]{series.Decide, series.Evolve}

// SeriesBooking is a wish for visits that come again.
type SeriesBooking struct {
	Series       domain.SeriesID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID // in whose zone the wall time is
	Patient      domain.PatientID
	VisitType    domain.VisitTypeID
	Reason       string // open text, sealed before it is stored
	By           appointment.Initiator
	Recurrence   series.Recurrence // its zone is the clinic's
	Whole        bool              // every date is booked, or none
}

// appointment returns the id of the visit on a day. It follows from the series',
// so that a repeat finds what it booked before.
func (b SeriesBooking) appointment(day domain.Day) domain.AppointmentID {
	return domain.AppointmentID(domain.NewID(string(b.Series), "visit", string(day)))
}

// BookSeries books every date that can be had, each as an appointment of its
// own, and says of the others which rule refused them; or, when the series is
// wanted whole, every date or none. A run that was interrupted is finished by a
// repeat of the same command, which books nothing twice.
//
// Errors: the not-found refusals of packages clinic and practitioner,
// [practitioner.ErrElsewhere], [series.ErrRecurrence], [series.ErrExists],
// what refuses every date alike because the request makes no sense, and those
// of every command; of a whole series a [SeriesRefused], and [ErrSeriesApproval].
func (h *Handler) BookSeries(ctx context.Context, req Request, b SeriesBooking) (Answer[series.State], error) {
	if !b.Whole {
		if done, found, err := h.replayedSeries(ctx, req, b.Series); found || err != nil {
			return done, err
		}
	}
	place, err := h.Clinic(ctx, b.Clinic)
	if err != nil {
		return Answer[series.State]{}, err
	}
	if _, err := worksAt(b.Practitioner, b.Clinic)(ctx, h); err != nil {
		return Answer[series.State]{}, err
	}
	b.Recurrence.Zone = place.State.Zone
	dates, err := b.Recurrence.Dates()
	if err != nil {
		return Answer[series.State]{}, err
	}
	if b.Whole {
		return h.bookWhole(ctx, req, b, dates)
	}
	return execute(h, req, func(h *Handler, req Request) (Answer[series.State], error) {
		return h.bookEach(ctx, req, b, dates)
	})
}

// bookEach books every date that can be had.
func (h *Handler) bookEach(ctx context.Context, req Request, b SeriesBooking, dates []series.Date) (Answer[series.State], error) {
	s := series.State{ID: b.Series, Patient: b.Patient, Practitioner: b.Practitioner, Clinic: b.Clinic, Recurrence: b.Recurrence}
	for _, date := range dates {
		visit, err := h.bookDate(ctx, req, b, date)
		rule := domain.RuleOf(err)
		switch {
		case err == nil:
			s.Visits = append(s.Visits, visit)
		case rule == nil || !refusesDate(rule.Kind):
			return Answer[series.State]{}, err
		default:
			s.Missed = append(s.Missed, series.Miss{Day: date.Day, Start: date.Start, Rule: rule.Rule})
		}
	}
	return handle(ctx, h, req, series.Stream(b.Series), allSeries, series.Command(series.Accept{Series: s}), unguarded)
}

// replayedSeries answers a repeat of a command that has come to its end.
func (h *Handler) replayedSeries(ctx context.Context, req Request, id domain.SeriesID) (Answer[series.State], bool, error) {
	stream := series.Stream(id)
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return Answer[series.State]{}, false, err
	}
	upTo, err := replay(loaded[stream], req)
	switch {
	case err != nil:
		return Answer[series.State]{}, false, err
	case upTo > 0:
		return answer(domain.Replay(series.Evolve, series.State{}, loaded[stream][:upTo]), loaded[stream][:upTo]), true, nil
	case len(loaded[stream]) > 0:
		return Answer[series.State]{}, false, series.ErrExists
	}
	return Answer[series.State]{}, false, nil
}

// refusesDate reports whether a refusal is of one date, and not of the whole.
func refusesDate(k domain.Kind) bool {
	switch k {
	case domain.Refused, domain.Conflict, domain.Gone, domain.Limited:
		return true
	case domain.Internal, domain.Invalid, domain.NotFound, domain.Forbidden, domain.Stale, domain.Unavailable:
	}
	return false
}

// ErrNoSlot refuses a date on which the practitioner has no slot at that time.
var ErrNoSlot = domain.Refusal(domain.Refused, "series.no-slot", "the practitioner has no slot at this time on that day at this clinic")

// slotOn returns the slot of a date at the series' clinic, or [ErrNoSlot].
func (h *Handler) slotOn(ctx context.Context, b SeriesBooking, date series.Date) (domain.SlotID, error) {
	id, err := h.SlotAt(ctx, b.Practitioner, date.Start)
	if err == nil {
		var o opened
		if o, err = h.openedSlot(ctx, id); err == nil && o.terms.Clinic != b.Clinic {
			err = ErrNoSlot
		}
	}
	if errors.Is(err, schedule.ErrSlotGone) {
		err = ErrNoSlot
	}
	return id, err
}

// bookDate books one date under ids that follow from the series', so that a
// repeat finds what it booked before.
func (h *Handler) bookDate(ctx context.Context, req Request, b SeriesBooking, date series.Date) (series.Visit, error) {
	if date.Skipped {
		return series.Visit{}, series.ErrNoSuchTime
	}
	id, err := h.slotOn(ctx, b, date)
	if err != nil {
		return series.Visit{}, err
	}
	visit := series.Visit{
		Day: date.Day, Start: date.Start, Slot: id,
		Appointment: b.appointment(date.Day),
	}
	of := req.on(date.Day)
	_, err = h.Book(ctx, of, Booking{
		Appointment: visit.Appointment, Slots: []domain.SlotID{id}, VisitType: b.VisitType, Patient: b.Patient, Reason: b.Reason, By: b.By,
	})
	return visit, err
}

// on names the command's part on a day. No command does the same thing twice.
func (r Request) on(day domain.Day) Request {
	return Request{Command: domain.NewID(r.Command, string(day)), Actor: r.Actor, DryRun: r.DryRun, Correlation: r.Correlation, Causation: r.Causation}
}

// Series returns a series as its stream says. Errors: [series.ErrNotFound].
func (h *Handler) Series(ctx context.Context, id domain.SeriesID) (Answer[series.State], error) {
	return read(ctx, h, series.Stream(id), series.Evolve, series.ErrNotFound)
}
