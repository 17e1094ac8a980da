package httpapi

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/operations"
)

// ReadModels operates the read models: [operations.Desk].
type ReadModels interface {
	Status(ctx context.Context) ([]engine.Status, error)
	Start(ctx context.Context, o operations.Order) (operations.Job, error)
	Job(id string) (operations.Job, <-chan struct{}, error)
	Jobs() []operations.Job
	Abandon(ctx context.Context, models ...string) error
	Pause(ctx context.Context, models ...string) error
	Resume(ctx context.Context, models ...string) error
	Parked(ctx context.Context, model string) ([]engine.Parked, error)
	Discard(ctx context.Context, model string, lots ...engine.Lot) (int, error)
}

// ReadModel is how a read model is doing.
type ReadModel struct {
	Name       string     `json:"name" example:"availability"`
	Version    int        `json:"version" doc:"Of its tables; raised with every change of them" example:"5"`
	Position   uint64     `json:"position" doc:"The tables hold every event up to here"`
	Head       uint64     `json:"head" doc:"The position of the last event"`
	Behind     uint64     `json:"behind" doc:"Positions that lie between the two"`
	LagSeconds float64    `json:"lagSeconds" doc:"How long the oldest event has been waiting that it has not seen; 0 at the head"`
	Owner      string     `json:"owner,omitempty" doc:"The process that keeps it; absent when none does"`
	Parked     int        `json:"parked" doc:"Rows and streams that could not be folded"`
	PausedAt   *time.Time `json:"pausedAt,omitempty" doc:"Since when it is paused; absent when it is not"`
	Rollback   bool       `json:"rollbackPossible" doc:"What the last rebuild has replaced is there still"`
	Rebuild    string     `json:"rebuild,omitempty" doc:"Why it has to be rebuilt before anybody moves or reads it: it is of another epoch of the store, or beyond the end of the log"`
	Stopped    string     `json:"stopped,omitempty" doc:"Why this process has let go of it: a newer version is running"`
	Begun      *Begun     `json:"rebuildBegun,omitempty" doc:"A rebuild that has begun beside the live tables and has not taken their place; absent when there is none"`
}

// Begun is a rebuild that has begun and has not ended.
type Begun struct {
	Position uint64 `json:"position" doc:"Its tables hold every event up to here"`
	Running  bool   `json:"running" doc:"A process is at it; if not, it was interrupted: another rebuild goes on from there, and POST /v1/admin/projections/{name}/rebuild/abandon drops it"`
}

// ReadModelList is how all read models are doing.
type ReadModelList struct {
	Items []ReadModel `json:"items" nullable:"false"`
}

// ParkedRow is what a read model could not fold.
type ParkedRow struct {
	Table    string `json:"table" doc:"Empty where a whole stream is parked"`
	Key      string `json:"key" doc:"Of the row, or the stream"`
	Position uint64 `json:"position" doc:"Of the first event that was not folded"`
	Error    string `json:"error"`
	Count    int    `json:"count" doc:"Events that were not folded"`
}

// ParkedList is what a read model could not fold.
type ParkedList struct {
	Items []ParkedRow `json:"items" nullable:"false"`
}

// LotBody names something parked.
type LotBody struct {
	Table string `json:"table,omitempty" maxLength:"63" doc:"Absent for a stream" example:"slot"`
	Key   string `json:"key" minLength:"1" maxLength:"500" doc:"Of the row, or the stream"`
}

// LotsBody names what is to be tried again or forgotten.
type LotsBody struct {
	Items []LotBody `json:"items,omitempty" maxItems:"1000" doc:"These; absent = all that is parked"`
}

// RebuildBody says how a rebuild goes about it.
type RebuildBody struct {
	KeepParked bool `json:"keepParked,omitempty" doc:"Go on past what cannot be folded, and park it, instead of stopping there"`
}

// Discarded says how much was forgotten.
type Discarded struct {
	Discarded int `json:"discarded" doc:"What was parked and is not any more; its rows go on as they are"`
}

// Job is long work on a read model, and how far it is.
type Job struct {
	ID        string           `json:"id" doc:"Known to the process that does it, and only there"`
	Kind      string           `json:"kind" enum:"rebuild,verify,rollback,retry"`
	Models    []string         `json:"models" nullable:"false"`
	State     string           `json:"state" enum:"waiting,running,done,failed"`
	OrderedAt time.Time        `json:"orderedAt"`
	BeganAt   *time.Time       `json:"beganAt,omitempty"`
	EndedAt   *time.Time       `json:"endedAt,omitempty"`
	Events    int              `json:"events" doc:"Folded so far"`
	Rate      int              `json:"eventsPerSecond,omitempty"`
	Percent   float64          `json:"percent" minimum:"0" maximum:"100"`
	ETA       string           `json:"eta,omitempty" doc:"ISO 8601 duration that it will take still, at this pace" example:"PT12S"`
	Error     string           `json:"error,omitempty" doc:"Why it failed: the rule, or a sentence"`
	Verified  []VerifiedModel  `json:"verified,omitempty" doc:"Of a verification"`
	Retried   map[string]Again `json:"retried,omitempty" doc:"Of a retry, by read model"`
}

// VerifiedModel says whether a read model is what the log makes of it.
type VerifiedModel struct {
	Name     string          `json:"name"`
	Position uint64          `json:"position" doc:"Up to which was compared"`
	Tables   []VerifiedTable `json:"tables" nullable:"false"`
	Parked   int             `json:"parked" doc:"Rows that were not compared"`
}

// VerifiedTable is one table of it.
type VerifiedTable struct {
	Table  string   `json:"table"`
	Rows   int64    `json:"rows"`
	Same   bool     `json:"same" doc:"It is what the log makes of it"`
	Differ []string `json:"differ,omitempty" doc:"Keys of rows that are not, at most 100"`
}

// Again is what came of a retry.
type Again struct {
	Mended int `json:"mended"`
	Parked int `json:"parked" doc:"Still"`
}

// JobList is the jobs of a process.
type JobList struct {
	Items []Job `json:"items" nullable:"false" doc:"The latest first"`
}

type (
	modelInput   struct{ ModelPath }
	rebuildInput struct {
		ModelPath
		Body *RebuildBody
	}
	lotsInput struct {
		ModelPath
		Body *LotsBody
	}
	jobInput struct {
		ID string `path:"id" maxLength:"64" doc:"The job"`
	}
	jobStreamInput struct {
		StreamParams
		ID string `path:"id" maxLength:"64" doc:"The job"`
	}
	answered[T any] struct{ Body T }
	ordered         struct {
		Status   int
		Location string `header:"Location" doc:"The address of the job"`
		Body     Job
	}
)

// ModelPath names a read model.
type ModelPath struct {
	Name string `path:"name" maxLength:"63" doc:"The read model" example:"availability"`
}

func (a *api) adminRoutes() {
	const base = "/v1/admin/projections"
	ask(a, operation{
		id: "listProjections", method: http.MethodGet, path: base, tag: "Operations", summary: "Say how every read model is doing",
	}, func(ctx context.Context, _ *struct{}) (ReadModelList, error) { return a.readModels(ctx) })
	a.order("rebuildProjection", base+"/{name}/rebuild", operations.Rebuild,
		"Fold the whole log anew beside the live tables, then put the new ones in their place", operations.ErrDisk)
	a.order("verifyProjection", base+"/{name}/verify", operations.Verify, "Prove that the tables are what the log makes of them")
	a.order("rollBackProjection", base+"/{name}/rollback", operations.Rollback,
		"Put the tables that the last rebuild has replaced in place again, after they have caught up", engine.ErrNoPrevious)
	a.order("retryParked", base+"/{name}/parked/retry", operations.Retry, "Fold what is parked again from the beginning of the log")
	a.changeModel("abandonRebuild", base+"/{name}/rebuild/abandon", "Drop what an interrupted rebuild has made so far; the live tables stay",
		a.Projections.Abandon, engine.ErrNotBegun, engine.ErrGoesOn)
	a.changeModel("pauseProjection", base+"/{name}/pause", "Keep a read model where it is", a.Projections.Pause)
	a.changeModel("resumeProjection", base+"/{name}/resume", "Let a read model move again", a.Projections.Resume)
	ask(a, operation{
		id: "listParked", method: http.MethodGet, path: base + "/{name}/parked", tag: "Operations", summary: "List what could not be folded",
		refusals: []*domain.Error{operations.ErrUnknown},
	}, a.parked)
	ask(a, operation{
		id: "discardParked", method: http.MethodPost, path: base + "/{name}/parked/discard", tag: "Operations",
		summary:  "Forget that something is parked: its rows stay as they are and go on with the next events",
		refusals: []*domain.Error{operations.ErrUnknown},
	}, func(ctx context.Context, in *lotsInput) (Discarded, error) {
		n, err := a.Projections.Discard(ctx, in.Name, lotsOf(in.Body)...)
		return Discarded{n}, err
	})
	ask(a, operation{
		id: "listJobs", method: http.MethodGet, path: "/v1/admin/jobs", tag: "Operations", summary: "List the jobs of this process, the latest first",
	}, func(context.Context, *struct{}) (JobList, error) {
		return JobList{mapped(a.Projections.Jobs(), jobOf)}, nil
	})
	ask(a, operation{
		id: "getJob", method: http.MethodGet, path: "/v1/admin/jobs/{id}", tag: "Operations", summary: "Get a job of this process",
		refusals: []*domain.Error{operations.ErrNoJob},
	}, func(_ context.Context, in *jobInput) (Job, error) {
		j, _, err := a.Projections.Job(in.ID)
		return jobOf(j), err
	})
	stream(a, operation{
		id: "streamJob", method: http.MethodGet, path: "/v1/admin/jobs/{id}/stream", tag: "Operations", summary: "Follow a job of this process",
		detail: "Ends after the job: whoever would connect again closes it then.", refusals: []*domain.Error{operations.ErrNoJob},
	}, jobKinds(), a.jobStream)
}

// jobKinds are the messages of a job's stream.
func jobKinds() []eventKind {
	return []eventKind{{"job", reflect.TypeFor[Job](), "The whole job: first, and whenever it is further, five times a second at most"}}
}

func (a *api) jobStream(_ context.Context, in *jobStreamInput, _ domain.Position) (feed, error) {
	j, changed, err := a.Projections.Job(in.ID)
	return &jobFeed{api: a, job: j, changed: changed}, err
}

// jobFeed tells how far a job is, and ends after it.
type jobFeed struct {
	api     *api
	job     operations.Job
	changed <-chan struct{}
	told    domain.Position // how often
}

func (f *jobFeed) position() domain.Position { return f.told }

func (f *jobFeed) close() {}

func (f *jobFeed) begin(context.Context) (stretch, error) { return f.tell(), nil }

func (f *jobFeed) tell() stretch {
	f.told++
	return stretch{[]message{{"job", jobOf(f.job)}}, f.told}
}

// jobPause is the least time between two messages about a job.
const jobPause = 200 * time.Millisecond

func (f *jobFeed) next(ctx context.Context) (stretch, error) {
	if f.job.State == operations.Done || f.job.State == operations.Failed {
		return stretch{}, projections.ErrEnding
	}
	pause := time.NewTimer(jobPause)
	defer pause.Stop()
	if err := either(ctx, f.changed, f.api.Live.Ended()); err != nil {
		return stretch{}, err
	}
	if err := either(ctx, pause.C, f.api.Live.Ended()); err != nil {
		return stretch{}, err
	}
	var err error
	f.job, f.changed, err = f.api.Projections.Job(f.job.ID)
	return f.tell(), err
}

// either waits for news, or for the end of all streams.
func either[T any](ctx context.Context, news <-chan T, end <-chan struct{}) error {
	select {
	case <-news:
		return nil
	case <-end:
		return projections.ErrEnding
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask declares a route of operators that answers at once.
func ask[I, T any](a *api, op operation, do func(context.Context, *I) (T, error), edge ...rule) {
	if op.method == http.MethodPost || op.method == http.MethodPut {
		edge = append(commandEdge(), edge...)
	}
	h := a.operation(op, append(storeRefusals(), op.refusals...), edge)
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*answered[T], error) {
		body, err := do(ctx, in)
		if err != nil {
			return nil, refused(ctx, err)
		}
		return &answered[T]{body}, nil
	})
}

// changeModel declares a route that changes a read model at once, and answers how all
// of them are doing then.
func (a *api) changeModel(id, path, summary string, do func(ctx context.Context, models ...string) error, refusals ...*domain.Error) {
	ask(a, operation{
		id: id, method: http.MethodPost, path: path, tag: "Operations", summary: summary, refusals: append(refusals, operations.ErrUnknown),
	}, func(ctx context.Context, in *modelInput) (ReadModelList, error) {
		if err := do(ctx, in.Name); err != nil {
			return ReadModelList{}, err
		}
		return a.readModels(ctx)
	})
}

// order declares a route that starts a job.
func (a *api) order(id, path string, kind operations.Kind, summary string, refusals ...*domain.Error) {
	h := a.operation(operation{
		id: id, method: http.MethodPost, path: path, tag: "Operations", summary: summary,
		detail: "Answers at once with a job; GET /v1/admin/jobs/{id}, or its stream, says how far it is. Only the process that was asked knows it.",
	}, append(append(storeRefusals(), operations.ErrUnknown, operations.ErrBusy), refusals...), commandEdge())
	h.DefaultStatus = http.StatusAccepted
	start := func(ctx context.Context, o operations.Order) (*ordered, error) {
		o.Kind = kind
		j, err := a.Projections.Start(ctx, o)
		if err != nil {
			return nil, refused(ctx, err)
		}
		return &ordered{http.StatusAccepted, "/v1/admin/jobs/" + j.ID, jobOf(j)}, nil
	}
	switch kind {
	case operations.Rebuild:
		huma.Register(a.huma, h, func(ctx context.Context, in *rebuildInput) (*ordered, error) {
			return start(ctx, operations.Order{Models: []string{in.Name}, KeepParked: in.Body != nil && in.Body.KeepParked})
		})
	case operations.Retry:
		huma.Register(a.huma, h, func(ctx context.Context, in *lotsInput) (*ordered, error) {
			return start(ctx, operations.Order{Models: []string{in.Name}, Lots: lotsOf(in.Body)})
		})
	case operations.Verify, operations.Rollback:
		huma.Register(a.huma, h, func(ctx context.Context, in *modelInput) (*ordered, error) {
			return start(ctx, operations.Order{Models: []string{in.Name}})
		})
	}
}

func lotsOf(b *LotsBody) []engine.Lot {
	if b == nil {
		return nil
	}
	return mapped(b.Items, func(l LotBody) engine.Lot { return engine.Lot(l) })
}

func (a *api) readModels(ctx context.Context) (ReadModelList, error) {
	statuses, err := a.Projections.Status(ctx)
	return ReadModelList{mapped(statuses, readModelOf)}, err
}

func readModelOf(s engine.Status) ReadModel {
	shown := ReadModel{
		Name: s.Model, Version: s.Version, Position: uint64(s.Position), Head: uint64(s.Head), Behind: s.Behind,
		LagSeconds: s.Lag.Seconds(), Owner: s.Owner, Parked: s.Parked, PausedAt: present(s.Paused), Rollback: s.Previous, Rebuild: s.Rebuild, Stopped: s.Stopped,
	}
	if s.Next != nil {
		shown.Begun = &Begun{uint64(s.Next.Position), s.Next.Running}
	}
	return shown
}

// present returns nil for the zero time.
func present(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}

func (a *api) parked(ctx context.Context, in *modelInput) (ParkedList, error) {
	parked, err := a.Projections.Parked(ctx, in.Name)
	return ParkedList{mapped(parked, func(p engine.Parked) ParkedRow {
		return ParkedRow{p.Table, p.Key, uint64(p.Position), p.Error, p.Count}
	})}, err
}

// jobOf shows a job as it is now.
func jobOf(j operations.Job) Job {
	shown := Job{
		ID: j.ID, Kind: string(j.Order.Kind), Models: j.Order.Models, State: string(j.State), OrderedAt: j.Ordered.UTC(),
		BeganAt: present(j.Began), EndedAt: present(j.Ended), Events: j.Events, Percent: percentOf(j),
	}
	if j.Err != nil {
		shown.Error = "the job failed; the log of the process says why"
		if rule := domain.RuleOf(j.Err); rule != nil {
			shown.Error = rule.Rule
		}
	}
	until := j.Ended
	if until.IsZero() {
		until = j.At
	}
	if took := until.Sub(j.Began); !j.Began.IsZero() && took > 0 {
		shown.Rate = int(float64(j.Events) / took.Seconds())
		if left := 100 - shown.Percent; j.State == operations.Running && shown.Percent > 0 {
			shown.ETA = formatDuration(time.Duration(float64(took) * left / shown.Percent).Round(time.Second))
		}
	}
	for _, r := range j.Outcome.Reports {
		shown.Verified = append(shown.Verified, verifiedOf(r))
	}
	for _, m := range slices.Sorted(maps.Keys(j.Outcome.Retried)) {
		if shown.Retried == nil {
			shown.Retried = map[string]Again{}
		}
		shown.Retried[m] = Again{j.Outcome.Retried[m].Mended, len(j.Outcome.Retried[m].Parked)}
	}
	return shown
}

func percentOf(j operations.Job) float64 {
	if j.State == operations.Done {
		return 100
	}
	var at, target float64
	for _, p := range j.Progress {
		at, target = at+float64(p.Position), target+float64(p.Target)
	}
	if target == 0 {
		return 0
	}
	return min(100, 100*at/target)
}

func verifiedOf(r engine.Report) VerifiedModel {
	v := VerifiedModel{Name: r.Model, Position: uint64(r.Position), Tables: []VerifiedTable{}, Parked: len(r.Parked)}
	for _, t := range r.Tables {
		v.Tables = append(v.Tables, VerifiedTable{t.Table, t.Live.Rows, t.Live == t.Fresh, t.Rows})
	}
	return v
}
