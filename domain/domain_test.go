package domain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/domain"
)

func TestTheCategoryEndsAtTheFirstHyphen(t *testing.T) {
	t.Parallel()
	s := domain.Stream("slot", "7f-3a-1")
	require.Equal(t, "slot", s.Category())
	require.Equal(t, "7f-3a-1", s.ID())
	require.Equal(t, "alone", domain.StreamName("alone").Category())
}

func TestNewIDIsAUUIDv5ThatTellsPartsApart(t *testing.T) {
	t.Parallel()
	id := domain.NewID("a", "b")
	parsed, err := uuid.Parse(id)
	require.NoError(t, err)
	require.Equal(t, uuid.Version(5), parsed.Version())
	require.Equal(t, uuid.RFC4122, parsed.Variant())
	require.Equal(t, id, domain.NewID("a", "b"))
	require.NotEqual(t, id, domain.NewID("ab"))
	require.NotEqual(t, id, domain.NewID("b", "a"))
	require.NoError(t, domain.CheckID(id))
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "x", "5B0C9E21-6D34-4F0A-9A7E-5107B00C4E01", "5b0c9e21x6d34-4f0a-9a7e-5107b00c4e01", "{b0c9e21-6d34-4f0a-9a7e-5107b00c4e0}"} {
		require.ErrorIs(t, domain.CheckID(bad), domain.ErrBadID, bad)
	}
}

func TestARuleIsFoundInsideAWrappedError(t *testing.T) {
	t.Parallel()
	rule := domain.Refusal(domain.Conflict, "x.taken", "taken")
	wrapped := fmt.Errorf("book: %w", rule.Because("taken by the clinic"))
	require.ErrorIs(t, wrapped, rule)
	require.Equal(t, "taken by the clinic", domain.RuleOf(wrapped).Text)
	require.Nil(t, domain.RuleOf(errors.New("else")))
}

func TestPeriodsThatTouchDoNotOverlap(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC)
	p, err := domain.NewPeriod(at, at.Add(2*time.Hour))
	require.NoError(t, err)
	q, err := domain.NewPeriod(at.Add(2*time.Hour), at.Add(3*time.Hour))
	require.NoError(t, err)
	require.False(t, p.Overlaps(q))
	require.Equal(t, []domain.Day{"2026-01-01", "2026-01-02"}, p.Days())
	_, err = domain.NewPeriod(at, at)
	require.ErrorIs(t, err, domain.ErrBadPeriod)
	midnight, err := domain.NewPeriod(at, at.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, []domain.Day{"2026-01-01"}, midnight.Days(), "a period that ends at midnight does not touch the next day")
}

func TestWallTimes(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, zone, day, wall, want string }{
		{"an ordinary morning", "Europe/Lisbon", "2026-06-01", "09:00", "2026-06-01T08:00:00Z"},
		{"a zone without daylight saving", "Asia/Seoul", "2026-06-01", "09:00", "2026-06-01T00:00:00Z"},
		{"a half-hour zone", "Asia/Kolkata", "2026-06-01", "09:00", "2026-06-01T03:30:00Z"},
		{"a skipped time is the first instant after the gap", "Europe/Lisbon", "2026-03-29", "01:30", "2026-03-29T01:00:00Z"},
		{"the last instant before a gap", "Europe/Lisbon", "2026-03-29", "00:59", "2026-03-29T00:59:00Z"},
		{"the first instant after a gap", "Europe/Lisbon", "2026-03-29", "02:00", "2026-03-29T01:00:00Z"},
		{"a skipped time in New York", "America/New_York", "2026-03-08", "02:30", "2026-03-08T07:00:00Z"},
		{"a repeated time is its first occurrence", "Europe/Lisbon", "2026-10-25", "01:30", "2026-10-25T00:30:00Z"},
		{"a repeated time in New York", "America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30:00Z"},
		{"after a repeated hour", "Europe/Lisbon", "2026-10-25", "02:00", "2026-10-25T02:00:00Z"},
		{"the end of a day", "Europe/Lisbon", "2026-06-01", "24:00", "2026-06-01T23:00:00Z"},
		{"a half-hour change of Lord Howe", "Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30:00Z"},
		{"a day that an island skipped", "Pacific/Apia", "2011-12-30", "12:00", "2011-12-30T10:00:00Z"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			zone, err := domain.Zone(c.zone)
			require.NoError(t, err)
			wall, err := domain.ParseWallTime(c.wall)
			require.NoError(t, err)
			require.Equal(t, c.want, wall.On(domain.Day(c.day), zone).Format(time.RFC3339))
		})
	}
}

func TestAWallTimeThatExistsIsShownByTheClock(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Lisbon", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Seoul", "Europe/Moscow"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := domain.Zone(rapid.SampledFrom(zones).Draw(t, "zone"))
		require.NoError(t, err)
		day := domain.Day("2026-01-01").Add(rapid.IntRange(0, 800).Draw(t, "day"))
		wall := domain.WallTime(rapid.IntRange(0, 24*60-1).Draw(t, "wall"))
		got := wall.On(day, zone)
		shown := got.In(zone)
		if shown.Format("15:04") == wall.String() {
			require.Equal(t, day, domain.LocalDay(got, zone))
			require.NotEqual(t, wall.String(), got.Add(-time.Hour).In(zone).Format("15:04"), "the first occurrence")
			return
		}
		_, before := got.Add(-time.Second).In(zone).Zone()
		_, after := shown.Zone()
		require.Greater(t, after, before, "only a gap moves a wall time, to its end")
	})
}

func TestZonesAreNamesOfTheIANADatabase(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "Local", "Mars/Olympus", "../etc/passwd"} {
		_, err := domain.Zone(bad)
		require.ErrorIs(t, err, domain.ErrBadZone, bad)
	}
}

func FuzzParseWallTime(f *testing.F) {
	f.Add("09:00")
	f.Add("24:00")
	f.Add("9:00")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := domain.ParseWallTime(text)
		if err == nil && w.String() != text {
			t.Fatalf("%q became %q", text, w)
		}
	})
}

func TestOpenTextIsNeverMarshalled(t *testing.T) {
	t.Parallel()
	_, err := json.Marshal(domain.Open("ana", "her name"))
	require.Error(t, err)
	data, err := json.Marshal(domain.Sealed{Person: "ana", Box: "x"})
	require.NoError(t, err)
	var back domain.Sealed
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, domain.Sealed{Person: "ana", Box: "x"}, back)
	require.True(t, domain.Open("ana", "").IsZero())
}
