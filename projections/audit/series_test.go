package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
)

const weekly domain.StreamName = "series-weekly"

func visits(all ...visit) []series.Visit {
	var of []series.Visit
	for _, v := range all {
		of = append(of, series.Visit{Appointment: domain.AppointmentID(v.id), Slot: v.slot, Set: v.set + 1})
	}
	return of
}

func (l *log) seriesProposed(all ...visit) *log {
	return l.add(weekly, series.WasProposed{Series: "weekly", Visits: visits(all...), Deadline: nine})
}

func (l *log) seriesBooked(all ...visit) *log {
	return l.add(weekly, series.WasBooked{Series: "weekly", Visits: visits(all...)})
}

func (l *log) seriesLapsed(all ...visit) *log {
	return l.add(weekly, series.HasLapsed{Series: "weekly", Visits: visits(all...)})
}

// waits proposes a visit that the series decides.
func (l *log) waits(v visit) *log {
	return l.add(v.stream(), appointment.WasProposed{
		Visit: v.visit(), Set: v.set + 1, Claims: []domain.StreamName{v.time(), slot.Stream(v.slot)}, Deadline: nine, Series: "weekly",
	})
}

func TestAuditOfASeries(t *testing.T) {
	t.Parallel()
	one, two := newVisit("a", "ana", "p", "s1", 9), newVisit("b", "ana", "p", "s3", 10)
	boris := newVisit("c", "boris", "p", "s1", 9)
	underWay := func() *log { return newLog().seriesProposed(one, two).waits(one).claimed(one).waits(two).claimed(two) }
	next := one.second()
	cases := []struct {
		rule string
		log  *log
		want string // the invariant, "" for none
	}{
		{"step by step", underWay().seriesBooked(one, two).booked(one).booked(two), ""},
		{
			"in one append, where the claims come first and the visits last",
			newLog().claimed(one).claimed(two).seriesProposed(one, two).seriesBooked(one, two).waits(one).booked(one).waits(two).booked(two), "",
		},
		{"visits that do not say yet that they are booked are live", underWay().seriesBooked(one, two), ""},
		{"what lapsed with its series is free", underWay().seriesLapsed(one, two).all(boris).lapsed(one).lapsed(two), ""},
		{"the next round may be booked", underWay().seriesLapsed(one, two).seriesProposed(next).lapsed(one).waits(next).claimed(next).seriesBooked(next), ""},
		{"a visit proposed by a process that was slow is dead", newLog().seriesProposed(one).seriesLapsed(one).waits(one).claimed(one).all(boris), ""},
		{"a slot given away under a visit that does not say yet that it is booked", underWay().seriesBooked(one, two).all(boris), "I1"},
		{"a visit booked alone", underWay().booked(one), "I3"},
		{"a visit ended alone", underWay().lapsed(one), "I3"},
		{"a visit booked after its series has lapsed", underWay().seriesLapsed(one, two).booked(one), "I3"},
		{"a series booked without a claim of a visit", newLog().seriesProposed(one, two).waits(one).claimed(one).waits(two).seriesBooked(one, two), "I3"},
		{"a series booked without a visit", newLog().seriesProposed(one, two).waits(one).claimed(one).seriesBooked(one, two), "I3"},
		{"a series booked after it has lapsed", underWay().seriesLapsed(one, two).seriesBooked(one, two), "I4"},
		{"a series booked with other visits", underWay().seriesBooked(one), "I4"},
		{"a series booked an hour after its deadline", underWay().at(nine.Add(time.Hour)).seriesBooked(one, two), "I4"},
		{"a series that lapses when it is booked", underWay().seriesBooked(one, two).seriesLapsed(one, two), "I4"},
		{"a series proposed twice", underWay().seriesProposed(one), "I4"},
		{"a series without a deadline", newLog().add(weekly, series.WasProposed{Series: "weekly", Visits: visits(one)}), "I4"},
		{"a visit of a series that is not there", newLog().waits(one), "I4"},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			findings := c.log.auditor.Findings()
			if c.want == "" {
				require.Empty(t, findings)
				return
			}
			require.NotEmpty(t, findings)
			require.Equal(t, c.want, findings[0].Invariant)
			require.NotEmpty(t, findings[0].Evidence)
		})
	}
}
