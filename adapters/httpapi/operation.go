package httpapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// operation is what a route says of itself. Its refusals are the ones beyond
// those that every route of its sort has.
type operation struct {
	id       string // names the operation in the OpenAPI document
	method   string
	path     string
	tag      string
	summary  string
	detail   string // more for readers of the documentation
	creates  bool   // answers 201 when something is new
	upload   bool   // takes a picture instead of JSON
	refusals []*domain.Error
}

// CommandParams are the parameters of every command. It is exported, as the
// other embedded parameters are, because huma passes over what is not.
type CommandParams struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Makes repeating the request safe: the same key, address and body, byte for byte, are the same command, for ever; without a key every request is a new command" example:"5f0c6d1e"`
	IfMatch        string `header:"If-Match" maxLength:"64" doc:"The ETag of the revision that you have seen; another revision by now is 412. * expects nothing" example:"\"1\""`
	DryRun         bool   `query:"dryRun" doc:"Decide for real, store nothing, and answer the events that would have been stored"`
}

func (p CommandParams) params() CommandParams { return p }

func (CommandParams) suppliedID() string { return "" }

// commandInput is a struct that embeds [CommandParams]. One that takes the id
// of what it creates from its caller returns it from suppliedID.
type commandInput interface {
	params() CommandParams
	suppliedID() string
}

// done is what a command did, as its route tells it.
type done[T any] struct {
	body     T
	location string // of what was created, "" for none
	revision domain.Revision
	position domain.Position
	replayed bool
	planned  []commands.Planned
}

func finish[S, T any](a commands.Answer[S], body T, location string) done[T] {
	return done[T]{body, location, a.Revision, a.Position, a.Replayed, a.Planned}
}

// DryRun is the answer to a dry run.
type DryRun[T any] struct {
	DryRun bool           `json:"dryRun" enum:"true" doc:"Nothing was stored"`
	Events []PlannedEvent `json:"events" nullable:"false" doc:"What would have been stored, in order"`
	Result T              `json:"result" doc:"What the answer would have been"`
}

// PlannedEvent is an event that a dry run did not store.
type PlannedEvent struct {
	Stream string    `json:"stream" doc:"The stream that it would be appended to" example:"clinic-018f6b1e-0000-7000-8000-000000000001"`
	Type   string    `json:"type" doc:"What would have happened" example:"clinic.registered"`
	Data   EventData `json:"data" doc:"The event, personal text open"`
}

// EventData is the data of an event, whatever its type.
type EventData map[string]any

// Schema says that there may be anything in it, null too.
func (EventData) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

type commandOutput struct {
	Status   int
	Location string `header:"Location" doc:"The address of what was created"`
	ETag     string `header:"ETag" doc:"The revision, for If-Match"`
	Position string `header:"Slotbook-Position" doc:"Lists that reflect this position show what the command did"`
	Body     any
}

// command declares a route that changes something.
func command[I commandInput, T any](a *api, op operation, do func(context.Context, commands.Request, *I) (done[T], error)) {
	h := a.operation(op, slices.Concat(op.refusals, commandRefusals()), commandEdge())
	body := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
	dry := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[DryRun[T]](), true, "")
	h.Responses["200"] = answerOf("Done already by an earlier request, or the answer to a dry run", &huma.Schema{OneOf: []*huma.Schema{body, dry}})
	if op.creates {
		h.DefaultStatus = http.StatusCreated
		h.Responses["201"] = answerOf("Created", body)
	} else {
		h.Responses["200"].Description = "Done, now or by an earlier request; or the answer to a dry run"
	}
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*commandOutput, error) {
		req, err := a.request(ctx, *in)
		if err != nil {
			return nil, refused(ctx, err)
		}
		d, err := do(ctx, req, in)
		if err != nil {
			return nil, refused(ctx, err)
		}
		if req.DryRun {
			return planned(ctx, d)
		}
		if d.replayed {
			d.position = a.latest(ctx, d.position)
		}
		exchangeOf(ctx).position = d.position
		out := &commandOutput{Status: http.StatusOK, ETag: etag(d.revision), Position: position(d.position), Body: d.body}
		if op.creates && !d.replayed {
			out.Status, out.Location = http.StatusCreated, d.location
		}
		return out, nil
	})
}

// request names the command: under a key by the actor, the address and the
// key, so that it is the same in every process and for ever.
func (a *api) request(ctx context.Context, in commandInput) (commands.Request, error) {
	p, x := in.params(), exchangeOf(ctx)
	if a.ReadOnly && !p.DryRun {
		return commands.Request{}, commands.ErrReadOnly
	}
	req := commands.Request{Command: a.NewID(), Actor: x.actor, DryRun: p.DryRun}
	if p.IdempotencyKey != "" {
		parts := []string{"command", x.actor, x.method + " " + x.path, p.IdempotencyKey}
		if id := in.suppliedID(); id != "" {
			parts = append(parts, id)
		}
		req.Command, req.Hash = domain.NewID(parts...), a.hash(x.body)
	}
	var err error
	req.Expected, err = parseIfMatch(p.IfMatch)
	return req, err
}

// newID returns the id of a thing that a command creates.
func (a *api) newID(req commands.Request, kind string) string {
	if req.Hash == "" {
		return a.NewID()
	}
	return domain.NewID(req.Command, kind)
}

// latest returns a position that is late enough for a repeat: what the command
// did the first time may reach beyond the event that it was found by.
func (a *api) latest(ctx context.Context, p domain.Position) domain.Position {
	if head, err := a.Head(ctx); err == nil {
		return max(p, head)
	}
	return p
}

// planned answers a dry run. The events pass through a codec whose keys nobody
// keeps: personal fields are found by being sealed, and opened again.
func planned[T any](ctx context.Context, d done[T]) (*commandOutput, error) {
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	answer := DryRun[T]{DryRun: true, Events: []PlannedEvent{}, Result: d.body}
	for _, p := range d.planned {
		encoded, err := codec.Encode(ctx, p.Stream, commands.NewEvent{Event: p.Event})
		if err != nil {
			return nil, err
		}
		data, _, err := disclose(ctx, codec, encoded.Data)
		if err != nil {
			return nil, err
		}
		answer.Events = append(answer.Events, PlannedEvent{string(p.Stream), encoded.Type, data})
	}
	return &commandOutput{Status: http.StatusOK, Body: answer}, nil
}

// disclose returns an event's data with its personal text opened: in place of
// each box the text, or null when its key is gone.
func disclose(ctx context.Context, codec *eventcodec.Codec, data []byte) (EventData, bool, error) {
	var fields EventData
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, false, err
	}
	erased := false
	for name, v := range fields {
		box, ok := v.(map[string]any)
		if !ok || len(box) != 2 || box["person"] == nil || box["box"] == nil {
			continue
		}
		text, err := open(ctx, codec, domain.Sealed{Person: fmt.Sprint(box["person"]), Box: fmt.Sprint(box["box"])})
		if err != nil {
			return nil, false, err
		}
		fields[name] = text
		erased = erased || text == nil
	}
	return fields, erased, nil
}

// single is one thing with its revision.
type single[T any] struct {
	body     T
	etag     string
	position domain.Position
}

// ReadParams are the parameters of every read.
type ReadParams struct {
	MinPosition      uint64 `header:"Slotbook-Min-Position" doc:"Answer only when what is read reflects this position, as commands answer it in Slotbook-Position; waits a little" example:"42"`
	MinPositionQuery uint64 `query:"minPosition" doc:"The same as Slotbook-Min-Position"`
}

func (p ReadParams) atLeast() domain.Position {
	return domain.Position(max(p.MinPosition, p.MinPositionQuery))
}

type readInput interface{ atLeast() domain.Position }

type singleOutput[T any] struct {
	ETag     string `header:"ETag" doc:"The revision, for If-Match"`
	Position string `header:"Slotbook-Position" doc:"The position of the last event that the answer reflects"`
	Body     T
}

// one declares a route that reads one thing from its stream: it is always
// current, so a minimum position is only checked to exist.
func one[I readInput, T any](a *api, op operation, ask func(context.Context, *I) (single[T], error)) {
	h := a.operation(op, slices.Concat(op.refusals, readRefusals()), nil)
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*singleOutput[T], error) {
		if err := a.known(ctx, (*in).atLeast()); err != nil {
			return nil, refused(ctx, err)
		}
		s, err := ask(ctx, in)
		if err != nil {
			return nil, refused(ctx, err)
		}
		exchangeOf(ctx).position = s.position
		return &singleOutput[T]{s.etag, position(s.position), s.body}, nil
	})
}

func (a *api) known(ctx context.Context, p domain.Position) error {
	if p == 0 {
		return nil
	}
	head, err := a.Head(ctx)
	if err == nil && p > head {
		err = engine.ErrPositionUnknown
	}
	return err
}

// ListParams are the parameters of every list.
type ListParams struct {
	ReadParams
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many items at most"`
	Cursor string `query:"cursor" maxLength:"2048" doc:"Where to go on: next of the answer before; the filters are repeated as they were, only limit may change" example:"eyJsIjoic2xvdHMifQ"`
}

func (p ListParams) list() ListParams { return p }

type listInput interface {
	readInput
	list() ListParams
}

// List is a stretch of a list.
type List[T any] struct {
	Items    []T    `json:"items" nullable:"false" doc:"In a stable order"`
	Next     string `json:"next,omitempty" doc:"The cursor of what comes next, for the same filters; absent at the end"`
	Position uint64 `json:"position" doc:"The items reflect every event up to this position and none after it"`
}

type listOutput[T any] struct {
	Link     string `header:"Link" doc:"rel=next: the address of what comes next, filters included"`
	Position string `header:"Slotbook-Position" doc:"The same as position"`
	Body     List[T]
}

// page is what a list asks its read model for.
type page[K any] struct {
	after K // the last item before; the zero value at the start
	limit int
}

// found is what a read model answered.
type found[T, K any] struct {
	items    []T
	next     *K // where to go on, nil at the end
	position domain.Position
}

// shown turns what a read model answered into what the API shows.
func shown[R interface{ Cursor() K }, T, K any](rows projections.List[R], err error, show func(R) (T, error)) (found[T, K], error) {
	f := found[T, K]{items: make([]T, len(rows.Items)), position: rows.Position}
	for i, row := range rows.Items {
		if err == nil {
			f.items[i], err = show(row)
		}
	}
	if n := len(rows.Items); rows.More && n > 0 {
		next := rows.Items[n-1].Cursor()
		f.next = &next
	}
	return f, err
}

// list declares a route that reads a list from a read model, whose places are
// of type K.
func list[I listInput, T, K any](a *api, op operation, ask func(context.Context, *I, page[K]) (found[T, K], error)) {
	h := a.operation(op, slices.Concat(op.refusals, readRefusals(), []*domain.Error{engine.ErrAway}), []rule{badCursor, staleCursor})
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*listOutput[T], error) {
		p := (*in).list()
		of := filtered(op.id, exchangeOf(ctx).query)
		after, err := parseCursor[K](a.cursors, of, p.Cursor)
		if err != nil {
			return nil, refused(ctx, err)
		}
		f, err := ask(ctx, in, page[K]{after, p.Limit})
		if err != nil {
			return nil, refused(ctx, err)
		}
		exchangeOf(ctx).position = f.position
		out := &listOutput[T]{Position: position(f.position), Body: List[T]{Items: f.items, Position: uint64(f.position)}}
		if f.next != nil {
			out.Body.Next = formatCursor(a.cursors, of, *f.next)
			out.Link = "<" + nextAddress(exchangeOf(ctx), out.Body.Next) + `>; rel="next"`
		}
		return out, nil
	})
}

// filtered names a list and what it was asked for: its cursors are for no
// other question.
func filtered(list, query string) string {
	filters, _ := url.ParseQuery(query) // it has been parsed before
	for name, values := range filters {
		if values[0] == "" || name == "limit" || name == "cursor" || name == "minPosition" {
			delete(filters, name)
			continue
		}
		filters[name] = mapped(values, norm.NFC.String)
	}
	hash := sha256.Sum256([]byte(filters.Encode()))
	return list + "?" + hex.EncodeToString(hash[:16])
}

func nextAddress(x *exchange, cursor string) string {
	query, _ := url.ParseQuery(x.query) // it has been parsed before
	query.Set("cursor", cursor)
	return (&url.URL{Path: x.path, RawQuery: query.Encode()}).String()
}

// operation returns what the OpenAPI document says of a route, each of its
// problems included, and notes the rules for /problems.
func (a *api) operation(op operation, refusals []*domain.Error, edge []rule) huma.Operation {
	rules := append(slices.Clone(edge), malformed, invalid, internal)
	for _, r := range refusals {
		rules = append(rules, ruleOf(r))
	}
	byStatus := map[int][]rule{}
	for _, r := range rules {
		a.rules[r.Rule] = r
		if !slices.Contains(byStatus[r.Status], r) {
			byStatus[r.Status] = append(byStatus[r.Status], r)
		}
	}
	h := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Description: op.detail,
		Tags: []string{op.tag}, Responses: map[string]*huma.Response{}, RejectUnknownQueryParameters: true,
		BodyReadTimeout: -1, MaxBodyBytes: -1, // the edge reads bodies
	}
	if op.upload {
		h.RequestBody = uploadBody()
		a.uploads[op.method+" "+op.path] = true
	}
	for status, rules := range byStatus {
		h.Responses[strconv.Itoa(status)] = a.problemResponse(status, rules)
	}
	return h
}

func (a *api) problemResponse(status int, rules []rule) *huma.Response {
	slices.SortFunc(rules, func(x, y rule) int { return cmp.Compare(x.Rule, y.Rule) })
	lines := make([]string, len(rules))
	for i, r := range rules {
		lines[i] = "`" + r.Rule + "` - " + r.Text
	}
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	return &huma.Response{
		Description: strings.Join(lines, "\n\n"),
		Headers:     problemHeaders(status),
		Content:     map[string]*huma.MediaType{problemType: {Schema: schema}},
	}
}

func problemHeaders(status int) map[string]*huma.Header {
	text := &huma.Schema{Type: huma.TypeString}
	switch status {
	case http.StatusPreconditionFailed:
		return map[string]*huma.Header{"ETag": {Description: "The revision that there is now; absent when nothing ever happened", Schema: text}}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return map[string]*huma.Header{"Retry-After": {Description: "Seconds until it is worth trying again", Schema: text}}
	}
	return nil
}

func answerOf(description string, schema *huma.Schema) *huma.Response {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Response{
		Description: description,
		Headers: map[string]*huma.Header{
			"ETag":              {Description: "The revision, for If-Match", Schema: text},
			"Slotbook-Position": {Description: "Lists that reflect this position show what the command did", Schema: text},
		},
		Content: map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}
}

// commandRefusals are the refusals of every command.
func commandRefusals() []*domain.Error {
	return append(storeRefusals(), commands.ErrReadOnly, commands.ErrKeyReused, commands.ErrStale, commands.ErrBusy, commands.ErrUnknownOutcome, commands.ErrTooLarge)
}

// readRefusals are the refusals of every read.
func readRefusals() []*domain.Error {
	return append(storeRefusals(), engine.ErrPositionUnknown, engine.ErrNotYet, engine.ErrRebuild)
}

func storeRefusals() []*domain.Error {
	return []*domain.Error{commands.ErrUnavailable, commands.ErrUpgradeRunning, commands.ErrUnstorable}
}

func commandEdge() []rule { return []rule{malformed, tooLarge, mediaType} }
