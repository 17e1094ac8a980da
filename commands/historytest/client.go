package historytest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// known is what clients know of an appointment that one of them has begun.
type known struct {
	id, patient, token string
	slot               int
	phase              phase // as far as anybody was told
}

// Client does random things to the slots and to what any client has begun, among
// them such as make no sense.
type Client struct {
	*Recorder
	Name     int
	Patients []string
	Seconds  int // that a hold lasts, at most
	Lapses   bool
	Random   *rand.Rand
	Perform  func(Op) Answer
	began    int
}

// Act does one thing.
func (c *Client) Act() {
	k := c.pick()
	switch n := c.Random.IntN(100); {
	case n < 15:
		c.do(c.Name, Op{Kind: Read, Slot: c.slot()}, c.Perform)
	case k == nil || n < 40:
		c.begin()
	case n < 50:
		if c.do(c.Name, Op{Kind: Look, Appointment: k.id}, c.Perform).Status == Gone {
			c.learn(Op{Kind: Cancel, Appointment: k.id})
		}
	default:
		c.goOn(k)
	}
}

// Sweep reads every slot, and looks at every appointment.
func (c *Client) Sweep() {
	for n := range c.config.Slots {
		c.do(c.Name, Op{Kind: Read, Slot: n}, c.Perform)
	}
	c.mu.Lock()
	all := c.known
	c.mu.Unlock()
	for _, k := range all {
		c.do(c.Name, Op{Kind: Look, Appointment: k.id}, c.Perform)
	}
}

// pick returns one of the last appointments, nil while there is none.
func (c *Client) pick() *known {
	const last = 6
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.known)
	if n == 0 {
		return nil
	}
	k := *c.known[n-1-c.Random.IntN(min(n, last))]
	return &k
}

func (c *Client) slot() int { return c.Random.IntN(len(c.config.Slots)) }

func (c *Client) patient() string { return c.Patients[c.Random.IntN(len(c.Patients))] }

func (c *Client) seconds() time.Duration {
	return time.Duration(1+c.Random.IntN(c.Seconds)) * time.Second
}

// begin books, requests or holds a slot.
func (c *Client) begin() {
	c.began++
	op := Op{Kind: Book, Slot: c.slot(), Patient: c.patient(), Appointment: domain.NewID("history", fmt.Sprint(c.Name), fmt.Sprint(c.began))}
	switch n := c.Random.IntN(10); {
	case n < 5:
		op.Kind, op.For = Hold, c.seconds()
		if n < 2 {
			op.Patient = ""
		}
	case n < 9 && c.config.Slots[op.Slot].Approval:
		op.Kind = Request
	}
	answer := c.do(c.Name, op, c.Perform)
	if answer.Outcome == Done || answer.Outcome == Unknown {
		k := &known{id: cmp.Or(answer.Appointment, op.Appointment), patient: op.Patient, token: answer.Token, slot: op.Slot}
		k.phase = map[Kind]phase{Book: booked, Request: requested, Hold: held}[op.Kind]
		c.mu.Lock()
		defer c.mu.Unlock()
		c.known = append(c.known, k)
	}
}

// goOn does something to an appointment, mostly something that makes sense.
func (c *Client) goOn(k *known) {
	sensible := map[phase][]Kind{
		held:      {Complete, Complete, Complete, Renew, Renew, Release, Cancel, Lapse},
		requested: {Approve, Approve, Decline, Cancel, Lapse},
		booked:    {Move, Move, Move, Cancel, Cancel, Complete},
		cancelled: {Undo, Undo, Undo, Move},
	}[k.phase]
	op := Op{Kind: sensible[c.Random.IntN(len(sensible))], Appointment: k.id}
	if c.Random.IntN(6) == 0 {
		op.Kind = Renew + Kind(c.Random.IntN(int(Undo-Renew)+1))
	}
	switch op.Kind {
	case Renew, Release, Complete:
		if op.Token = k.token; op.Token == "" {
			op.Kind = Cancel // of what it is not known how to go on
		}
	case Lapse:
		if !c.Lapses {
			op.Kind = Cancel
		}
	default:
	}
	switch op.Kind {
	case Renew:
		op.For = c.seconds()
	case Move:
		op.Slot, op.Patient = c.slot(), k.patient
	case Complete:
		if op.Patient = k.patient; op.Patient == "" {
			op.Patient = c.patient()
		}
	default:
	}
	switch c.do(c.Name, op, c.Perform).Outcome {
	case Done:
		c.learn(op)
	case Refused:
		c.forget(k.id)
	case Taken, Unknown:
	}
}

// forget makes half of those whose time is up nobody's concern.
func (c *Client) forget(id string) {
	if c.Random.IntN(2) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = slices.DeleteFunc(slices.Clone(c.known), func(k *known) bool { return k.id == id })
}

// learn notes what an appointment has become.
func (c *Client) learn(op Op) {
	became := map[Kind]phase{Approve: booked, Undo: booked, Cancel: cancelled, Decline: cancelled, Complete: booked}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.known {
		if k.id != op.Appointment {
			continue
		}
		if phase, changed := became[op.Kind]; changed {
			k.phase = phase
		}
		switch op.Kind {
		case Move:
			k.slot = op.Slot
		case Complete:
			k.patient = op.Patient
			if c.config.Slots[k.slot].Approval {
				k.phase = requested
			}
		default:
		}
	}
}
