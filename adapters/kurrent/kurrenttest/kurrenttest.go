// Package kurrenttest is a test double of a KurrentDB or EventStoreDB server.
//
// It is not one: it keeps its log in memory, replicates nothing and forgets
// everything when it is closed. It speaks the server's gRPC protocol over
// loopback, so that the real client is tested with it, and it follows what the
// server is documented to do where that is inconvenient:
//
//   - expected revisions and the idempotency of appends by event id, with the
//     cache of recent ids that Any relies on;
//   - positions that are byte offsets, with system events in between;
//   - soft-deleted, truncated and tombstoned streams, and that $all keeps their
//     events;
//   - filtered subscriptions with checkpoint messages, CaughtUp and FellBehind;
//   - the size limit of an append, and a policy for keep-alive pings.
//
// What goes wrong between a client and a server is switched on with
// [Cluster.Interfere], [Cluster.Elect] and [Node.Stop].
//
// Where the documents leave something open, it does what is hardest on the
// client: an append that was done before is answered without a position, and a
// position at which no event begins is refused.
package kurrenttest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Config configures a cluster. The zero value is a single node.
type Config struct {
	// Nodes is how many nodes there are; the first one begins as the leader.
	// 0 is 1.
	Nodes int
	// Now is the servers' clock; nil is the machine's.
	Now func() time.Time
	// MaxAppendSize is how many bytes one append may have: data, metadata and
	// twice the length of each event's type. 0 is 1 MiB, what EventStoreDB has.
	MaxAppendSize int
	// Quiet leaves out the system events that are otherwise written now and
	// then between the others.
	Quiet bool
}

// Cluster is one or several nodes over one log.
type Cluster struct {
	config    Config
	log       *log
	nodes     []*Node
	leader    atomic.Int32
	interfere atomic.Pointer[func(Call) Fault]
	calls     atomic.Int64
}

// Start starts a cluster on loopback. The caller closes it.
func Start(c Config) (*Cluster, error) {
	if c.Nodes == 0 {
		c.Nodes = 1
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxAppendSize == 0 {
		c.MaxAppendSize = 1 << 20
	}
	cluster := &Cluster{config: c, log: newLog(c)}
	for i := range c.Nodes {
		n := &Node{cluster: cluster, index: i}
		cluster.nodes = append(cluster.nodes, n)
		if err := n.Start(); err != nil {
			return nil, errors.Join(err, cluster.Close())
		}
	}
	return cluster, nil
}

// Close stops every node.
func (c *Cluster) Close() error {
	for _, n := range c.nodes {
		n.Stop()
	}
	return nil
}

// URL returns the connection string of the cluster: of its node, or of all its
// nodes as seeds of gossip.
func (c *Cluster) URL() string {
	addresses := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addresses[i] = n.listensAt()
	}
	return "esdb://" + strings.Join(addresses, ",") + "?tls=false"
}

// Node returns a node, counted from 0.
func (c *Cluster) Node(i int) *Node { return c.nodes[i] }

// Elect makes another node the leader. Whoever is connected to the old one is
// cut off, and the cache of recent ids is empty, as after an election.
func (c *Cluster) Elect(i int) {
	old := c.nodes[c.leader.Swap(int32(i))] //nolint:gosec // few nodes
	c.ForgetIDs()
	old.Stop()
	_ = old.Start() // the port was its own a moment ago; a test that finds it taken fails at its next call
}

// Leader returns which node leads.
func (c *Cluster) Leader() int { return int(c.leader.Load()) }

// ForgetIDs empties the cache of recent event ids, which appends under Any and
// StreamExists are compared with.
func (c *Cluster) ForgetIDs() { c.log.forgetIDs() }

// Interfere lets a function choose what goes wrong with each call from now on;
// nil ends it. It is called by many goroutines at once.
func (c *Cluster) Interfere(f func(Call) Fault) {
	if f == nil {
		c.interfere.Store(nil)
		return
	}
	c.interfere.Store(&f)
}

// Calls returns how many calls there were of appends, reads and subscriptions.
func (c *Cluster) Calls() int { return int(c.calls.Load()) }

// WriteSystemEvents writes events as the server writes them for itself.
func (c *Cluster) WriteSystemEvents(n int) { c.log.noise(n) }

// Scavenge removes statistics, as a server does with what has passed its age. Reads
// from where one was are refused.
func (c *Cluster) Scavenge() { c.log.scavenge() }

func (c *Cluster) fault(call Call) Fault {
	c.calls.Add(1)
	if f := c.interfere.Load(); f != nil {
		return (*f)(call)
	}
	return None
}

// Node is one server of a cluster.
type Node struct {
	cluster *Cluster
	index   int

	mu      sync.Mutex
	address string
	server  *grpc.Server
	served  chan struct{}
}

// Start starts a node that was stopped, at the address that it had.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		return nil
	}
	address := n.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("the double of a node cannot listen: %w", err)
	}
	n.address = listener.Addr().String()
	const largest = 32 << 20 // bytes of a message; the limit of an append comes first
	n.server = grpc.NewServer(
		grpc.MaxRecvMsgSize(largest),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	streams.RegisterStreamsServer(n.server, &streamsServer{node: n, cluster: n.cluster})
	gossip.RegisterGossipServer(n.server, &gossipServer{cluster: n.cluster})
	serverfeatures.RegisterServerFeaturesServer(n.server, &featuresServer{})
	server, served := n.server, make(chan struct{})
	n.served = served
	go func() {
		defer close(served)
		_ = server.Serve(listener) // it ends when the node is stopped
	}()
	return nil
}

// Stop ends a node at once: its connections break, its port is closed. What it
// has stored is still there when it starts again.
func (n *Node) Stop() {
	n.mu.Lock()
	server, served := n.server, n.served
	n.server = nil
	n.mu.Unlock()
	if server != nil {
		server.Stop()
		<-served
	}
}

func (n *Node) listensAt() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.address
}

func (n *Node) leads() bool { return n.cluster.Leader() == n.index }

func (n *Node) running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server != nil
}
