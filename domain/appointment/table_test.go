package appointment_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

// table says what each command does to an appointment of each status: it does
// something (x), nothing (-), or is refused by the rule of that number.
const table = `
               new  prop held req  book arr  in   done canc decl lost miss
propose-other  x    1    1    1    1    1    1    1    1    1    x    1
complete       2    -    -    2    2    2    2    2    2    2    2    2
move           6    9    3    3    x    3    3    3    3    3    3    3
restore        -    -    -    -    -    -    -    -    x    x    -    -
commit         4    x    x    x    -    -    -    -    4    4    4    -
refuse         -    x    x    x    -    -    -    -    -    -    -    -
lapse          -    5    5    5    -    -    -    -    -    -    -    -
hold           4    x    -    2    4    4    4    4    4    4    4    4
renew          6    2    x    2    2    2    2    2    2    2    2    2
release        -    -    x    -    -    -    -    -    -    -    -    -
request        4    x    x    -    4    4    4    4    4    4    4    4
approve        6    7    7    x    7    7    7    7    7    7    7    7
decline        6    7    7    x    7    7    7    7    7    -    7    7
arrive         6    3    3    3    x    -    3    3    3    3    3    3
check-in       6    3    3    3    3    x    -    3    3    3    3    3
fulfil         6    3    3    3    3    3    x    -    3    3    3    3
miss           6    3    3    3    x    3    3    3    3    3    3    -
give-up        6    3    3    3    5    3    3    3    3    3    3    -
cancel         6    x    x    x    x    x    3    3    -    -    x    3
undo           6    8    8    8    8    x    x    x    8    8    8    x`

func TestEveryCommandOfEveryStatus(t *testing.T) {
	t.Parallel()
	rules := map[string]*domain.Error{
		"1": appointment.ErrExists, "2": appointment.ErrNotHeld, "3": appointment.ErrStatus, "4": appointment.ErrLapsed,
		"5": appointment.ErrNotDue, "6": appointment.ErrNotFound, "7": appointment.ErrNotRequested, "8": appointment.ErrNoChange,
		"9": appointment.ErrChanging,
	}
	by := func(purpose appointment.Purpose, v appointment.Visit) appointment.Propose {
		return appointment.Propose{Visit: v, Claims: claims, Deadline: until, At: now, Purpose: purpose}
	}
	commands := map[string]appointment.Command{
		"propose-other": by(appointment.ToBook, later), "complete": by(appointment.ToComplete, visit), "move": by(appointment.ToMove, later),
		"restore": by(appointment.ToRestore, visit), "commit": appointment.Commit{Set: 1, At: now}, "refuse": appointment.Refuse{Set: 1},
		"lapse": appointment.Lapse{Set: 1, At: now}, "hold": appointment.Hold{Set: 1, Until: heldUntil, Ceiling: ceiling, At: now},
		"renew":   appointment.Renew{Until: ceiling, At: now},
		"release": appointment.Release{}, "request": appointment.Request{Set: 1, Until: answerBy, At: now}, "approve": appointment.Approve{At: now},
		"decline": appointment.Decline{At: now}, "arrive": appointment.Arrive{Now: done, At: came}, "check-in": appointment.CheckIn{Now: done, At: nine},
		"fulfil": appointment.Fulfil{Now: done, At: done}, "miss": appointment.Miss{At: done}, "give-up": appointment.GiveUp{Set: 1, At: done},
		"cancel": appointment.Cancel{Initiator: appointment.ByClinic, At: now}, "undo": appointment.Undo{At: done, By: "desk", Grace: done.Sub(came)},
	}
	histories := map[string][]appointment.Event{
		"new": {}, "prop": {proposed}, "held": {proposed, held}, "req": {proposed, requested}, "book": {proposed, booked},
		"arr": {proposed, booked, arrived}, "in": {proposed, booked, arrived, checkedIn}, "done": {proposed, booked, arrived, checkedIn, fulfilled},
		"canc": {proposed, booked, appointment.WasCancelled{Visit: visit, Set: 1, At: came, By: "desk"}}, "decl": {proposed, requested, appointment.WasDeclined{Visit: visit, Set: 1, At: came, By: "desk"}}, "lost": {proposed, refused}, "miss": {proposed, booked, missed},
	}
	lines := strings.Split(strings.TrimSpace(table), "\n")
	statuses := strings.Fields(lines[0])
	require.Len(t, statuses, len(histories))
	require.Len(t, lines[1:], len(commands))
	is := []string{lines[0]}
	for _, line := range lines[1:] {
		command, _, _ := strings.Cut(line, " ")
		row := fmt.Sprintf("%-14s", command)
		for _, status := range statuses {
			events, err := appointment.Decide(after(histories[status]...), commands[command])
			row += fmt.Sprintf(" %-4s", outcome(events, err, rules))
		}
		is = append(is, strings.TrimSpace(row))
	}
	require.Equal(t, strings.Join(lines, "\n"), strings.Join(is, "\n"))
}

func outcome(events []appointment.Event, err error, rules map[string]*domain.Error) string {
	for number, rule := range rules {
		if errors.Is(err, rule) {
			return number
		}
	}
	switch {
	case err != nil:
		return err.Error()
	case len(events) == 0:
		return "-"
	}
	return "x"
}
