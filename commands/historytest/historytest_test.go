package historytest

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// told is one operation of a history in which one follows the other: when, what
// was done, and the answer.
type told struct {
	second int
	op     Op
	answer Answer
}

var began = time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)

func at(second int) time.Time { return began.Add(time.Duration(second) * time.Second) }

// judge checks a history of two slots that start at once, of one place and of two.
func judge(stepByStep bool, history ...told) porcupine.CheckResult {
	return judgeWith(Config{StepByStep: stepByStep, Decision: 10 * time.Second}, history...)
}

func judgeWith(c Config, history ...told) porcupine.CheckResult {
	now := began
	c.Slots, c.Undo = []Slot{{Capacity: 1}, {Capacity: 2, Approval: true}}, time.Minute
	c.Now = func() (least, most time.Time) { return now, now }
	r := New(c)
	for _, h := range history {
		now = at(h.second)
		r.do(0, h.op, func(Op) Answer { return h.answer })
	}
	result, _ := r.check()
	return result
}

func TestWhatNoOrderExplains(t *testing.T) {
	t.Parallel()
	ok := Answer{}
	hold := told{0, Op{Kind: Hold, Appointment: "a", Patient: "p", For: 5 * time.Second}, Answer{Deadline: at(5)}}
	book := told{0, Op{Kind: Book, Appointment: "a", Patient: "p"}, ok}
	others := Op{Kind: Book, Appointment: "b", Patient: "q"}
	cases := map[string]struct {
		history    []told
		stepByStep bool
		want       porcupine.CheckResult
	}{
		"two have one place":                      {[]told{book, {0, others, ok}}, false, porcupine.Illegal},
		"two have one place, step by step":        {[]told{book, {0, others, ok}}, true, porcupine.Illegal},
		"one is refused what another has":         {[]told{book, {0, others, Answer{Outcome: Taken}}}, false, porcupine.Ok},
		"one is refused what nobody has":          {[]told{{0, others, Answer{Outcome: Taken}}}, false, porcupine.Illegal},
		"what is held is booked in time":          {[]told{hold, {4, Op{Kind: Complete, Appointment: "a", Patient: "p"}, ok}}, false, porcupine.Ok},
		"what has lapsed is booked":               {[]told{hold, {5, Op{Kind: Complete, Appointment: "a", Patient: "p"}, ok}}, false, porcupine.Illegal},
		"what has lapsed is renewed":              {[]told{hold, {5, Op{Kind: Renew, Appointment: "a"}, Answer{Deadline: at(9)}}}, false, porcupine.Illegal},
		"others get it before the slack is over":  {[]told{hold, {6, others, ok}}, false, porcupine.Illegal},
		"others get it after the slack":           {[]told{hold, {7, others, ok}}, false, porcupine.Ok},
		"others are refused it after the slack":   {[]told{hold, {7, others, Answer{Outcome: Taken}}}, false, porcupine.Illegal},
		"it is in time, and the owner is refused": {[]told{hold, {4, Op{Kind: Renew, Appointment: "a"}, Answer{Outcome: Refused}}}, false, porcupine.Illegal},
		"a move leaves the old place taken": {[]told{
			book, {0, Op{Kind: Move, Appointment: "a", Slot: 1}, ok}, {0, Op{Kind: Read}, Answer{Free: false}},
		}, false, porcupine.Illegal},
		"a move that is refused loses the place": {[]told{
			book,
			{0, Op{Kind: Book, Appointment: "c", Patient: "q", Slot: 1}, ok},
			{0, Op{Kind: Book, Appointment: "d", Patient: "r", Slot: 1}, ok},
			{0, Op{Kind: Move, Appointment: "a", Slot: 1}, Answer{Outcome: Taken}},
			{0, Op{Kind: Look, Appointment: "a"}, Answer{Status: Gone}},
		}, false, porcupine.Illegal},
		"a patient is at two places": {[]told{book, {0, Op{Kind: Book, Appointment: "b", Patient: "p", Slot: 1}, ok}}, false, porcupine.Illegal},
		"what is cancelled is had back though another has it": {[]told{
			book, {0, Op{Kind: Cancel, Appointment: "a"}, ok}, {0, others, ok}, {0, Op{Kind: Undo, Appointment: "a"}, ok},
		}, false, porcupine.Illegal},
		"what is declined is approved": {[]told{
			{0, Op{Kind: Request, Appointment: "a", Patient: "p", Slot: 1}, Answer{Deadline: at(60)}},
			{0, Op{Kind: Decline, Appointment: "a"}, ok},
			{0, Op{Kind: Approve, Appointment: "a"}, ok},
		}, false, porcupine.Illegal},
		"what was requested is had back as booked": {[]told{
			{0, Op{Kind: Request, Appointment: "a", Patient: "p", Slot: 1}, Answer{Deadline: at(60)}},
			{0, Op{Kind: Cancel, Appointment: "a"}, ok},
			{0, Op{Kind: Undo, Appointment: "a"}, Answer{Deadline: at(60)}},
			{0, Op{Kind: Look, Appointment: "a"}, Answer{Status: Booked, Slot: 1}},
		}, false, porcupine.Illegal},
		"a patient cancels what is on hold": {[]told{hold, {4, Op{Kind: Cancel, Appointment: "a"}, ok}}, false, porcupine.Illegal},
		"what was answered too late is approved": {[]told{
			{0, Op{Kind: Request, Appointment: "a", Patient: "p", Slot: 1}, Answer{Deadline: at(60)}}, {60, Op{Kind: Approve, Appointment: "a"}, ok},
		}, false, porcupine.Illegal},
		"who was told nothing has it": {[]told{
			{0, book.op, Answer{Outcome: Unknown}}, {0, others, Answer{Outcome: Taken}},
		}, false, porcupine.Ok},
		"who was told nothing may block it, step by step": {[]told{
			{0, book.op, Answer{Outcome: Unknown}}, {0, Op{Kind: Look, Appointment: "a"}, Answer{Status: Gone}}, {11, others, Answer{Outcome: Taken}},
		}, true, porcupine.Ok},
		"but not for ever": {[]told{
			{0, book.op, Answer{Outcome: Unknown}}, {13, Op{Kind: Read}, Answer{Free: true}}, {13, others, Answer{Outcome: Taken}},
		}, true, porcupine.Illegal},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, judge(c.stepByStep, c.history...))
		})
	}
}

func TestWhatTakesEffectAfterNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	one, other := Op{Kind: Book, Appointment: "a", Patient: "p"}, Op{Kind: Book, Appointment: "b", Patient: "q"}
	there, gone := Answer{Status: Booked}, Answer{Status: Gone}
	history := func(last ...told) []told {
		return append([]told{
			{0, one, Answer{Outcome: Unknown}}, {0, other, Answer{}}, {0, Op{Kind: Look, Appointment: "a"}, gone}, {0, Op{Kind: Cancel, Appointment: "b"}, Answer{}},
		}, last...)
	}
	comes := told{0, Op{Kind: Look, Appointment: "a"}, there}
	goes := told{0, Op{Kind: Look, Appointment: "a"}, gone}
	cases := map[string]struct {
		late    time.Duration
		history []told
		want    porcupine.CheckResult
	}{
		"it comes late":             {time.Hour, history(comes), porcupine.Ok},
		"it never comes":            {time.Hour, history(goes), porcupine.Ok},
		"it comes and goes":         {time.Hour, history(comes, goes), porcupine.Illegal},
		"it comes too late":         {0, history(comes), porcupine.Illegal},
		"it comes twice":            {time.Hour, history(comes, told{0, Op{Kind: Cancel, Appointment: "a"}, Answer{}}, comes), porcupine.Illegal},
		"it comes where another is": {time.Hour, []told{{0, one, Answer{Outcome: Unknown}}, {0, other, Answer{}}, comes}, porcupine.Illegal},
		"two come, and one finds room": {time.Hour, []told{
			{0, one, Answer{Outcome: Unknown}}, {0, other, Answer{Outcome: Unknown}}, comes, {0, Op{Kind: Look, Appointment: "b"}, gone},
		}, porcupine.Ok},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, judgeWith(Config{Late: c.late}, c.history...))
		})
	}
}
