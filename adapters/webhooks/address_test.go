package webhooks_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/webhooks"
	"github.com/slotbook/slotbook/reactions"
)

func TestAddressesThatAreNotOfTheInternet(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"127.0.0.1", "127.8.9.10", "::1", "0.0.0.0", "::", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.1.1",
		"100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "198.51.100.7", "203.0.113.7", "192.0.2.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
		"255.255.255.255", "168.63.129.16", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "100::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1",
	} {
		require.False(t, webhooks.Public(netip.MustParseAddr(text)), text)
	}
	for _, text := range []string{"1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"} {
		require.True(t, webhooks.Public(netip.MustParseAddr(text)), text)
	}
}

func TestAURLThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nothingAllowed)
	for text, wanted := range map[string]error{
		"":                                reactions.ErrWebhookURL,
		"receiver.example":                reactions.ErrWebhookURL,
		"ftp://receiver.example/":         reactions.ErrWebhookURL,
		"http://receiver.example/":        reactions.ErrWebhookURL,
		"https:///path":                   reactions.ErrWebhookURL,
		"https://me:pw@receiver.example/": reactions.ErrWebhookURL,
		"https://receiver.example/#there": reactions.ErrWebhookURL,
		"https://127.0.0.1/":              reactions.ErrWebhookAddress,
		"https://[::1]:8443/":             reactions.ErrWebhookAddress,
		"https://[::ffff:10.0.0.1]/":      reactions.ErrWebhookAddress,
		"https://169.254.169.254/latest/": reactions.ErrWebhookAddress,
	} {
		_, _, err := s.hooks.Create(t.Context(), reactions.WebhookWish{URL: text})
		require.ErrorIs(t, err, wanted, text)
	}
	_, _, err := s.hooks.Create(t.Context(), reactions.WebhookWish{URL: "https://receiver.example/hooks?tenant=1"})
	require.NoError(t, err)
}

func nothingAllowed(c *webhooks.Config) { c.Allow, c.Pauses = nil, []time.Duration{} }

// The name passes when the subscription is made; what counts is where it leads
// when the connection is made.
func TestANameThatLeadsToThisMachineIsRefusedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	s, r := newSite(t, nothingAllowed), newReceiver(t)
	to, err := url.Parse(r.URL)
	require.NoError(t, err)
	hook, _, err := s.hooks.Create(t.Context(), reactions.WebhookWish{URL: "https://localhost:" + to.Port()})
	require.NoError(t, err)
	e := s.books("c1")
	d := s.delivery(hook.ID, e, ended)
	require.Equal(t, []any{reactions.DeliveryFailed, 0}, []any{d.Status, d.Code})
	require.Regexp(t, `the address (127\.0\.0\.1|::1) is private, of this machine or reserved`, d.Error)
	require.Empty(t, r.got)
}

func TestHTTPIsSpokenToAllowedAddressesOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *webhooks.Config) {
		c.Allow, c.Pauses = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, []time.Duration{}
	})
	_, _, err := s.hooks.Create(t.Context(), reactions.WebhookWish{URL: "http://8.8.8.8/"})
	require.ErrorIs(t, err, reactions.ErrWebhookAddress, "what is sent could be read on its way")
	_, _, err = s.hooks.Create(t.Context(), reactions.WebhookWish{URL: "http://10.1.2.3/"})
	require.NoError(t, err)
	_, _, err = s.hooks.Create(t.Context(), reactions.WebhookWish{URL: "https://192.168.0.1/"})
	require.ErrorIs(t, err, reactions.ErrWebhookAddress)
}

func TestRetryAfterIsReadAsTheStandardHasIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for text, wanted := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "soon": 0, "1.5": 0, "99999999": 7 * 24 * time.Hour,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		require.Equal(t, wanted, webhooks.RetryAfter(text, now), text)
	}
}

func TestWhatIsDialledIsAnAllowedAddress(t *testing.T) {
	t.Parallel()
	intranet := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, address := range []string{"8.8.8.8:443", "[2606:4700::1111]:443", "10.1.2.3:443", "[::ffff:10.1.2.3]:443", "[fd00::1]:8443"} {
		require.NoError(t, webhooks.Dial(intranet, true, address), address)
	}
	for _, address := range []string{"10.1.2.3:80", "[fd00::1]:80"} {
		require.NoError(t, webhooks.Dial(intranet, false, address), address)
	}
	for _, address := range []string{"127.0.0.1:443", "192.168.1.1:443", "[::ffff:127.0.0.1]:443", "[fe80::1%eth0]:443", "nonsense"} {
		require.Error(t, webhooks.Dial(intranet, true, address), address)
		require.Error(t, webhooks.Dial(nil, true, address), address)
	}
	require.ErrorContains(t, webhooks.Dial(intranet, false, "8.8.8.8:80"), "http to the address 8.8.8.8 is not allowed")
}

func TestACertificateThatNobodyTrustsIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *webhooks.Config) { c.Pauses = []time.Duration{} })
	strange := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(strange.Close)
	hook := s.subscribe(&receiver{Server: strange})
	d := s.delivery(hook, s.books("c1"), ended)
	require.Equal(t, reactions.DeliveryFailed, d.Status)
	require.Contains(t, d.Error, "certificate")
}
