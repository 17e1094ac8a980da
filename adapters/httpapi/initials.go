package httpapi

import (
	"context"
	"strings"
	"unicode"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/queue"
)

// BoardInitials are the initials of who has a ticket.
type BoardInitials struct {
	Ticket   int    `json:"ticket" example:"7"`
	Initials string `json:"initials" example:"M. S."`
}

// initials returns those of the people on a board whose names are known, where
// the policy of the clinic has them shown; no other counts. Whoever was
// erased, and who has no name, is a number.
func (a *api) initials(ctx context.Context, at domain.ClinicID, s queue.State, wanted func(queue.Ticket) bool) ([]BoardInitials, error) {
	terms, err := a.Commands.EffectivePolicy(ctx, at, "", "")
	if err != nil || terms.BoardShows != policy.ShowsInitials {
		return nil, err
	}
	var shown []BoardInitials
	for _, t := range s.Tickets {
		if t.Patient == "" || t.Status != queue.Called && t.Status != queue.Waiting || !wanted(t) {
			continue
		}
		who, err := a.Commands.Patient(ctx, t.Patient)
		if err != nil {
			return nil, err
		}
		name, err := open(ctx, a.Codec, who.State.Name)
		if err != nil {
			return nil, err
		}
		if name != nil && initialsOf(*name) != "" {
			shown = append(shown, BoardInitials{t.Entry.Ticket, initialsOf(*name)})
		}
	}
	return shown, nil
}

// initialsOf returns the first letters of the first and the last word of a name,
// each with a full stop: "M. S.".
func initialsOf(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '-' && r != '\'' })
	var letters []string
	for i, word := range words {
		if i == 0 || i == len(words)-1 {
			letters = append(letters, string(unicode.ToUpper([]rune(word)[0]))+".")
		}
	}
	return strings.Join(letters, " ")
}
