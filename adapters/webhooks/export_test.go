package webhooks

import (
	"context"
	"net/netip"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// What tests look at.
var (
	Around     = around
	RetryAfter = retryAfter
)

// Public reports whether an address is one of the internet.
func Public(a netip.Addr) bool { return public(a) }

// ClinicsOf returns what an event says of its clinics.
func ClinicsOf(e eventcodec.Stored) ([]string, domain.StreamName) { return clinicsOf(e) }

// Tidy forgets what is forgotten by and by.
func (w *Webhooks) Tidy(ctx context.Context) (int64, error) { return w.tidy(ctx) }

// Dial says what a connection to an address is refused for.
func Dial(allow []netip.Prefix, encrypted bool, address string) error {
	return guard{allow, encrypted}.control(context.Background(), "tcp", address, nil)
}
