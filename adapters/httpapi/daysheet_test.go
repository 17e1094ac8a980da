package httpapi_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// sheets answers one day sheet, whatever is asked for.
type sheets projections.DaySheet

func (s sheets) Day(context.Context, projections.DayFilter, time.Time, domain.Position) (projections.DaySheet, error) {
	return projections.DaySheet(s), nil
}

// noFigures are those of an empty log.
type noFigures struct{}

func (noFigures) Figures(context.Context, projections.KPIFilter, time.Time, domain.Position) ([]projections.KPI, domain.Position, error) {
	return nil, 0, nil
}

// views are those of an engine that comes later.
type views struct{ *engine.Engine }

// newFoldedWorld is the API over the memory store and the real read models of
// slots, appointments, day sheets and reviews, followed while the test runs.
func newFoldedWorld(t *testing.T) *world {
	t.Helper()
	v := &views{}
	w := newWorld(t, func(c *httpapi.Config) {
		streams := c.Past.(projections.Streams)
		c.Days, c.Slots, c.Appointments = projections.NewDaySheets(v).WithPast(streams), projections.NewAvailability(v).WithPast(streams), projections.NewAppointments(v).WithPast(streams)
		c.Reviews, c.Directory, c.KPIs, c.Waits = projections.NewReviews(v), projections.NewDirectory(v), projections.NewKPIs(v), projections.NewWaits(v)
	})
	models := projections.All(func(domain.Sealed) string { return "" }, nil)
	v.Engine = engine.New(engine.Config{Pool: projectionstest.Pool(t, models...), Log: w.store, Owner: "test", Now: time.Now, Models: models})
	follow(t, v.Run)
	return w
}

// TestRealExchanges replays the golden exchanges that need the real read
// models, as TestExchanges does the others.
func TestRealExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/real/*.http")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(file)
			require.NoError(t, err)
			w := newFoldedWorld(t)
			now := w.replay(t, string(golden))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(now), 0o600))
				return
			}
			require.Equal(t, string(golden), now)
		})
	}
}

func TestNoCellOfADaySheetIsAFormula(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) {
		c.Days = sheets{Entries: []projections.DayEntry{{
			Kind: projections.DayBooked, Zone: "Europe/Lisbon", Slot: "=1+1", Appointment: "+1", Patient: "-1", VisitType: "@SUM(A1)",
			Status: appointment.Booked, Clinic: `a "quoted", one`,
		}}}
	})
	d := w.open(t)
	answer := w.call(t, http.MethodGet, "/v1/practitioners/"+d.practitioner+"/day?date=2026-03-03&format=csv", "")
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	require.Contains(t, answer.Body.String(), "\r\n")
	rows, err := csv.NewReader(answer.Body).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	cells := map[string]string{}
	for i, name := range rows[0] {
		cells[name] = rows[1][i]
	}
	require.Equal(t, "'=1+1", cells["slotId"])
	require.Equal(t, "'+1", cells["appointmentId"])
	require.Equal(t, "'-1", cells["patientId"])
	require.Equal(t, "'@SUM(A1)", cells["visitTypeId"])
	require.Equal(t, `a "quoted", one`, cells["clinicId"])
}

func TestTodaysListHasEverybodyOrWhoIsStillToBeSeen(t *testing.T) {
	t.Parallel()
	entry := func(id domain.AppointmentID, status appointment.Status) projections.DayEntry {
		return projections.DayEntry{Kind: projections.DayBooked, Zone: "Europe/Lisbon", Appointment: id, Status: status}
	}
	w := newWorld(t, func(c *httpapi.Config) {
		c.Days = sheets{Entries: []projections.DayEntry{
			{Kind: projections.DayFree, Zone: "Europe/Lisbon"},
			entry("a", appointment.Fulfilled), entry("b", appointment.Booked),
			entry("c", appointment.CheckedIn), entry("d", appointment.NoShow), entry("e", appointment.Arrived), entry("f", appointment.Pending),
		}}
	})
	d := w.open(t)
	w.setNow(at("2026-03-03T23:30:00Z"))
	listed := func(query string) (sheet httpapi.DaySheet) {
		answer := w.call(t, http.MethodGet, "/v1/practitioners/"+d.practitioner+"/day"+query, "")
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		return decoded[httpapi.DaySheet](t, answer.Body.Bytes())
	}
	require.Len(t, listed("").Entries, 7)
	require.Equal(t, "2026-03-03", listed("").Date, "today at the clinic")
	var ids []string
	for _, e := range listed("?open=true").Entries {
		ids = append(ids, e.AppointmentID)
	}
	require.Equal(t, []string{"b", "c", "e"}, ids)
}

func TestADaySheetIsCSVForWhoeverPrefersIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	for accept, want := range map[string]string{
		"text/csv": "text/csv", "text/csv;q=0.9, */*": "text/csv", "application/json, text/csv": "application/json",
		"text/csv;q=0": "application/json", "*/*": "application/json", "": "application/json",
	} {
		answer := w.call(t, http.MethodGet, "/v1/practitioners/"+d.practitioner+"/day?date=2026-03-03", "", "Accept", accept)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		require.True(t, strings.HasPrefix(answer.Header().Get("Content-Type"), want), "%s: %s", accept, answer.Header())
	}
}

// absentees is a list of more visits than one absence reaches.
type absentees struct{ httpapi.Appointments }

func (absentees) List(
	_ context.Context, f projections.AppointmentFilter, _ time.Time, _ domain.Position,
) (projections.List[projections.Appointment], error) {
	var l projections.List[projections.Appointment]
	for i := range 501 {
		id := domain.AppointmentID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i))
		l.Items = append(l.Items, projections.Appointment{ID: id, Status: appointment.Booked, Period: domain.Period{Start: f.To.Add(-1), End: f.To}})
	}
	return l, nil
}

func TestAnAbsenceOfMoreThan500VisitsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Appointments = absentees{} })
	d := w.open(t)
	const body = `{"from": "2026-03-03T08:00:00Z", "to": "2026-03-04T08:00:00Z", "code": "other", "action": "cancel"}`
	require.Equal(t, "absence.too-many", rule(t, w.call(t, http.MethodPost, "/v1/practitioners/"+d.practitioner+"/absences", body)))
	body2 := strings.Replace(body, `"other"`, `""`, 1)
	require.Equal(t, "request.invalid", rule(t, w.call(t, http.MethodPost, "/v1/practitioners/"+d.practitioner+"/absences", body2)))
}
