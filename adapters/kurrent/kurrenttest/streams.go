package kurrenttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streamsServer is the service that appends and reads.
type streamsServer struct {
	streams.UnimplementedStreamsServer
	node    *Node
	cluster *Cluster
}

var (
	errBroken   = status.Error(codes.Unavailable, "the connection broke")
	errNotReady = status.Error(codes.Unavailable, "Server Is Not Ready")
	errTimeout  = status.Error(codes.Aborted, "Operation timed out")
	errDenied   = status.Error(codes.PermissionDenied, "Access Denied")
)

// trailing is a stream whose trailers can be set.
type trailing interface{ SetTrailer(metadata.MD) }

// notLeader sends the client to the leader.
func (s *streamsServer) notLeader(to trailing) error {
	host, port := s.cluster.nodes[s.cluster.Leader()].endpoint()
	to.SetTrailer(metadata.Pairs("exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", strconv.Itoa(int(port))))
	return status.Error(codes.NotFound, "Leader info available")
}

func streamDeleted(to trailing, name string) error {
	to.SetTrailer(metadata.Pairs("exception", "stream-deleted", "stream-name", name))
	return status.Errorf(codes.FailedPrecondition, "Event stream '%s' is deleted.", name)
}

// Append takes all that is sent before it answers: a client that is answered
// earlier may find the connection closed while it still sends.
func (s *streamsServer) Append(call streams.Streams_AppendServer) error {
	name, expected, events, size, err := receive(call)
	if err != nil {
		return err
	}
	kinds := make([]string, len(events))
	for i := range events {
		kinds[i] = events[i].kind
	}
	fault := s.cluster.fault(Call{Append, name, s.node.index, kinds})
	if err := s.before(fault, call); err != nil {
		return err
	}
	if !s.node.leads() {
		return s.notLeader(call)
	}
	if most := s.cluster.config.MaxAppendSize; size > most {
		call.SetTrailer(metadata.Pairs("exception", "maximum-append-size-exceeded", "maximum-append-size", strconv.Itoa(most)))
		return status.Errorf(codes.InvalidArgument, "Maximum Append Size of %d Exceeded.", most)
	}
	a := s.cluster.log.append(name, expected, events)
	switch fault {
	case DropAfter:
		return errBroken
	case AbortAfter:
		return errTimeout
	case HangAfter:
		<-call.Context().Done()
		return status.FromContextError(call.Context().Err()).Err()
	}
	if a.decision == deleted {
		return streamDeleted(call, name)
	}
	return call.SendAndClose(answer(a, expected))
}

// before is what goes wrong before anything is done.
func (s *streamsServer) before(fault Fault, call trailing) error {
	switch fault {
	case DropBefore:
		return errBroken
	case AbortBefore:
		return errTimeout
	case NotReady:
		return errNotReady
	case Denied:
		return errDenied
	case NotLeader:
		return s.notLeader(call)
	}
	return nil
}

func receive(call streams.Streams_AppendServer) (name string, expected int64, events []record, size int, err error) {
	for {
		m, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return name, expected, events, size, nil
		}
		if err != nil {
			return "", 0, nil, 0, err
		}
		if o := m.GetOptions(); o != nil {
			name, expected = string(o.GetStreamIdentifier().GetStreamName()), expectedIn(o)
			continue
		}
		p := m.GetProposedMessage()
		e := record{kind: p.GetMetadata()["type"], content: p.GetMetadata()["content-type"], custom: p.GetCustomMetadata(), data: p.GetData()}
		if e.kind == "" || e.content == "" {
			return "", 0, nil, 0, status.Error(codes.InvalidArgument, "Required Metadata Property 'type' is missing")
		}
		e.id = idIn(p.GetId())
		size += len(e.data) + len(e.custom) + 2*len(e.kind)
		events = append(events, e)
	}
}

func expectedIn(o *streams.AppendReq_Options) int64 {
	switch e := o.GetExpectedStreamRevision().(type) {
	case *streams.AppendReq_Options_Revision:
		return int64(e.Revision) //nolint:gosec // few events
	case *streams.AppendReq_Options_NoStream:
		return noStream
	case *streams.AppendReq_Options_StreamExists:
		return streamExists
	}
	return anyState
}

func idIn(id *shared.UUID) (b [16]byte) {
	if s := id.GetStructured(); s != nil {
		binary.BigEndian.PutUint64(b[:8], uint64(s.GetMostSignificantBits()))  //nolint:gosec // the same bits
		binary.BigEndian.PutUint64(b[8:], uint64(s.GetLeastSignificantBits())) //nolint:gosec // the same bits
		return b
	}
	return uuid.MustParse(id.GetString_())
}

func idOut(b [16]byte) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(b[:8])), //nolint:gosec // the same bits
		LeastSignificantBits: int64(binary.BigEndian.Uint64(b[8:])), //nolint:gosec // the same bits
	}}}
}

func answer(a answered, expected int64) *streams.AppendResp {
	empty := &shared.Empty{}
	if a.decision == wrong {
		w := &streams.AppendResp_WrongExpectedVersion{}
		w.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: empty}
		if a.current >= 0 {
			w.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: uint64(a.current)}
		}
		switch expected {
		case anyState:
			w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: empty}
		case noStream:
			w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: empty}
		case streamExists:
			w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: empty}
		default:
			w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: uint64(expected)} //nolint:gosec // not negative here
		}
		return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: w}}
	}
	success := &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_NoStream{NoStream: empty},
		PositionOption:        &streams.AppendResp_Success_NoPosition{NoPosition: empty},
	}
	if a.current >= 0 {
		success.CurrentRevisionOption = &streams.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(a.current)}
	}
	if a.told {
		success.PositionOption = &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{CommitPosition: a.position, PreparePosition: a.position}}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: success}}
}

// Delete deletes a stream softly: it can be written again.
func (s *streamsServer) Delete(_ context.Context, req *streams.DeleteReq) (*streams.DeleteResp, error) {
	expected := anyState
	switch e := req.GetOptions().GetExpectedStreamRevision().(type) {
	case *streams.DeleteReq_Options_Revision:
		expected = int64(e.Revision) //nolint:gosec // few events
	case *streams.DeleteReq_Options_StreamExists:
		expected = streamExists
	}
	a := s.cluster.log.remove(string(req.GetOptions().GetStreamIdentifier().GetStreamName()), expected, false)
	if a.decision != ok {
		return nil, status.Error(codes.FailedPrecondition, "wrong expected version")
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{Position: &streams.DeleteResp_Position{CommitPosition: a.position, PreparePosition: a.position}}}, nil
}

// Tombstone deletes a stream for good.
func (s *streamsServer) Tombstone(_ context.Context, req *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	a := s.cluster.log.remove(string(req.GetOptions().GetStreamIdentifier().GetStreamName()), anyState, true)
	if a.decision != ok {
		return nil, status.Error(codes.FailedPrecondition, "wrong expected version")
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{Position: &streams.TombstoneResp_Position{CommitPosition: a.position, PreparePosition: a.position}}}, nil
}

// Read reads a stream or all of them, once or as a subscription.
func (s *streamsServer) Read(req *streams.ReadReq, call streams.Streams_ReadServer) error {
	o := req.GetOptions()
	asked := Call{Read, string(o.GetStream().GetStreamIdentifier().GetStreamName()), s.node.index, nil}
	if o.GetSubscription() != nil {
		asked.Method = Subscribe
	}
	fault := s.cluster.fault(asked)
	if err := s.before(fault, call); err != nil {
		return err
	}
	switch {
	case o.GetSubscription() != nil && o.GetAll() == nil:
		return status.Error(codes.Unimplemented, "the double subscribes to all streams only")
	case o.GetSubscription() != nil:
		return s.subscribe(o, call, fault)
	case o.GetFilter() != nil:
		return status.Error(codes.InvalidArgument, "the double filters subscriptions only, as the client does")
	case o.GetAll() != nil:
		return s.readAll(o, call, fault)
	}
	return s.readStream(o, call, fault)
}

func (s *streamsServer) readStream(o *streams.ReadReq_Options, call streams.Streams_ReadServer, fault Fault) error {
	name, backwards := string(o.GetStream().GetStreamIdentifier().GetStreamName()), o.GetReadDirection() == streams.ReadReq_Options_Backwards
	from := o.GetStream().GetRevision()
	if o.GetStream().GetEnd() != nil {
		from = math.MaxUint64
	}
	read, state := s.cluster.log.readStream(name, from, backwards, o.GetCount())
	switch state {
	case gone:
		return streamDeleted(call, name)
	case missing:
		return call.Send(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{StreamNotFound: &streams.ReadResp_StreamNotFound{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(name)},
		}}})
	}
	return send(call, read, fault)
}

func (s *streamsServer) readAll(o *streams.ReadReq_Options, call streams.Streams_ReadServer, fault Fault) error {
	from := o.GetAll().GetPosition().GetCommitPosition()
	if o.GetAll().GetEnd() != nil {
		from = math.MaxUint64
	}
	read, err := s.cluster.log.readAll(from, o.GetReadDirection() == streams.ReadReq_Options_Backwards, o.GetCount())
	if err != nil {
		return status.Errorf(codes.Internal, "%v: %d", err, from)
	}
	return send(call, read, fault)
}

func send(call streams.Streams_ReadServer, read []record, fault Fault) error {
	for i, r := range read {
		if err := call.Send(out(r)); err != nil {
			return err
		}
		if i == 0 && fault == DropAfter {
			return errBroken
		}
	}
	if fault == HangAfter {
		<-call.Context().Done()
	}
	return nil
}

func out(r record) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id:               idOut(r.id),
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(r.stream)},
			StreamRevision:   r.revision,
			PreparePosition:  r.position,
			CommitPosition:   r.position,
			Metadata: map[string]string{
				"type": r.kind, "content-type": r.content,
				"created": strconv.FormatInt(r.created.UnixNano()/100, 10), // ticks of 100 ns
			},
			CustomMetadata: r.custom,
			Data:           r.data,
		},
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: r.position},
	}}}
}

// subscribe sends what is behind a position, and then what comes.
func (s *streamsServer) subscribe(o *streams.ReadReq_Options, call streams.Streams_ReadServer, fault Fault) error {
	wants, err := filterIn(o.GetFilter())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	sub := &subscription{call: call, fault: fault, wants: wants}
	if f := o.GetFilter(); f != nil {
		sub.every = int(f.GetMax() * max(1, f.GetCheckpointIntervalMultiplier()))
	}
	next := 0
	switch from := o.GetAll().GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		next = s.cluster.log.after(from.Position.GetCommitPosition())
	case *streams.ReadReq_Options_AllOptions_End:
		next = s.cluster.log.length()
	}
	confirmed := &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()}
	if err := call.Send(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{Confirmation: confirmed}}); err != nil {
		return err
	}
	for {
		r, news := s.cluster.log.one(next)
		if news == nil {
			next++
			if err := sub.consider(r); err != nil {
				return err
			}
			continue
		}
		if err := sub.caughtUp(); err != nil {
			return err
		}
		select {
		case <-call.Context().Done():
			return status.FromContextError(call.Context().Err()).Err()
		case <-news:
		}
		const buffer = 32 // events that wait for a live subscription
		if s.cluster.log.length()-next > buffer {
			if err := sub.fellBehind(); err != nil {
				return err
			}
		}
	}
}

// subscription is one client's.
type subscription struct {
	call    streams.Streams_ReadServer
	fault   Fault
	wants   func(record) bool
	every   int // events between checkpoints; 0 = none are sent
	skipped int // events since the last checkpoint
	live    bool
}

// consider sends an event, if it is wanted, and a checkpoint when it is time.
func (s *subscription) consider(r record) error {
	if s.wants(r) {
		if err := s.deliver(r); err != nil {
			return err
		}
	}
	if s.skipped++; s.every == 0 || s.skipped < s.every {
		return nil
	}
	s.skipped = 0
	return s.call.Send(&streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{Checkpoint: &streams.ReadResp_Checkpoint{
		CommitPosition: r.position, PreparePosition: r.position,
	}}})
}

func (s *subscription) deliver(r record) error {
	if err := s.call.Send(out(r)); err != nil {
		return err
	}
	switch s.fault {
	case Twice:
		return s.call.Send(out(r))
	case DropEach:
		return errBroken
	case SlowConsumer:
		if err := s.fellBehind(); err != nil {
			return err
		}
		return s.caughtUp()
	}
	return nil
}

func (s *subscription) caughtUp() error {
	if s.live {
		return nil
	}
	s.live = true
	return s.call.Send(&streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: &streams.ReadResp_CaughtUp{}}})
}

func (s *subscription) fellBehind() error {
	if !s.live {
		return nil
	}
	s.live = false
	return s.call.Send(&streams.ReadResp{Content: &streams.ReadResp_FellBehind_{FellBehind: &streams.ReadResp_FellBehind{}}})
}

// filterIn returns what a filter lets through: prefixes or a pattern, of stream
// names or of event types.
func filterIn(f *streams.ReadReq_Options_FilterOptions) (func(record) bool, error) {
	if f == nil {
		return func(record) bool { return true }, nil
	}
	of, by := func(r record) string { return r.stream }, f.GetStreamIdentifier()
	if f.GetEventType() != nil {
		of, by = func(r record) string { return r.kind }, f.GetEventType()
	}
	if len(by.GetPrefix()) > 0 {
		return func(r record) bool {
			return slices.ContainsFunc(by.GetPrefix(), func(p string) bool { return strings.HasPrefix(of(r), p) })
		}, nil
	}
	pattern, err := regexp.Compile(by.GetRegex())
	if err != nil {
		return nil, fmt.Errorf("the filter is no pattern: %w", err)
	}
	return func(r record) bool { return pattern.MatchString(of(r)) }, nil
}
