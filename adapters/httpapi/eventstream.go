package httpapi

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
)

// eventFeed tells the events of the log, each as it is recorded.
type eventFeed struct {
	*eventReader
	api    *api
	chosen EventSelection
	page   []eventcodec.Stored // what was read and is not told yet
	told   domain.Position     // up to where everything was told
	ended  bool                // that nothing comes any more was told
}

func (f *eventFeed) position() domain.Position { return f.told }

func (f *eventFeed) close() {}

// begin returns the first event, if there is one already.
func (f *eventFeed) begin(ctx context.Context) (stretch, error) {
	if err := f.ending(); err != nil {
		return stretch{}, err
	}
	f.told = f.at
	if err := f.read(ctx); err != nil || len(f.page) == 0 {
		return stretch{position: f.told}, err
	}
	return f.tell()
}

// ending says that the process ends.
func (f *eventFeed) ending() error {
	select {
	case <-f.api.Live.Ended():
		return projections.ErrEnding
	default:
		return nil
	}
}

// next returns the next event, the end of what was asked for, or, from time to
// time, how far the log was looked through.
func (f *eventFeed) next(ctx context.Context) (stretch, error) {
	for {
		if err := f.ending(); err != nil {
			return stretch{}, err
		}
		if len(f.page) > 0 {
			return f.tell()
		}
		if err := f.read(ctx); err != nil {
			return stretch{}, err
		}
		switch {
		case len(f.page) > 0:
		case f.at < f.until:
			f.told = f.at // there is more to look through
			return stretch{position: f.told}, nil
		case f.over:
			return f.end()
		default:
			f.told = f.at
			if err := f.wait(ctx); err != nil {
				return stretch{}, err
			}
		}
	}
}

// read reads on. What was recorded before the instant from is passed over: it
// may be still to come when the stream begins.
func (f *eventFeed) read(ctx context.Context) error {
	page, err := f.eventReader.next(ctx, eventsAtOnce)
	for len(page) > 0 && page[0].RecordedAt.Before(f.chosen.From) {
		page = page[1:]
	}
	f.page = page
	return err
}

// tell returns the first event that is not told yet.
func (f *eventFeed) tell() (stretch, error) {
	e := f.page[0]
	f.page = f.page[1:]
	envelope, err := e.Envelope()
	if err != nil {
		return stretch{}, err
	}
	line, err := envelope.Line()
	if f.told = e.Position; len(f.page) == 0 {
		f.told = f.at
	}
	return stretch{[]message{{"event", json.RawMessage(bytes.TrimSuffix(line, []byte("\n")))}}, e.Position}, err
}

// end says where the events end, once.
func (f *eventFeed) end() (stretch, error) {
	if f.ended {
		return stretch{}, projections.ErrEnding
	}
	f.ended, f.told = true, f.at
	return stretch{[]message{{"cursor", f.cursor()}}, f.told}, nil
}

// wait waits for news of the log, and has them read.
func (f *eventFeed) wait(ctx context.Context) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-f.api.Live.Ended():
			cancel()
		case <-waiting.Done():
		}
	}()
	if err := f.log.Wait(waiting, f.head); err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			return projections.ErrEnding
		}
		return err
	}
	head, err := f.api.Head(ctx)
	if err != nil {
		return err
	}
	return f.reach(ctx, head, f.chosen.To)
}
