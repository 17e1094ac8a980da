package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/webhooks"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/operations"
)

// site is the HTTP interface of this process on loopback, over a load, and its
// client.
type site struct {
	server *http.Server
	ended  chan struct{}
	origin string
	client *http.Client
}

// serve starts it. Its time stands still at loadedAt.
func (a *asking) serve(ctx context.Context) (*site, error) {
	handler, err := a.handler()
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	const patience = time.Minute
	s := &site{
		server: &http.Server{Handler: handler, ReadHeaderTimeout: patience}, ended: make(chan struct{}),
		origin: "http://" + listener.Addr().String(),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: askers, DisableCompression: true}},
	}
	go func() {
		defer close(s.ended)
		_ = s.server.Serve(listener) // it ends when it is closed
	}()
	return s, nil
}

func (a *asking) handler() (http.Handler, error) {
	slots := projections.NewAvailability(a.engine)
	hooks, err := webhooks.New(webhooks.Config{
		Pool: a.pool, Schema: postgres.RiverSchema, Log: a.store, Key: masterKey(), Owner: "load", Now: time.Now, NewID: newID,
	})
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{
		Commands: commands.New(commands.Config{Store: a.store, Now: loadedAt, NewID: newID, HoldKey: masterKey(), NameKey: masterKey()}),
		Codec:    a.codec, Slots: slots, Appointments: projections.NewAppointments(a.engine),
		Days: projections.NewDaySheets(a.engine), Directory: projections.NewDirectory(a.engine), Patients: projections.NewPatients(a.engine),
		Catalogue: projections.NewCatalogue(a.engine), Reviews: projections.NewReviews(a.engine), Reference: postgres.NewReference(a.pool),
		Waits: projections.NewWaits(a.engine), Waitlist: projections.NewWaitlist(a.engine), KPIs: projections.NewKPIs(a.engine), Projections: operations.New(operations.Config{Engine: a.engine, Now: time.Now}),
		Live:     projections.NewLive(projections.LiveConfig{Log: a.store, Streams: a.store, Slots: slots, Now: loadedAt}),
		Streams:  httpapi.StreamConfig{Now: time.Now},
		Pictures: noPictures{}, Reactions: bus.Desk{Pool: a.pool, Log: a.store}, Webhooks: hooks, Events: a.store, Head: a.store.Head, Past: a.store, Now: loadedAt, NewID: newID, HashKey: masterKey(), Metrics: prometheus.NewRegistry(),
	})
}

// noPictures are those of a load.
type noPictures struct{}

var errNoPictures = errors.New("a load has no pictures")

// Prepare is an error.
func (noPictures) Prepare([]byte) (string, []byte, error) { return "", nil, errNoPictures }

// Put is an error.
func (noPictures) Put(context.Context, string, []byte) error { return errNoPictures }

// Get is an error.
func (noPictures) Get(context.Context, string) ([]byte, error) { return nil, errNoPictures }

// get returns how to ask the query over HTTP. The answer is read and passed
// over.
func (s *site) get(q query) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.origin+q.path(n), nil)
		if err != nil {
			return err
		}
		answer, err := s.client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s was answered with %s: %s", request.URL, answer.Status, body)
		}
		return err
	}
}

func (s *site) close() {
	s.client.CloseIdleConnections()
	_ = s.server.Close() // nothing is lost
	<-s.ended
}
