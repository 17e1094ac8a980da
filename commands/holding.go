package commands

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/quota"
)

// The limits of holds.
const (
	LongestHold = 15 * time.Minute // of one hold, without renewing it
	HoldCeiling = 30 * time.Minute // from its beginning, however often it is renewed
	MaxHolds    = 3                // of one frontend session, and of one patient, at a time
)

// Holding is a wish to keep slots while a person fills a form.
type Holding struct {
	Booking               // its reason is that of the booking to come
	For     time.Duration // how long; 0 = as the policy says
	Session string        // the frontend session's name, "" when it has none
}

// The refusals of a hold.
var (
	ErrHoldTime = domain.Refusal(domain.Invalid, "hold.time", "a hold lasts from 1 second to 15 minutes")
	ErrToken    = domain.Refusal(domain.Forbidden, "hold.token", "the token is not that of the hold")
)

// Token returns the secret of a hold: who shows it is the hold's owner. It is
// never stored.
func (h *Handler) Token(id domain.AppointmentID, set int) string {
	mac := hmac.New(sha256.New, h.HoldKey)
	mac.Write([]byte(string(id) + "/" + strconv.Itoa(set)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// owner returns the number of the set that the token is for.
func (h *Handler) owner(id domain.AppointmentID, s appointment.State, token string) (int, error) {
	if len(s.Sets) == 0 {
		return 0, appointment.ErrNotFound
	}
	for i, set := range s.Sets {
		if set.Phase != appointment.InDecision && hmac.Equal([]byte(token), []byte(h.Token(id, i+1))) {
			return i + 1, nil
		}
	}
	return 0, ErrToken
}

// Hold keeps slots for a while, and the patient's time too if one is named. Its
// owner is whoever has its [Handler.Token].
//
// Errors: [ErrHoldTime], [quota.ErrHolds], and those of [Handler.Book].
func (h *Handler) Hold(ctx context.Context, req Request, w Holding) (Answer[appointment.State], error) {
	if w.For < 0 || w.For > LongestHold || 0 < w.For && w.For < time.Second {
		return Answer[appointment.State]{}, ErrHoldTime
	}
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	done, err := execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		p, err := retry(ctx, h, func(ctx context.Context) (proposal, error) { return h.planHold(ctx, req, w) })
		if err != nil {
			return Answer[appointment.State]{}, err
		}
		return h.transact(ctx, req, w.Appointment, p, func(ctx context.Context, h *Handler, _ appointment.State) (proposal, error) {
			return h.planHold(ctx, req, w)
		})
	})
	h.unmet(ctx, req, "hold", w.Booking, err)
	return done, err
}

func (h *Handler) planHold(ctx context.Context, req Request, hold Holding) (proposal, error) {
	w, place, err := h.wish(ctx, hold.Booking)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{wish: w, reason: hold.Reason, policies: place.revisions(), stateless: true, hold: true}
	if p.refusal = place.refusal(w.visit, h.Now()); p.refusal == nil {
		p.refusal = w.refusal(hold.By)
	}
	p.limits = place.limits(w.visit)
	for _, subject := range hold.holders(req.Actor) {
		p.limits[quota.Quota{Rule: quota.Holds, Subject: subject, Bucket: quota.Active}.Stream()] = MaxHolds
	}
	if hold.Patient == "" {
		if err := h.share(ctx, w.visit, place, p.limits); err != nil {
			return proposal{}, err
		}
	}
	if hold.For == 0 {
		hold.For = place.HoldTime
	}
	now := h.now()
	p.until, p.ceiling = now.Add(hold.For), now.Add(HoldCeiling)
	return p, nil
}

// holders returns who holds, each of whom may have [MaxHolds] at a time: the
// patient and the frontend's session, as far as they are named.
func (w Holding) holders(actor string) []string {
	var who []string
	if w.Patient != "" {
		who = append(who, quota.HeldBy(w.Patient))
	}
	if w.Session != "" || w.Patient == "" {
		who = append(who, "session."+domain.NewID("session", actor, w.Session))
	}
	return who
}

// share limits how much of each practitioner's UTC day callers of whom nothing is
// known may hold: a part of its slots, one at least.
func (h *Handler) share(ctx context.Context, v appointment.Visit, p place, limits map[domain.StreamName]int) error {
	const whole = 100 // percent
	day := domain.DayOf(v.Start)
	for _, own := range p.ofEach(v) {
		slots, err := h.openDay(ctx, own.practitioner, day)
		if err != nil {
			return err
		}
		q := quota.Quota{Rule: quota.Holds, Subject: "day." + string(own.practitioner), Bucket: string(day)}
		limits[q.Stream()] = max(1, len(slots)*own.HoldsShare/whole)
	}
	return nil
}

// Held returns the appointment that is on hold, for its owner. Errors:
// [ErrToken], [appointment.ErrNotFound], [appointment.ErrLapsed],
// [appointment.ErrNotHeld].
func (h *Handler) Held(ctx context.Context, id domain.AppointmentID, token string) (Answer[appointment.State], error) {
	answer, err := h.Appointment(ctx, id)
	if err == nil {
		_, err = h.owner(id, answer.State, token)
	}
	if err == nil {
		_, _, err = answer.State.Holding(h.Now())
	}
	return answer, err
}

// Renew makes a hold last longer, at most until its ceiling. Errors:
// [ErrHoldTime], [ErrToken], [appointment.ErrNotFound],
// [appointment.ErrLapsed], [appointment.ErrNotHeld],
// [appointment.ErrCeiling], and those of every command.
func (h *Handler) Renew(ctx context.Context, req Request, id domain.AppointmentID, token string, by time.Duration) (Answer[appointment.State], error) {
	if by <= 0 || by > LongestHold {
		return Answer[appointment.State]{}, ErrHoldTime
	}
	return handle(ctx, h, req, appointment.Stream(id), h.holdOf(id, token), func() appointment.Command {
		now := h.now()
		return appointment.Renew{Until: now.Add(by), At: now}
	}(), unguarded)
}

// Release gives a hold back. Errors: [ErrToken], [appointment.ErrNotFound], and
// those of every command.
func (h *Handler) Release(ctx context.Context, req Request, id domain.AppointmentID, token string) (Answer[appointment.State], error) {
	return h.ending(ctx, req, id, func(h *Handler, s appointment.State) (appointment.Command, error) {
		_, err := h.owner(id, s, token)
		return appointment.Release{}, err
	})
}

// holdOf is the aggregate of an appointment for the owner of its hold.
func (h *Handler) holdOf(id domain.AppointmentID, token string) aggregate[appointment.State, appointment.Command, appointment.Event] {
	return aggregate[appointment.State, appointment.Command, appointment.Event]{
		decide: func(s appointment.State, c appointment.Command) ([]appointment.Event, error) {
			if _, err := h.owner(id, s, token); err != nil {
				return nil, err
			}
			return appointment.Decide(s, c)
		},
		evolve: appointment.Evolve,
	}
}

// Completion books what is on hold, with what the hold did not know.
type Completion struct {
	Appointment domain.AppointmentID
	Token       string
	Patient     domain.PatientID      // "" = as held
	Reason      string                // open text; "" = as held
	By          appointment.Initiator // whose wish it is; "" is the patient's
}

// ErrNoPatient refuses a booking for nobody.
var ErrNoPatient = domain.Refusal(domain.Invalid, "appointment.patient", "a booking names its patient")

// Complete books what is on hold, or requests it where the policy wants
// approval. Errors: [ErrToken], [ErrNoPatient], [appointment.ErrNotFound],
// [appointment.ErrLapsed], [appointment.ErrNotHeld], and those of
// [Handler.Book].
func (h *Handler) Complete(ctx context.Context, req Request, c Completion) (Answer[appointment.State], error) {
	wanted := Booking{Patient: c.Patient}
	done, err := h.transactOn(ctx, req, c.Appointment, func(ctx context.Context, h *Handler, s appointment.State) (proposal, error) {
		if n, err := h.owner(c.Appointment, s, c.Token); err == nil {
			wanted.Slots, wanted.VisitType = s.Sets[n-1].Slots, domain.VisitTypeID(s.Sets[n-1].VisitType)
		}
		return h.planCompletion(ctx, c, s)
	})
	h.unmet(ctx, req, "book", wanted, err)
	return done, err
}

func (h *Handler) planCompletion(ctx context.Context, c Completion, s appointment.State) (proposal, error) {
	n, err := h.owner(c.Appointment, s, c.Token)
	if err != nil {
		return proposal{}, err
	}
	held := s.Sets[n-1]
	if c.Patient != "" {
		held.Patient = c.Patient
	}
	current, live := s.Current()
	switch {
	case s.Fate(live) == claim.Live && current.Same(held.Visit):
		n, held = live, current // it is completed
	case s.Fate(live) == claim.Live:
		return proposal{}, appointment.ErrNotHeld
	case held.Fate != claim.Pending || !h.Now().Before(held.Deadline):
		return proposal{}, appointment.ErrLapsed
	}
	w, place, err := h.again(ctx, held.Visit)
	if err != nil {
		return proposal{}, err
	}
	if w.visit.Patient == "" {
		return proposal{}, ErrNoPatient
	}
	p := proposal{wish: w, purpose: appointment.ToComplete, reason: c.Reason, policies: place.revisions(), giveUp: place.NoShowAfter}
	p.by = Booking{By: c.By}.staff()
	p.request = place.Approval && p.by == ""
	p.limits = place.limits(w.visit)
	if s.Sets[n-1].Same(w.visit) {
		p.existing = n
	}
	if p.request {
		p.until, err = h.replyBy(ctx, w.visit)
	}
	return p, err
}

// again returns the wish of a visit that was wished before.
func (h *Handler) again(ctx context.Context, v appointment.Visit) (wish, place, error) {
	w := wish{visit: v, opened: map[domain.SlotID]opened{}}
	for _, id := range v.Slots {
		o, err := h.openedSlot(ctx, id)
		if err != nil {
			return w, place{}, err
		}
		w.opened[id] = o
	}
	there, err := h.openPlaceOf(ctx, v)
	return w, there, err
}
