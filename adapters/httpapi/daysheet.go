package httpapi

import (
	"bytes"
	"context"
	"encoding/csv"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// DaySheet is a practitioner's day.
type DaySheet struct {
	PractitionerID string     `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	Date           string     `json:"date" format:"date" doc:"A day of the calendar of each clinic, in the clinic's zone" example:"2026-03-02"`
	Entries        []DayEntry `json:"entries" nullable:"false" doc:"By start; a slot of several places comes before its appointments, which come by their turn"`
	Position       uint64     `json:"position" doc:"The entries reflect every event up to this position"`
}

// DayEntry is a slot, an appointment in it, or both.
type DayEntry struct {
	Kind          string     `json:"kind" enum:"free,held,requested,booked,displaced,blocked" doc:"displaced: booked, and the slot is withdrawn; blocked: withdrawn, and nobody is in it" example:"booked"`
	Start         time.Time  `json:"start" doc:"Of the slot, UTC" example:"2026-03-30T08:00:00Z"`
	End           time.Time  `json:"end" doc:"Of the slot, UTC" example:"2026-03-30T08:30:00Z"`
	LocalStart    time.Time  `json:"localStart" doc:"In the zone of the clinic" example:"2026-03-30T09:00:00+01:00"`
	Zone          string     `json:"zone" doc:"IANA time zone of the clinic" example:"Europe/Lisbon"`
	ClinicID      string     `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	SlotID        string     `json:"slotId" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
	Places        int        `json:"places,omitempty" doc:"Of the slot; absent in the entry of an appointment in a slot of several places" example:"1"`
	Free          *int       `json:"free,omitempty" doc:"Of places, those that can be booked" example:"0"`
	AppointmentID string     `json:"appointmentId,omitempty" example:"018f6b1e-0000-7000-8000-000000000004"`
	PatientID     string     `json:"patientId,omitempty" doc:"Absent for a hold of nobody yet" example:"018f6b1e-0000-7000-8000-000000000003"`
	VisitTypeID   string     `json:"visitTypeId,omitempty" example:"018f6b1e-0000-7000-8000-000000000005"`
	Status        string     `json:"status,omitempty" enum:"pending,booked,arrived,checked-in,fulfilled,noshow" doc:"FHIR R4 appointment status" example:"booked"`
	ExpectedAt    *time.Time `json:"expectedAt,omitempty" doc:"In a slot of several places: when this patient's turn is"`
	Deadline      *time.Time `json:"deadline,omitempty" doc:"Until when what is held or requested is kept"`
	Overbooked    bool       `json:"overbooked,omitempty" doc:"Staff took it in beyond what there is"`
}

// Days answers day sheets: [projections.DaySheets].
type Days interface {
	Day(ctx context.Context, f projections.DayFilter, now time.Time, least domain.Position) (projections.DaySheet, error)
}

type daySheetInput struct {
	ReadParams
	AsOfParams
	ID       string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Date     string `query:"date" maxLength:"10" doc:"YYYY-MM-DD, a day of the calendar of each clinic; absent = today at clinicId, or at the practitioner's first clinic" example:"2026-03-02"`
	ClinicID string `query:"clinicId" maxLength:"64" doc:"Only at this clinic"`
	Open     bool   `query:"open" doc:"Only who is still to be seen or is being seen: what is booked, arrived or checked in"`
	Format   string `query:"format" enum:"json,csv" doc:"Absent = as Accept says, JSON when it says nothing"`
	Accept   string `header:"Accept" maxLength:"1000" doc:"text/csv for CSV"`
}

type daySheetOutput struct {
	ContentType string `header:"Content-Type"`
	Position    string `header:"Slotbook-Position" doc:"The same as position"`
	Body        any
}

func (a *api) daySheetRoutes() {
	refusals := append(readRefusals(), pastListRefusals(engine.ErrAway, practitioner.ErrNotFound, clinic.ErrNotFound, domain.ErrBadDay)...)
	h := a.operation(operation{
		id: "getDaySheet", method: http.MethodGet, path: "/v1/practitioners/{id}/day", tag: "Practitioners",
		summary: "Get a practitioner's day as one list",
		detail: "Everything that starts on the day: what is free, held, requested, booked, displaced and blocked. A visit of several slots is in " +
			"each of them. As CSV (RFC 4180) it has a row for each entry, with the same fields.",
	}, refusals, nil)
	ok := answerOf("The day", a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[DaySheet](), true, ""))
	delete(ok.Headers, "ETag")
	ok.Content["text/csv"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	h.Responses["200"] = ok
	huma.Register(a.huma, h, func(ctx context.Context, in *daySheetInput) (*daySheetOutput, error) {
		sheet, err := a.daySheet(ctx, in)
		if err != nil {
			return nil, refused(ctx, err)
		}
		exchangeOf(ctx).position = domain.Position(sheet.Position)
		out := &daySheetOutput{Position: position(domain.Position(sheet.Position)), Body: sheet}
		if in.Format == "csv" || in.Format == "" && prefers(in.Accept, "text/csv", "application/json") {
			out.ContentType, out.Body = "text/csv; charset=utf-8; header=present", sheet.csv()
		}
		return out, nil
	})
}

// prefers reports whether an Accept header names a media type, and the usual
// one not before it.
func prefers(accept, wanted, usual string) bool {
	for _, part := range strings.Split(accept, ",") {
		switch t, parameters, err := mime.ParseMediaType(part); {
		case err != nil || parameters["q"] == "0":
		case t == wanted:
			return true
		case t == usual:
			return false
		}
	}
	return false
}

func (a *api) daySheet(ctx context.Context, in *daySheetInput) (DaySheet, error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return DaySheet{}, err
	}
	f := projections.DayFilter{Practitioner: domain.PractitionerID(in.ID), Clinic: domain.ClinicID(in.ClinicID), AsOf: a.was}
	if f.Day, err = a.dayOf(ctx, in); err != nil {
		return DaySheet{}, err
	}
	found, err := a.Days.Day(ctx, f, a.Now(), in.atLeast())
	if err != nil {
		return DaySheet{}, err
	}
	sheet := DaySheet{PractitionerID: in.ID, Date: string(f.Day), Entries: []DayEntry{}, Position: uint64(found.Position)}
	for _, e := range found.Entries {
		if in.Open && e.Status != appointment.Booked && e.Status != appointment.Arrived && e.Status != appointment.CheckedIn {
			continue
		}
		entry, err := a.dayEntry(ctx, e)
		if err != nil {
			return DaySheet{}, err
		}
		sheet.Entries = append(sheet.Entries, entry)
	}
	return sheet, nil
}

// dayOf returns which day is meant, today where none is given, of a practitioner
// and a clinic that there are.
func (a *api) dayOf(ctx context.Context, in *daySheetInput) (domain.Day, error) {
	var day domain.Day
	if in.Date != "" {
		var err error
		if day, err = domain.ParseDay(in.Date); err != nil {
			return "", err
		}
	}
	who, err := a.Commands.Practitioner(ctx, domain.PractitionerID(in.ID))
	if err != nil {
		return "", err
	}
	clinic := domain.ClinicID(in.ClinicID)
	if clinic == "" {
		clinic = who.State.Clinics[0] // everybody works somewhere
	}
	zone, err := a.zoneOf(ctx, clinic)
	if err == nil && day == "" {
		day = domain.LocalDay(a.Now(), zone)
	}
	return day, err
}

func (a *api) dayEntry(ctx context.Context, e projections.DayEntry) (DayEntry, error) {
	zone, err := a.rowZone(ctx, e.Zone, e.Clinic)
	if err != nil {
		return DayEntry{}, err
	}
	shown := DayEntry{
		Kind: string(e.Kind), Start: e.Start.UTC(), End: e.End.UTC(), LocalStart: e.Start.In(zone), Zone: zone.String(), ClinicID: string(e.Clinic),
		SlotID: string(e.Slot), Places: e.Places, AppointmentID: string(e.Appointment), PatientID: string(e.Patient), VisitTypeID: e.VisitType,
		Status: string(e.Status), ExpectedAt: instant(e.ExpectedAt), Deadline: instant(e.Deadline), Overbooked: e.Overbooked,
	}
	if e.Places > 0 {
		shown.Free = &e.Free
	}
	return shown, nil
}

// csv writes a row for each entry after a header row, with the line ends of
// RFC 4180.
func (s DaySheet) csv() []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	_ = w.Write([]string{ // to memory: it cannot fail
		"kind", "start", "end", "localStart", "zone", "clinicId", "slotId", "places", "free", "appointmentId", "patientId", "visitTypeId",
		"status", "expectedAt", "deadline", "overbooked",
	})
	for _, e := range s.Entries {
		_ = w.Write(mapped(e.cells(), harmless))
	}
	w.Flush()
	return out.Bytes()
}

func (e DayEntry) cells() []string {
	cells := []string{
		e.Kind, e.Start.Format(time.RFC3339), e.End.Format(time.RFC3339), e.LocalStart.Format(time.RFC3339), e.Zone, e.ClinicID, e.SlotID,
		"", "", e.AppointmentID, e.PatientID, e.VisitTypeID, e.Status, cellOf(e.ExpectedAt), cellOf(e.Deadline), "",
	}
	if e.Free != nil {
		cells[7], cells[8] = strconv.Itoa(e.Places), strconv.Itoa(*e.Free)
	}
	if e.Overbooked {
		cells[15] = "true"
	}
	return cells
}

func cellOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(cell string) string {
	if cell != "" && slices.Contains([]byte("=+-@\t\r"), cell[0]) {
		return "'" + cell
	}
	return cell
}
