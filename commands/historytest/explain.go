package historytest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
)

// explain logs how far an order of the operations was found, what they had made
// of things by then, and what comes next and does not fit.
func explain(t *testing.T, r *Recorder, info porcupine.LinearizationInfo) {
	t.Helper()
	const shown = 15
	for _, found := range info.PartialLinearizationsOperations() {
		longest := slices.MaxFunc(found, func(a, b []porcupine.Operation) int { return len(a) - len(b) })
		m, left := model(r.config, r.ops), slices.Clone(r.ops)
		now := m.Init()
		for i, o := range longest {
			_, now = m.Step(now, o.Input, o.Output)
			in := o.Input.(*record) //nolint:forcetypeassert // the recorder's own
			left = slices.DeleteFunc(left, func(o *record) bool { return o == in })
			if i >= len(longest)-shown {
				t.Log(in)
			}
		}
		t.Logf("%v", now)
		slices.SortFunc(left, func(a, b *record) int { return int(a.ended - b.ended) })
		for _, o := range left[:min(len(left), shown/2)] {
			t.Logf("does not follow: %v", o)
		}
	}
}

// origin is the instant from which the explanations count microseconds.
const origin = int64(1780300000_000000)

// String tells what was done and answered.
func (o *record) String() string {
	return fmt.Sprintf("[%v, %v] client %d: %v %.4s slot %d for %.4s: %v free %t status %d slot %d, clock %d to %d, excused %t %t",
		o.called, o.ended, o.client, o.Kind, o.Op.Appointment, o.Op.Slot, o.Patient, o.Outcome, o.Free, o.Status, o.Answer.Slot,
		o.before-origin, o.after-origin, o.excused, o.other)
}

// String tells what the visit is.
func (v visit) String() string {
	return fmt.Sprintf("%.4s %s in %d of %.4s until %d to %d", v.id, []string{"held", "requested", "booked", "cancelled"}[v.phase], v.slot, v.patient,
		v.from-origin, v.to-origin)
}
