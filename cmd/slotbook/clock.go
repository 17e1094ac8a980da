package main

import (
	"sync"
	"time"
)

// manualClock is the value of --clock by which business time stands still.
const manualClock = "manual"

// clock says what time it is for the business.
type clock func() time.Time

// handClock is a business time that stands still until it is moved. It is
// safe for concurrent use.
type handClock struct {
	moved func() // is called after a move
	mu    sync.Mutex
	now   time.Time
}

func newHandClock(now time.Time) *handClock {
	return &handClock{now: now.UTC().Truncate(time.Microsecond), moved: func() {}}
}

// Now returns what the clock shows.
func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Forward moves the clock and returns what it shows then. An instant that lies
// in its past leaves it alone and reports false.
func (c *handClock) Forward(to time.Time) (time.Time, bool) {
	c.mu.Lock()
	to = to.UTC().Truncate(time.Microsecond)
	ok := !to.Before(c.now)
	if ok {
		c.now = to
	}
	now := c.now
	c.mu.Unlock()
	c.moved()
	return now, ok
}
