package broker

import (
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
)

// together is a publisher that answers when so many publish at once.
type together struct{ all *sync.WaitGroup }

func (p together) Publish(string, ...*message.Message) error {
	p.all.Done()
	p.all.Wait()
	return nil
}
func (together) Close() error    { return nil }
func (together) gone(error) bool { return false }

func TestLanesPublishAtTheSameTime(t *testing.T) {
	t.Parallel()
	const lanes = 4
	var all, ended sync.WaitGroup
	all.Add(lanes)
	f := &Forwarder{topic: "t", connect: func() (publisher, error) { return together{&all}, nil }}
	for range lanes {
		ended.Go(func() {
			_, err := f.publish(message.NewMessage("id", nil))
			require.NoError(t, err)
		})
	}
	done := make(chan struct{})
	go func() { ended.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("each waits for the one before")
	}
}
