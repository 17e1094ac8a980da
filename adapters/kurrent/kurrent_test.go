package kurrent_test

import (
	"cmp"
	"context"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/eventstoretest"
	"github.com/slotbook/slotbook/adapters/kurrent"
	"github.com/slotbook/slotbook/adapters/kurrent/kurrenttest"
)

// double starts a double of a server, which ends with the test.
func double(t *testing.T, c kurrenttest.Config) *kurrenttest.Cluster {
	t.Helper()
	cluster, err := kurrenttest.Start(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	return cluster
}

// open returns a store that runs as long as the test.
func open(t *testing.T, c kurrent.Config) *kurrent.Store {
	t.Helper()
	if c.Codec == nil {
		c.Codec = eventcodec.New(&eventcodec.MemoryKeys{})
	}
	c.Answer = cmp.Or(c.Answer, 5*time.Second)
	store, err := kurrent.New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return store
}

// address returns a connection string under which nobody has stored anything: of a
// real server, if one is named, with a prefix of its own, or of a double.
func address(t *testing.T) string {
	t.Helper()
	real := os.Getenv("SLOTBOOK_TEST_KURRENTDB")
	if real == "" {
		return double(t, kurrenttest.Config{}).URL()
	}
	prefix := "t" + strings.ReplaceAll(uuid.NewString(), "-", "") + "."
	hosts, query, _ := strings.Cut(real, "?")
	settings, err := url.ParseQuery(query)
	require.NoError(t, err)
	settings.Set("streamPrefix", prefix)
	return hosts + "?" + settings.Encode()
}

func TestContract(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) (eventstoretest.Store, *eventcodec.Codec) {
		t.Helper()
		codec := eventcodec.New(&eventcodec.MemoryKeys{})
		store := open(t, kurrent.Config{Address: address(t), Codec: codec})
		_, err := store.Identity(t.Context()) // it begins where the store does, on a server that has others
		require.NoError(t, err)
		return store, codec
	})
}
