package kurrent

import "context"

// Apart calls f as every call of the client is called, and ErrPanic is what
// becomes of a panic of its.
func Apart(ctx context.Context, f func() (int, error)) (int, error) { return apart(ctx, f) }

// ErrPanic is what becomes of a panic of the client.
var ErrPanic = errPanic

// The metadata of copied events.
var (
	WithTime    = withTime
	WithoutTime = withoutTime
)
