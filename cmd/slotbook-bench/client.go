package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// clientArgument makes this program the process of the HTTP clients. It reads
// a job and then orders from its input, and answers each order with a result.
const clientArgument = "http-clients"

// job is what the clients book, and where.
type job struct {
	World   world  `json:"world"`
	Address string `json:"address"` // of the server, host:port
	Clients int    `json:"clients"`
}

// order is one run. With a pace it is an open loop: bookings fall due at a
// fixed rate, whatever became of those before. Otherwise every client books as
// soon as it has its answer.
type order struct {
	Window time.Duration `json:"window"`
	Most   int           `json:"most,omitempty"` // bookings; without a pace
	Pace   int           `json:"pace,omitempty"` // bookings a second
}

// result is what became of an order.
type result struct {
	Rate  float64       `json:"rate"` // bookings a second
	P50   time.Duration `json:"p50"`  // from the due time to the answer
	P99   time.Duration `json:"p99"`
	Error string        `json:"error,omitempty"`
}

// client is the process of the HTTP clients, as its parent sees it.
type client struct {
	command *exec.Cmd
	orders  io.WriteCloser
	results *json.Decoder
}

func startClient(ctx context.Context, j job) (*client, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &client{command: exec.CommandContext(ctx, self, clientArgument)} //nolint:gosec // this program
	c.command.Stderr = os.Stderr
	if c.orders, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.results = json.NewDecoder(out)
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	return c, json.NewEncoder(c.orders).Encode(j)
}

func (c *client) stop() error {
	return errors.Join(c.orders.Close(), c.command.Wait())
}

// book lets every client book at once, and returns the bookings a second.
func (c *client) book(most int, window time.Duration) (float64, error) {
	r, err := c.do(order{Window: window, Most: most})
	return r.Rate, err
}

// paced lets bookings fall due at a fixed rate, and returns the median and the
// 99th percentile of the time from when they are due to their answer.
func (c *client) paced(pace int, window time.Duration) (p50, p99 time.Duration, err error) {
	r, err := c.do(order{Window: window, Pace: pace})
	return r.P50, r.P99, err
}

func (c *client) do(o order) (result, error) {
	var r result
	if err := json.NewEncoder(c.orders).Encode(o); err != nil {
		return r, fmt.Errorf("the process of the clients: %w", err)
	}
	if err := c.results.Decode(&r); err != nil {
		return r, fmt.Errorf("the process of the clients: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// runClient is the process of the clients. It ends with its input.
func runClient(in io.Reader, out io.Writer) int {
	orders, results := json.NewDecoder(in), json.NewEncoder(out)
	var j job
	if err := orders.Decode(&j); err != nil {
		return misused
	}
	c := &clients{job: j}
	defer c.hangUp()
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return allWell
		} else if err != nil {
			return misused
		}
		r, err := c.run(context.Background(), o)
		if err != nil {
			r.Error = err.Error()
		}
		if err := results.Encode(r); err != nil {
			return missed
		}
	}
}

// clients book slots, each over a connection of its own that it keeps.
type clients struct {
	job
	connections []*connection
	prepared    int          // bookings whose request was made
	requests    [][]byte     // of the next bookings
	sent        atomic.Int64 // of these
}

func (c *clients) hangUp() {
	for _, x := range c.connections {
		_ = x.Close() // nothing is lost
	}
}

func (c *clients) run(ctx context.Context, o order) (result, error) {
	for len(c.connections) < c.Clients {
		x, err := dial(ctx, c.Address)
		if err != nil {
			return result{}, err
		}
		c.connections = append(c.connections, x)
	}
	if o.Pace > 0 {
		return c.paced(o)
	}
	c.prepare(o.Most)
	idle := make(chan *connection, c.Clients)
	for _, x := range c.connections {
		idle <- x
	}
	var left atomic.Int64
	left.Store(int64(o.Most))
	rate, err := repeat(ctx, c.Clients, o.Window, func(context.Context) error {
		if left.Add(-1) < 0 {
			return errUsedUp
		}
		x := <-idle
		defer func() { idle <- x }()
		return c.book(x)
	})
	return result{Rate: rate}, err
}

// paced starts bookings when they are due, on the first connection that is
// free; a booking that has to wait for one is late.
func (c *clients) paced(o order) (result, error) {
	var all sync.WaitGroup
	var taken atomic.Int64
	count := int64(o.Window.Seconds() * float64(o.Pace))
	c.prepare(int(count))
	latencies, failures := make([]time.Duration, count), make([]error, len(c.connections))
	began := time.Now()
	for i, x := range c.connections {
		all.Go(func() {
			for failures[i] == nil {
				n := taken.Add(1) - 1
				if n >= count {
					return
				}
				due := began.Add(time.Duration(n) * time.Second / time.Duration(o.Pace))
				time.Sleep(time.Until(due))
				failures[i] = c.book(x)
				latencies[n] = time.Since(due)
			}
		})
	}
	all.Wait()
	slices.Sort(latencies)
	return result{
		Rate: float64(count) / time.Since(began).Seconds(), P50: latencies[count/2], P99: latencies[count*99/100],
	}, errors.Join(failures...)
}

// prepare makes the requests of the next bookings, so that the clients only send
// them: each wants the next slot for the next patient.
func (c *clients) prepare(bookings int) {
	c.requests = c.requests[c.sent.Swap(0):]
	for len(c.requests) < bookings {
		body := fmt.Appendf(nil, `{"slotId":%q,"patientId":%q}`, c.World.slotID(c.prepared), c.World.patient(c.prepared))
		c.requests = append(c.requests, post(c.Address, "/v1/appointments", newID(), body))
		c.prepared++
	}
}

// book sends the next request.
func (c *clients) book(x *connection) error { return x.send(c.requests[c.sent.Add(1)-1]) }
