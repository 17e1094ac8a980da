package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
)

// Schedules is everything that says when a practitioner sees people.
type Schedules struct {
	PractitionerID string         `json:"practitionerId"`
	Patterns       []PatternShown `json:"patterns" nullable:"false" doc:"The week at each clinic, in the order in which they were set: where two want the same time, the earlier one has it"`
	Exceptions     []Exception    `json:"exceptions" nullable:"false" doc:"What differs on a date, by date"`
	Blocks         []Block        `json:"blocks" nullable:"false" doc:"Time that is closed, by start"`
	Calendars      []Calendar     `json:"calendars" nullable:"false" doc:"What the schedule has adopted of its clinics, in the order of patterns"`
}

// PatternShown is the week at one clinic.
type PatternShown struct {
	ClinicID string `json:"clinicId"`
	ScheduleBody
}

// ExceptionBody is what differs on a date.
type ExceptionBody struct {
	ClinicID  string        `json:"clinicId,omitempty" maxLength:"64" doc:"Where; absent = at all clinics, for a day off only" example:"018f6b1e-0000-7000-8000-000000000001"`
	Kind      string        `json:"kind" enum:"day-off,extra-hours,changed-hours" doc:"No hours of the date, hours beside the week's, or hours in place of the week's" example:"day-off"`
	Reason    string        `json:"reason,omitempty" enum:"regular,personal,holiday,other" doc:"A day off has one" example:"holiday"`
	Intervals []StretchBody `json:"intervals,omitempty" nullable:"false" maxItems:"100" doc:"The extra or changed hours; they begin on the date"`
}

// Exception is what differs on one date.
type Exception struct {
	Date string `json:"date" format:"date" doc:"In the zone of the clinic"`
	ExceptionBody
}

// ExceptionChange is what became of the days when an exception was set or
// removed.
type ExceptionChange struct {
	PractitionerID string `json:"practitionerId"`
	ClinicID       string `json:"clinicId,omitempty"`
	Date           string `json:"date" format:"date"`
	Opening
}

// BlockBody is time to be closed.
type BlockBody struct {
	From   time.Time `json:"from" doc:"From this instant on" example:"2026-03-30T10:00:00+01:00"`
	To     time.Time `json:"to" doc:"Up to, not including, this instant" example:"2026-03-30T12:00:00+01:00"`
	Reason string    `json:"reason" maxLength:"500" doc:"Why; for staff, without personal data of patients" example:"fire drill"`
}

// Block is time that is closed.
type Block struct {
	ID             string    `json:"id" doc:"Opaque"`
	PractitionerID string    `json:"practitionerId"`
	From           time.Time `json:"from" doc:"UTC"`
	To             time.Time `json:"to" doc:"UTC"`
	Reason         string    `json:"reason"`
	Lifted         bool      `json:"lifted,omitempty" doc:"It closes nothing any more"`
}

// BlockChange is a block, and what became of the days.
type BlockChange struct {
	Block
	Opening
}

type schedulesInput struct {
	ReadParams
	ID string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
}

type setExceptionInput struct {
	CommandParams
	ID   string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Date string `path:"date" maxLength:"10" doc:"The date, in the zone of the clinic" example:"2026-12-24"`
	Body ExceptionBody
}

type removeExceptionInput struct {
	CommandParams
	ID       string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Date     string `path:"date" maxLength:"10" doc:"The date, in the zone of the clinic" example:"2026-12-24"`
	ClinicID string `query:"clinicId" maxLength:"64" doc:"Whose exception; absent = the one for all clinics"`
}

type blockInput struct {
	CommandParams
	ID   string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Body BlockBody
}

type unblockInput struct {
	CommandParams
	ID      string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	BlockID string `path:"blockId" doc:"The block" example:"018f6b1e-0000-7000-8000-000000000009"`
}

type oneBlockInput struct {
	ReadParams
	ID      string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	BlockID string `path:"blockId" doc:"The block" example:"018f6b1e-0000-7000-8000-000000000009"`
}

func (a *api) exceptionRoutes() {
	const exceptions, blocks, tag = "/v1/practitioners/{id}/exceptions/{date}", "/v1/practitioners/{id}/blocks", "Practitioners"
	one(a, operation{
		id: "getSchedules", method: http.MethodGet, path: "/v1/practitioners/{id}/schedules", tag: tag,
		summary: "Get everything that says when a practitioner sees people", refusals: []*domain.Error{schedule.ErrNotFound},
	}, a.schedules)
	command(a, operation{
		id: "setException", method: http.MethodPut, path: exceptions, tag: tag,
		summary: "Give a practitioner a day off, extra hours or changed hours",
		detail: "A date has one exception for each clinic and one for all; a day off at all clinics counts before the others. Hours belong to " +
			"the date on which they begin, also past midnight. Extra hours lose where the week wants the time.",
		refusals: []*domain.Error{
			practitioner.ErrNotFound, practitioner.ErrElsewhere, schedule.ErrNotFound, domain.ErrBadDay, domain.ErrBadWallTime, errDuration,
			schedule.ErrException, schedule.ErrReason, schedule.ErrInterval, schedule.ErrIntervals, schedule.ErrDuration, schedule.ErrCapacity,
			schedule.ErrBreak, schedule.ErrOverlap, domain.ErrBadZone,
		},
	}, a.setException)
	command(a, operation{
		id: "removeException", method: http.MethodDelete, path: exceptions, tag: tag, summary: "Make a date like others again",
		refusals: []*domain.Error{practitioner.ErrNotFound, schedule.ErrNoException, domain.ErrBadZone},
	}, a.removeException)
	command(a, operation{
		id: "block", method: http.MethodPost, path: blocks, tag: tag, creates: true, summary: "Close time of a practitioner at once",
		detail:   "Slots that overlap the block are withdrawn; what is booked in them stays booked and is listed as displaced.",
		refusals: []*domain.Error{practitioner.ErrNotFound, schedule.ErrBlock, domain.ErrBadZone},
	}, a.block)
	one(a, operation{
		id: "getBlock", method: http.MethodGet, path: blocks + "/{blockId}", tag: tag, summary: "Get a block",
		refusals: []*domain.Error{schedule.ErrNotFound, schedule.ErrNoBlock},
	}, a.oneBlock)
	command(a, operation{
		id: "unblock", method: http.MethodDelete, path: blocks + "/{blockId}", tag: tag, summary: "Open the time of a block again",
		refusals: []*domain.Error{practitioner.ErrNotFound, schedule.ErrNoBlock, domain.ErrBadZone},
	}, a.unblock)
}

func (a *api) schedules(ctx context.Context, in *schedulesInput) (single[Schedules], error) {
	answer, err := a.Commands.Schedule(ctx, domain.PractitionerID(in.ID))
	if err != nil {
		return single[Schedules]{}, err
	}
	s := answer.State
	body := Schedules{
		PractitionerID: in.ID, Exceptions: []Exception{}, Blocks: []Block{},
		Patterns:  mapped(s.Patterns, func(p schedule.Pattern) PatternShown { return PatternShown{string(p.Clinic), showPattern(p)} }),
		Calendars: mapped(s.Patterns, func(p schedule.Pattern) Calendar { return showCalendar(p.Clinic, p.Zone, s.Calendar(p.Clinic)) }),
	}
	for _, e := range s.Exceptions {
		if e.Kind != "" {
			body.Exceptions = append(body.Exceptions, showException(e))
		}
	}
	slices.SortStableFunc(body.Exceptions, func(x, y Exception) int { return strings.Compare(x.Date, y.Date) })
	for _, b := range s.Blocks {
		if !b.Lifted {
			body.Blocks = append(body.Blocks, showBlock(in.ID, b))
		}
	}
	slices.SortStableFunc(body.Blocks, func(x, y Block) int { return x.From.Compare(y.From) })
	return single[Schedules]{body, etag(answer.Revision), answer.Position}, nil
}

func showException(e schedule.Exception) Exception {
	return Exception{string(e.Date), ExceptionBody{string(e.Clinic), string(e.Kind), e.Reason, mapped(e.Intervals, showStretch)}}
}

func showBlock(practitioner string, b schedule.Block) Block {
	return Block{b.ID, practitioner, b.Start.UTC(), b.End.UTC(), b.Reason, b.Lifted}
}

func (a *api) setException(ctx context.Context, req commands.Request, in *setExceptionInput) (done[ExceptionChange], error) {
	e := schedule.Exception{
		Date: domain.Day(in.Date), Clinic: domain.ClinicID(in.Body.ClinicID), Kind: schedule.Kind(in.Body.Kind), Reason: in.Body.Reason,
	}
	for _, b := range in.Body.Intervals {
		i, err := stretchOf(b)
		if err != nil {
			return done[ExceptionChange]{}, err
		}
		e.Intervals = append(e.Intervals, i)
	}
	answer, opening, err := a.Commands.SetException(ctx, req, schedule.SetException{Practitioner: domain.PractitionerID(in.ID), Exception: e})
	if err != nil {
		return done[ExceptionChange]{}, err
	}
	shown, err := a.openingOf(ctx, &answer, opening)
	return finish(answer, ExceptionChange{in.ID, in.Body.ClinicID, in.Date, shown}, ""), err
}

func (a *api) removeException(ctx context.Context, req commands.Request, in *removeExceptionInput) (done[ExceptionChange], error) {
	answer, opening, err := a.Commands.RemoveException(ctx, req, schedule.RemoveException{
		Practitioner: domain.PractitionerID(in.ID), Date: domain.Day(in.Date), Clinic: domain.ClinicID(in.ClinicID),
	})
	if err != nil {
		return done[ExceptionChange]{}, err
	}
	shown, err := a.openingOf(ctx, &answer, opening)
	return finish(answer, ExceptionChange{in.ID, in.ClinicID, in.Date, shown}, ""), err
}

func (a *api) block(ctx context.Context, req commands.Request, in *blockInput) (done[BlockChange], error) {
	id := a.newID(req, "block")
	b := schedule.Block{ID: id, Period: domain.Period{Start: in.Body.From, End: in.Body.To}, Reason: in.Body.Reason}
	answer, opening, err := a.Commands.Block(ctx, req, schedule.BlockTime{Practitioner: domain.PractitionerID(in.ID), Block: b})
	if err != nil {
		return done[BlockChange]{}, err
	}
	return a.blockChange(ctx, in.ID, id, answer, opening)
}

func (a *api) unblock(ctx context.Context, req commands.Request, in *unblockInput) (done[BlockChange], error) {
	answer, opening, err := a.Commands.Unblock(ctx, req, schedule.Unblock{Practitioner: domain.PractitionerID(in.ID), Block: in.BlockID})
	if err != nil {
		return done[BlockChange]{}, err
	}
	return a.blockChange(ctx, in.ID, in.BlockID, answer, opening)
}

func (a *api) blockChange(
	ctx context.Context, practitioner, id string, answer commands.Answer[schedule.State], o commands.Opening,
) (done[BlockChange], error) {
	block, err := blockOf(answer.State, id)
	if err != nil {
		return done[BlockChange]{}, err
	}
	shown, err := a.openingOf(ctx, &answer, o)
	body := BlockChange{showBlock(practitioner, block), shown}
	return finish(answer, body, "/v1/practitioners/"+practitioner+"/blocks/"+id), err
}

func (a *api) oneBlock(ctx context.Context, in *oneBlockInput) (single[Block], error) {
	answer, err := a.Commands.Schedule(ctx, domain.PractitionerID(in.ID))
	if err != nil {
		return single[Block]{}, err
	}
	block, err := blockOf(answer.State, in.BlockID)
	return single[Block]{showBlock(in.ID, block), etag(answer.Revision), answer.Position}, err
}

func blockOf(s schedule.State, id string) (schedule.Block, error) {
	i := slices.IndexFunc(s.Blocks, func(b schedule.Block) bool { return b.ID == id })
	if i < 0 {
		return schedule.Block{}, schedule.ErrNoBlock
	}
	return s.Blocks[i], nil
}
