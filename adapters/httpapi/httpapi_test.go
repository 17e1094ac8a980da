package httpapi_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

var update = flag.Bool("update", false, "write openapi.json and the answers of testdata/*.http as they are now")

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", decodeLines)
	postgrestest.Main(m)
}

// world is the API over a memory store, with a clock that stands still and ids
// that count.
type world struct {
	handler  http.Handler
	commands *commands.Handler
	store    *switched
	events   events // the store that the API is over
	keys     *eventcodec.MemoryKeys
	now      func() time.Time
	setNow   func(time.Time)
	log      *bytes.Buffer
	pool     *pgxpool.Pool // of a real world
	endLive  func()        // what a process does to its streams when it ends
	contract *document
}

// events is a store that tests append to behind the API's back.
type events interface {
	commands.Store
	Head(ctx context.Context) (domain.Position, error)
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func newWorld(t testing.TB, change ...func(*httpapi.Config)) *world {
	t.Helper()
	var clock atomic.Pointer[time.Time]
	w := &world{
		keys: &eventcodec.MemoryKeys{}, log: &bytes.Buffer{},
		now: func() time.Time { return *clock.Load() }, setNow: func(t time.Time) { clock.Store(&t) },
	}
	w.setNow(at("2026-03-02T08:00:00Z"))
	var ids, eventIDs atomic.Int64
	newID := func() string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", ids.Add(1)) }
	newEventID := func() string { return fmt.Sprintf("eeeeeeee-0000-7000-8000-%012d", eventIDs.Add(1)) }
	codec := eventcodec.New(w.keys)
	w.store = &switched{Store: memory.New(memory.Config{Codec: codec, Now: w.now})}
	w.events = w.store
	w.commands = commands.New(commands.Config{Store: w.store, Now: w.now, NewID: newEventID, HoldKey: []byte("a key of holds"), Said: authorities()})
	lists := &folded{w.commands, w.store, codec}
	c := httpapi.Config{
		Commands: w.commands, Codec: codec, Slots: foldedSlots{lists}, Appointments: foldedAppointments{lists},
		Days: sheets{}, KPIs: noFigures{},
		Directory: lists, Patients: lists, Catalogue: foldedCatalogue{lists}, Reviews: foldedReviews{lists}, Reference: authorities(),
		Pictures: &album{}, Waits: foldedWaits{lists}, Waitlist: foldedWaitlist{lists}, Streams: httpapi.StreamConfig{Now: time.Now},
		Projections: idle{}, Reactions: &reacting{}, Webhooks: &hooked{now: w.now}, Events: w.store,
		Head: w.store.Head, Past: w.store, Now: w.now, NewID: newID, HashKey: []byte("a key for tests"),
		Metrics: prometheus.NewRegistry(), CORSOrigins: []string{"https://book.example.org"},
		Logger: slog.New(slog.NewJSONHandler(&locked{w: w.log}, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	if c.Live == nil {
		slots, live := c.Slots.(projections.LiveSlots)
		if !live {
			slots = foldedSlots{lists}
		}
		c.Live = projections.NewLive(projections.LiveConfig{Log: w.store, Streams: w.store, Slots: slots, Now: w.now})
	}
	w.endLive = follow(t, c.Live.Run)
	var err error
	w.handler, err = httpapi.New(c)
	require.NoError(t, err)
	w.contract, err = contract()
	require.NoError(t, err)
	return w
}

// locked lets a buffer be written by several requests.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// switched is a store that can be switched off.
type switched struct {
	*memory.Store
	off atomic.Bool
}

func (s *switched) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if s.off.Load() {
		return nil, commands.ErrUnavailable
	}
	return s.Store.Load(ctx, streams...)
}

// send has the router answer, and checks the request and the answer against
// the OpenAPI document: the request when it was accepted, the answer always.
func (w *world) send(t testing.TB, method, target string, header http.Header, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	request := func() *http.Request {
		r := httptest.NewRequest(method, target, bytes.NewReader(body))
		for name, values := range header {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
		return r
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, request())
	w.contract.check(t, request, answer)
	return answer
}

// call sends a body with headers given as name, value pairs.
func (w *world) call(t testing.TB, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	h := http.Header{}
	if body != "" {
		h.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return w.send(t, method, target, h, []byte(body))
}

func rule(t testing.TB, answer *httptest.ResponseRecorder) string {
	t.Helper()
	require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"), answer.Body.String())
	var p httpapi.Problem
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
	require.Equal(t, answer.Code, p.Status)
	require.Equal(t, "/problems/"+p.Rule, p.Type)
	return p.Rule
}

// TestExchanges replays the golden exchanges of testdata: a request, and the
// whole answer. {{name}} stands for the id that the answer of the exchange of
// that name gave, {{name.token}} for its token. A line "Clock:" among the headers
// is not sent: it sets the clock. What an exchange frees is offered to who waits.
func TestExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.http")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(file)
			require.NoError(t, err)
			w := newWorld(t)
			w.handler = w.offering(w.handler)
			now := w.replay(t, string(golden))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(now), 0o600))
				return
			}
			require.Equal(t, string(golden), now)
		})
	}
}

// replay sends the requests of a golden file and returns the file with the
// answers of now. A title may begin with a name and a colon.
func (w *world) replay(t testing.TB, golden string) string {
	var out strings.Builder
	names := []string{}
	preamble, rest, _ := strings.Cut(golden, "### ")
	out.WriteString(preamble)
	for exchange := range strings.SplitSeq(rest, "\n### ") {
		request, _, _ := strings.Cut(strings.TrimSuffix(exchange, "\n"), "\n\n<<<")
		title, text, _ := strings.Cut(request, "\n")
		head, body, _ := strings.Cut(strings.NewReplacer(names...).Replace(text), "\n\n")
		lines := strings.Split(head, "\n")
		method, target, _ := strings.Cut(lines[0], " ")
		headers := []string{}
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ": ")
			if name == "Clock" {
				w.setNow(at(value))
				continue
			}
			headers = append(headers, name, value)
		}
		answer := w.call(t, method, target, body, headers...)
		var created struct{ ID, Token string }
		if name, _, named := strings.Cut(title, ": "); named && json.Unmarshal(answer.Body.Bytes(), &created) == nil {
			names = append(names, "{{"+name+"}}", created.ID, "{{"+name+".token}}", created.Token)
		}
		fmt.Fprintf(&out, "### %s\n\n<<<\n%s\n", request, shown(answer))
	}
	return out.String()
}

func shown(answer *httptest.ResponseRecorder) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d %s\n", answer.Code, http.StatusText(answer.Code))
	names := make([]string, 0, len(answer.Header()))
	for name := range answer.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(answer.Header()[name], ", "))
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, answer.Body.Bytes(), "", "  ") == nil {
		return out.String() + "\n" + strings.TrimSpace(pretty.String()) + "\n"
	}
	return out.String() + "\n" + strings.TrimSpace(answer.Body.String()) + "\n"
}

// folded answers lists from the streams themselves, for tests that are about
// HTTP.
type folded struct {
	commands *commands.Handler
	store    *switched
	codec    *eventcodec.Codec
}

type (
	foldedSlots        struct{ *folded }
	foldedAppointments struct{ *folded }
)

// read calls f with every event and returns the head.
func (l *folded) read(ctx context.Context, least domain.Position, f func(domain.Event) error) (domain.Position, error) {
	if l.store.off.Load() {
		return 0, commands.ErrUnavailable
	}
	p, err := l.store.ReadAll(ctx, 0, domain.Filter{}, 1_000_000)
	if least > p.Next {
		return 0, engine.ErrPositionUnknown
	}
	for _, r := range p.Events {
		err = errors.Join(err, f(r.Event))
	}
	return p.Next, err
}

func cut[T any](items []T, after func(T) bool, limit int, at domain.Position, order func(a, b T) int) projections.List[T] {
	slices.SortFunc(items, order)
	items = slices.DeleteFunc(items, func(x T) bool { return !after(x) })
	if len(items) > limit {
		return projections.List[T]{Items: items[:limit], More: true, Position: at}
	}
	return projections.List[T]{Items: items, Position: at}
}

func byTime(a, b projections.TimeCursor) int {
	return cmp.Or(a.Start.Compare(b.Start), strings.Compare(a.ID, b.ID))
}

func byName(a, b projections.NameCursor) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
}

func (l *folded) all(ctx context.Context, least domain.Position) ([]projections.Slot, domain.Position, error) {
	var slots []projections.Slot
	head, err := l.read(ctx, least, func(e domain.Event) error {
		day, ok := e.(schedule.DayOpened)
		if !ok {
			return nil
		}
		for _, s := range day.Slots {
			now, err := l.commands.Slot(ctx, s.ID)
			if err != nil {
				return err
			}
			status := projections.Busy
			if now.State.Withdrawn {
				status = projections.BusyUnavailable
			} else if now.State.Free() > 0 {
				status = projections.Free
			}
			slots = append(slots, projections.Slot{
				ID: s.ID, Practitioner: day.Practitioner, Clinic: s.Clinic, Period: s.Period,
				Places: now.State.Places, Free: now.State.Free(), Status: status,
			})
		}
		return nil
	})
	return slots, head, err
}

func (l foldedSlots) List(ctx context.Context, f projections.SlotFilter, _ time.Time, least domain.Position) (projections.List[projections.Slot], error) {
	slots, head, err := l.all(ctx, least)
	return cut(slots, func(s projections.Slot) bool {
		return (len(f.Practitioners) == 0 || slices.Contains(f.Practitioners, s.Practitioner)) && (f.Area.Clinic == "" || s.Clinic == f.Area.Clinic) &&
			(f.Status == s.Status || f.Status == projections.AnyStatus) && !s.Start.Before(f.From) && (f.To.IsZero() || s.Start.Before(f.To)) &&
			(f.After.ID == "" || byTime(s.Cursor(), f.After) > 0)
	}, f.Limit, head, func(a, b projections.Slot) int { return byTime(a.Cursor(), b.Cursor()) }), err
}

// Next and Days are only asked of the real read models.
func (l foldedSlots) Next(context.Context, projections.SlotFilter, time.Time, domain.Position) (projections.List[projections.Slot], error) {
	return projections.List[projections.Slot]{}, nil
}

func (l foldedSlots) Days(
	context.Context, projections.SlotFilter, projections.Stretch, time.Time, domain.Position,
) (projections.List[projections.SlotDay], error) {
	return projections.List[projections.SlotDay]{}, nil
}

// Within knows the clinic that is named, and no places.
func (l foldedSlots) Within(_ context.Context, a projections.Area, _ domain.Position) ([]domain.ClinicID, error) {
	if a.Clinic == "" {
		return nil, nil
	}
	return []domain.ClinicID{a.Clinic}, nil
}

func (l foldedSlots) Reflected(ctx context.Context) (domain.Position, error) {
	return l.store.Head(ctx)
}

func (l foldedSlots) Touched(
	ctx context.Context, ids []string, visitTypes []domain.VisitTypeID, _ time.Time, least domain.Position,
) (map[domain.VisitTypeID][]projections.TouchedSlot, error) {
	all, _, err := l.all(ctx, least)
	touched := map[domain.VisitTypeID][]projections.TouchedSlot{}
	for _, v := range visitTypes {
		touched[v] = nil
		for _, s := range all {
			if slices.Contains(ids, string(s.ID)) {
				touched[v] = append(touched[v], projections.TouchedSlot{Slot: s})
			}
		}
	}
	return touched, err
}

func (l foldedSlots) Nearest(ctx context.Context, w projections.Wish, now time.Time, n int) ([]projections.Slot, error) {
	slots, _, err := l.all(ctx, 0)
	slots = slices.DeleteFunc(slots, func(s projections.Slot) bool {
		return s.Status != projections.Free || s.Practitioner != w.Practitioner || !s.Start.After(now)
	})
	slices.SortStableFunc(slots, func(a, b projections.Slot) int {
		return cmp.Or(cmp.Compare(a.Start.Sub(w.Start).Abs(), b.Start.Sub(w.Start).Abs()), byTime(a.Cursor(), b.Cursor()))
	})
	return slots[:min(n, len(slots))], err
}

func (l foldedAppointments) List(
	ctx context.Context, f projections.AppointmentFilter, _ time.Time, least domain.Position,
) (projections.List[projections.Appointment], error) {
	var visits []projections.Appointment
	head, err := l.read(ctx, least, func(e domain.Event) error {
		booked, ok := e.(appointment.WasBooked)
		if !ok {
			return nil
		}
		now, err := l.commands.Appointment(ctx, booked.Appointment)
		visits = append(visits, projections.Appointment{
			ID: booked.Appointment, Status: now.State.Status, Revision: now.Revision, Patient: booked.Patient, Practitioner: booked.Practitioner,
			Clinic: booked.Clinic, Slots: booked.Slots, Period: booked.Period, Reason: now.State.Reason,
		})
		return err
	})
	return cut(visits, func(v projections.Appointment) bool {
		return (f.Practitioner == "" || slices.ContainsFunc(v.Slots, of(f.Practitioner))) && (f.Patient == "" || v.Patient == f.Patient) &&
			(f.Status == "" || f.Status == v.Status) && !v.Start.Before(f.From) && (f.To.IsZero() || v.Start.Before(f.To)) &&
			(f.After.ID == "" || byTime(v.Cursor(), f.After) > 0)
	}, f.Limit, head, func(a, b projections.Appointment) int { return byTime(a.Cursor(), b.Cursor()) }), err
}

func of(id domain.PractitionerID) func(domain.SlotID) bool {
	return func(s domain.SlotID) bool { return strings.HasPrefix(string(s), string(id)+".") }
}

// FindClinics lists clinics by name.
func (l *folded) FindClinics(
	ctx context.Context, f projections.ClinicSearch, _ time.Time, least domain.Position,
) (projections.List[projections.ClinicFound], error) {
	var all []projections.ClinicFound
	head, err := l.read(ctx, least, func(e domain.Event) error {
		if e, ok := e.(clinic.Registered); ok {
			now, err := l.commands.Clinic(ctx, e.Clinic)
			s := now.State
			all = append(all, projections.ClinicFound{Place: projections.SearchCursor{Name: s.Name, ID: string(e.Clinic)}, Clinic: projections.Clinic{
				ID: e.Clinic, Name: s.Name, Zone: s.Zone, Address: s.Address, Town: s.Town, District: s.District, PostalCode: s.PostalCode, Country: s.Country,
				Phone: s.Phone, Email: s.Email, Site: s.Site, Description: s.Description, Ownership: s.Ownership, Closed: s.Closed,
			}})
			return err
		}
		return nil
	})
	return cut(all, func(c projections.ClinicFound) bool { return byPlace(c.Place, f.After) > 0 }, f.Limit, head,
		func(a, b projections.ClinicFound) int { return byPlace(a.Place, b.Place) }), err
}

func byPlace(a, b projections.SearchCursor) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
}

// FindPractitioners lists practitioners by name.
func (l *folded) FindPractitioners(
	ctx context.Context, f projections.PractitionerSearch, least domain.Position,
) (projections.List[projections.PractitionerFound], error) {
	var all []projections.PractitionerFound
	head, err := l.read(ctx, least, func(e domain.Event) error {
		if e, ok := e.(practitioner.Registered); ok {
			now, err := l.commands.Practitioner(ctx, e.Practitioner)
			s := now.State
			all = append(all, projections.PractitionerFound{Place: projections.SearchCursor{Name: s.Name, ID: string(s.ID)}, Practitioner: projections.Practitioner{
				ID: s.ID, Name: s.Name, Specialties: s.Specialties, Clinics: s.Clinics, Introduction: s.Introduction, Treatments: s.Treatments,
				Languages: s.Languages, Council: s.Council, Qualifications: s.Qualifications, Fees: s.Fees, Picture: s.Picture,
			}})
			return err
		}
		return nil
	})
	return cut(all, func(p projections.PractitionerFound) bool {
		return byPlace(p.Place, f.After) > 0 && (f.Specialty == "" || slices.Contains(p.Specialties, f.Specialty))
	}, f.Limit, head, func(a, b projections.PractitionerFound) int { return byPlace(a.Place, b.Place) }), err
}

// Offered is only asked of the real read models.
func (l *folded) Offered(context.Context, string, domain.Position) ([]projections.Offered, domain.Position, error) {
	return nil, 0, nil
}

// Search lists patients.
func (l *folded) Search(ctx context.Context, f projections.PatientFilter, least domain.Position) (projections.List[projections.Patient], error) {
	var all []projections.Patient
	head, err := l.read(ctx, least, func(e domain.Event) error {
		if e, ok := e.(patient.Registered); ok {
			name, _ := l.codec.Open(ctx, e.Name) // erased: listed without a name
			phone, _ := l.codec.Open(ctx, e.Phone)
			search := strings.ToLower(name) + " " + phone
			now, err := l.commands.Patient(ctx, e.Patient)
			all = append(all, projections.Patient{
				ID: e.Patient, Name: e.Name, Email: e.Email, Phone: e.Phone, Search: search,
				Guardian: now.State.Guardian, MergedInto: now.State.MergedInto,
			})
			return err
		}
		return nil
	})
	return cut(all, func(p projections.Patient) bool {
		return byName(p.Cursor(), f.After) > 0 && strings.Contains(p.Search, strings.ToLower(f.Query)) &&
			(f.Guardian == "" || p.Guardian == f.Guardian) && (f.Merged || p.MergedInto == "")
	}, f.Limit, head, func(a, b projections.Patient) int { return byName(a.Cursor(), b.Cursor()) }), err
}
