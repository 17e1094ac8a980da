package schedule

import (
	"time"

	"github.com/slotbook/slotbook/domain"
)

// How much working time a practitioner has to answer a request: more when it
// comes while they work, since they may be with somebody.
const (
	replyAtWork = 20 * time.Minute
	replyOnOpen = 15 * time.Minute // from the next opening, or the end of a break
)

// ReplyBy returns until when the practitioner is to answer a booking request
// that was asked for at an instant: 20 minutes later while they work at the
// clinic, and 15 minutes after they next begin otherwise, the end of a break
// included. Only working time counts: what runs past a closing, or into a
// break, goes on at the next opening. It is never after the start of the
// visit, and that start when they do not work there before it.
//
// Blocks, days off and what the clinic's calendar closes is not working time.
func (s State) ReplyBy(clinic domain.ClinicID, asked, start time.Time) time.Time {
	p, ok := s.Pattern(clinic)
	zone, err := domain.Zone(p.Zone)
	if !ok || err != nil {
		return start
	}
	const week = 7
	var left time.Duration // 0 before the first opening
	at := asked
	for d := domain.LocalDay(asked, zone).Add(-2); domain.WallTime(0).On(d, zone).Before(start); d = d.Add(week) {
		for _, h := range s.working(p, d, d.Add(week-1), zone) {
			if !h.End.After(at) {
				continue
			}
			if left == 0 && h.Start.After(asked) {
				left = replyOnOpen
			} else if left == 0 {
				left = replyAtWork
			}
			if h.Start.After(at) {
				at = h.Start
			}
			if by := at.Add(left); !by.After(h.End) {
				return sooner(by, start)
			}
			left -= h.End.Sub(at)
			at = h.End
		}
	}
	return start
}

// working returns when the practitioner works at a clinic in what begins on
// the dates, in order.
func (s State) working(p Pattern, first, last domain.Day, zone *time.Location) []domain.Period {
	var hours []domain.Period
	for d := first; d <= last; d = d.Add(1) {
		regular, extra := s.on(p, d)
		for _, i := range append(regular, extra...) {
			hours = append(hours, i.parts(d, zone)...)
		}
	}
	return domain.Common(domain.Join(hours), s.open(p, first, last, zone))
}

func sooner(t, u time.Time) time.Time {
	if u.Before(t) {
		return u
	}
	return t
}
