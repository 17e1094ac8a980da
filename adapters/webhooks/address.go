package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/slotbook/slotbook/reactions"
)

// reserved are addresses that no receiver of webhooks has, beside those that
// [netip.Addr] knows as private, loopback, link-local or multicast (IANA
// Special-Purpose Address Registries; RFC 6890).
var reserved = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4",
	"168.63.129.16/32", // a cloud's own services, at a public address
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

// global are the addresses of IPv6 that may be of the internet at all.
var global = netip.MustParsePrefix("2000::/3")

// nat64 and sixToFour hold an address of IPv4, which is the one that counts.
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func within(a netip.Addr, all []netip.Prefix) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

// plain returns an address of IPv4 that is written as one of IPv6 as what it is,
// and any address without its zone.
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	bytes := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(bytes[12:16]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(bytes[2:6]))
	}
	return a
}

// public reports whether an address is one of the internet.
func public(a netip.Addr) bool {
	a = plain(a)
	return a.IsGlobalUnicast() && !a.IsPrivate() && !within(a, reserved) && (a.Is4() || global.Contains(a))
}

// refusedAddress says that nothing is sent to an address.
type refusedAddress struct {
	address netip.Addr
	plain   bool // what would be sent is not encrypted
}

// Error names the address.
func (e refusedAddress) Error() string {
	if e.plain {
		return fmt.Sprintf("http to the address %s is not allowed by the configuration", e.address)
	}
	return fmt.Sprintf("the address %s is private, of this machine or reserved, and not allowed by the configuration", e.address)
}

// guard looks at addresses before anything is sent to them.
type guard struct {
	allow     []netip.Prefix
	encrypted bool // https is spoken
}

// check refuses an address.
func (g guard) check(a netip.Addr) error {
	switch {
	case within(plain(a), g.allow), within(a.Unmap().WithZone(""), g.allow):
		return nil
	case !public(a):
		return refusedAddress{address: a}
	case !g.encrypted:
		return refusedAddress{a, true}
	}
	return nil
}

// control is called for each connection when its name has been resolved, with
// the address that it is about to be made to.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("an address that cannot be read")
	}
	return g.check(to.Addr())
}

// newClient returns what posts: it follows no redirects, uses no proxy, and
// connects only to addresses that the guard lets pass.
func newClient(g guard, timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, ControlContext: g.control}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxIdleConnsPerHost: perWebhook, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
			DisableCompression: true, // an answer is counted, not unpacked
		},
	}
}

// checkURL refuses what cannot be sent to, as far as that is known before a name
// is resolved. Errors: [reactions.ErrWebhookURL], [reactions.ErrWebhookAddress].
func (g guard) checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.Contains(text, "#") || len(text) > 2048 {
		return reactions.ErrWebhookURL
	}
	if u.Scheme != "https" && (u.Scheme != "http" || len(g.allow) == 0) {
		return reactions.ErrWebhookURL
	}
	g.encrypted = u.Scheme == "https"
	if literal, err := netip.ParseAddr(u.Hostname()); err == nil && g.check(literal) != nil {
		return reactions.ErrWebhookAddress
	}
	return nil
}
