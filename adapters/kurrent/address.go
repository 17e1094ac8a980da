package kurrent

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// Address says where a store is.
type Address struct {
	// Prefix begins the name of every stream on the server, so that several
	// stores share one; "" = the server is for this store alone.
	Prefix string

	client *esdb.Configuration
}

// prefixKey is the one setting of a connection string that is ours.
const prefixKey = "streamPrefix"

// Is reports whether a text is a connection string of this store, by its scheme.
func Is(text string) bool {
	_, ok := rewritten(text)
	return ok
}

// rewritten returns the connection string with the scheme that the client knows.
func rewritten(text string) (string, bool) {
	scheme, rest, found := strings.Cut(text, "://")
	switch scheme {
	case "esdb", "kurrentdb", "kurrent", "kdb":
		return "esdb://" + rest, found
	case "esdb+discover", "kurrentdb+discover", "kurrent+discover", "kdb+discover":
		return "esdb+discover://" + rest, found
	}
	return "", false
}

// Parse reads a connection string: esdb://, kurrentdb:// or either with +discover,
// hosts separated by commas, and the client's settings. streamPrefix is a setting
// of ours; see [Address]. Refused is what would not do what it says: another node
// preference than the leader, and credentials without TLS, which are never sent.
func Parse(text string) (Address, error) {
	text, ok := rewritten(text)
	if !ok {
		return Address{}, errors.New("the event store's address begins with esdb://, kurrentdb://, esdb+discover:// or kurrentdb+discover://")
	}
	hosts, query, _ := strings.Cut(text, "?")
	settings, err := url.ParseQuery(query)
	if err != nil {
		return Address{}, fmt.Errorf("the settings in the event store's address: %w", err)
	}
	var a Address
	a.Prefix = settings.Get(prefixKey)
	settings.Del(prefixKey)
	if strings.HasPrefix(a.Prefix, "$") || strings.Contains(a.Prefix, "-") {
		return Address{}, fmt.Errorf("%s %q: it may neither begin with $ nor hold a hyphen", prefixKey, a.Prefix)
	}
	if a.Prefix != "" && strings.Index(a.Prefix, ".") != len(a.Prefix)-1 { // or else it might begin another store's
		return Address{}, fmt.Errorf("%s %q: it ends with a dot and holds no other one", prefixKey, a.Prefix)
	}
	// The client gives up for good after so many attempts; we begin anew then.
	preset(settings, "maxDiscoverAttempts", "3")
	preset(settings, "gossipTimeout", "3")
	if a.client, err = esdb.ParseConnectionString(hosts + "?" + settings.Encode()); err != nil {
		return Address{}, fmt.Errorf("the event store's address: %w", err)
	}
	switch c := a.client; {
	case c.NodePreference != esdb.NodePreferenceLeader:
		return Address{}, errors.New("nodePreference must be leader: what a follower answers may be old, and it takes no appends")
	case c.DisableTLS && c.Username != "":
		return Address{}, errors.New("user and password are sent over TLS only: leave them out, or tls=false")
	}
	return a, a.client.Validate()
}

// preset sets what is not set, whatever the case of its letters.
func preset(settings url.Values, key, value string) {
	for k := range settings {
		if strings.EqualFold(k, key) {
			return
		}
	}
	settings.Set(key, value)
}
