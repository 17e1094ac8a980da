package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Problem is the body of every answer that is not a success: RFC 9457 problem
// details with Slotbook's extensions.
type Problem struct {
	Type         string     `json:"type" format:"uri-reference" doc:"/problems/ and the rule; stable, and a page that explains it" example:"/problems/slot.taken"`
	Title        string     `json:"title" doc:"The status in words" example:"Conflict"`
	Status       int        `json:"status" doc:"The HTTP status" example:"409"`
	Detail       string     `json:"detail" doc:"One sentence for people" example:"every place of the slot is taken"`
	Rule         string     `json:"rule" doc:"The rule that said no; stable" example:"slot.taken"`
	Errors       []Fault    `json:"errors,omitempty" nullable:"false" doc:"The places that are wrong, for request.invalid and filter.unknown-code"`
	Conflict     *Resource  `json:"conflict,omitempty" doc:"What stands in the way"`
	Revision     *int64     `json:"revision,omitempty" doc:"The revision of what stands in the way; -1 when nothing ever happened to it"`
	HeldUntil    *time.Time `json:"heldUntil,omitempty" doc:"What stands in the way is held or requested, and lapses then unless it is confirmed"`
	Alternatives []Slot     `json:"alternatives,omitzero" nullable:"false" doc:"The nearest free slots that the visit can have instead, those of the same practitioner first, when a slot could not be had"`

	Refused []SeriesMissed `json:"refused,omitempty" nullable:"false" doc:"The dates that cannot be had, and why, when a series is booked with every date or none"`

	retryAfter int    // seconds; 0 = not worth retrying
	etag       string // of the thing as it is, "" for none
	cause      error  // for the log
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string `json:"location" doc:"Where, such as body.weekly[0].from" example:"body.zone"`
	Message  string `json:"message" doc:"What is wrong" example:"expected required property zone to be present"`
}

// Resource names a thing.
type Resource struct {
	Kind string `json:"kind" enum:"slot,patient,room,device,quota,appointment,clinic,practitioner,other" doc:"What sort of thing"`
	ID   string `json:"id" doc:"Its id"`
}

// Error returns the rule and its sentence.
func (p *Problem) Error() string { return p.Rule + ": " + p.Detail }

// GetStatus returns the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers that go with the problem, for huma.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.etag != "" {
		h.Set("ETag", p.etag)
	}
	return h
}

// ContentType returns application/problem+json, for huma.
func (*Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// rule is what an answer may say no with.
type rule struct {
	Rule   string
	Kind   string
	Status int
	Text   string
}

// The rules of the edge: what is refused before a command is known.
func edgeRules() []rule {
	return []rule{malformed, invalid, tooLarge, mediaType, routeNotFound, wrongMethod, badCursor, staleCursor, internal, notReady}
}

var (
	malformed     = rule{"request.malformed", "malformed", http.StatusBadRequest, "the request cannot be read"}
	badCursor     = rule{"cursor.malformed", "malformed", http.StatusBadRequest, "the cursor is not one that this list gave out for these filters"}
	staleCursor   = rule{"cursor.outdated", kindName(domain.Refused), http.StatusUnprocessableEntity, "the cursor is of a time before the store was restored: start again at the beginning of the list"}
	invalid       = rule{"request.invalid", kindName(domain.Invalid), http.StatusUnprocessableEntity, "the request says something that cannot be; errors lists the places"}
	tooLarge      = rule{"request.too-large", "malformed", http.StatusRequestEntityTooLarge, "a body has at most 1 MiB, a picture 10 MiB"}
	mediaType     = rule{"request.media-type", "malformed", http.StatusUnsupportedMediaType, "a body is application/json in UTF-8"}
	routeNotFound = rule{"route.not-found", kindName(domain.NotFound), http.StatusNotFound, "there is nothing at this address"}
	wrongMethod   = rule{"method.not-allowed", "malformed", http.StatusMethodNotAllowed, "this address does not take this method; Allow lists those that it takes"}
	internal      = rule{"internal", kindName(domain.Internal), http.StatusInternalServerError, "something went wrong on our side; it was logged"}
	notReady      = rule{"process.not-ready", kindName(domain.Unavailable), http.StatusServiceUnavailable, "this process is not ready for requests"}
)

var (
	errDuration = domain.Refusal(domain.Invalid, "duration.malformed", "a duration is written in ISO 8601 with days, hours, minutes and seconds, such as PT30M, and is no longer than 3,650 days")
	errPeriod   = domain.ErrBadPeriod.Because("from lies before to")
)

// retryAfter is how many seconds a client waits after an answer of a kind.
const retryAfter = 1

func ruleOf(e *domain.Error) rule { return rule{e.Rule, kindName(e.Kind), statusOf(e.Kind), e.Text} }

func (r rule) problem(detail string) *Problem {
	if detail == "" {
		detail = r.Text
	}
	p := &Problem{Type: "/problems/" + r.Rule, Title: http.StatusText(r.Status), Status: r.Status, Detail: detail, Rule: r.Rule}
	if r.Status == http.StatusServiceUnavailable || r.Status == http.StatusTooManyRequests {
		p.retryAfter = retryAfter
	}
	return p
}

func statusOf(k domain.Kind) int {
	switch k {
	case domain.Invalid, domain.Refused:
		return http.StatusUnprocessableEntity
	case domain.Conflict:
		return http.StatusConflict
	case domain.Gone:
		return http.StatusGone
	case domain.NotFound:
		return http.StatusNotFound
	case domain.Forbidden:
		return http.StatusForbidden
	case domain.Stale:
		return http.StatusPreconditionFailed
	case domain.Unavailable:
		return http.StatusServiceUnavailable
	case domain.Limited:
		return http.StatusTooManyRequests
	case domain.Internal:
	}
	return http.StatusInternalServerError
}

func kindName(k domain.Kind) string {
	names := []string{"internal", "invalid", "refused", "conflict", "gone", "not-found", "forbidden", "stale", "unavailable", "limited"}
	return names[k]
}

// problemOf returns what an error looks like from outside. What is nobody's
// fault but ours says nothing; its cause is for the log.
func problemOf(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	refusal := domain.RuleOf(err)
	if refusal == nil && ctx.Err() != nil {
		refusal = commands.ErrUnavailable // the caller has gone, or its time is up
	}
	if refusal == nil || refusal.Kind == domain.Internal {
		p := internal.problem("")
		p.cause = err
		return p
	}
	p := ruleOf(refusal).problem("")
	if c, ok := errors.AsType[*commands.Conflict](err); ok {
		revision := int64(c.Revision)
		p.Conflict, p.Revision = resourceOf(c.Stream), &revision
		p.HeldUntil = instant(c.Until)
		if refusal.Kind == domain.Stale && c.Revision >= 0 {
			p.etag = etag(c.Revision)
		}
	}
	if unavailable := error(refusal); refusal.Kind == domain.Unavailable && err != unavailable { //nolint:errorlint // is there more to say than the rule?
		p.cause = err
	}
	return p
}

// resourceOf returns what a stream is about, nil for none.
func resourceOf(s domain.StreamName) *Resource {
	switch s.Category() {
	case "":
		return nil
	case "slot", "appointment", "patient", "quota", "clinic", "practitioner":
		return &Resource{s.Category(), s.ID()}
	case "occupancy":
		kind, rest, _ := strings.Cut(s.ID(), ".")
		id, _, _ := strings.Cut(rest, ".")
		return &Resource{kind, id}
	}
	return &Resource{"other", s.ID()}
}

// ours turns huma's own errors, which say that a request does not fit the
// OpenAPI document, into problems.
func ours(ctx huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	r := invalid
	switch e.Status {
	case http.StatusUnprocessableEntity:
	case http.StatusInternalServerError:
		r = internal
	default:
		r = malformed
	}
	p := r.problem("")
	p.Status, p.Title = e.Status, http.StatusText(e.Status)
	if r == malformed && len(e.Errors) == 0 {
		p.Detail = e.Detail
	}
	for _, d := range e.Errors {
		if d != nil && r != internal {
			p.Errors = append(p.Errors, faultOf(d))
		}
	}
	slices.SortStableFunc(p.Errors, func(x, y Fault) int { return strings.Compare(x.Location, y.Location) })
	exchangeOf(ctx.Context()).note(p)
	return p, nil
}

// unfitNumber is how the JSON decoder says that a field cannot hold a number:
// the field's path below the Go type of the body, and the field's Go type.
var unfitNumber = regexp.MustCompile(`^json: cannot unmarshal number \S+ into Go struct field \w*\.(\S+) of type (\w+)$`)

// faultOf makes clear what huma says of an instant that does not parse, and of a
// number that its field cannot hold.
func faultOf(d *huma.ErrorDetail) Fault {
	if d.Message == validation.MsgExpectedRFC3339DateTime || strings.HasPrefix(d.Message, "invalid date/time for format") {
		return Fault{d.Location, "an instant is written as in RFC 3339, such as 2026-03-30T09:00:00+01:00; in a URL the + is written %2B"}
	}
	if field := unfitNumber.FindStringSubmatch(d.Message); field != nil {
		message := "the number is too large"
		if strings.HasPrefix(field[2], "int") {
			message = "a whole number is written in digits alone, such as 10, and fits into 64 bits"
		}
		return Fault{d.Location + "." + field[1], message}
	}
	return Fault{d.Location, d.Message}
}

// write answers with a problem outside of huma.
func (a *api) write(w http.ResponseWriter, r *http.Request, p *Problem) {
	exchangeOf(r.Context()).note(p)
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(p) // the client has gone
}
