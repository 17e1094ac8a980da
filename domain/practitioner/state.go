package practitioner

import "strings"

// StateOf returns the Brazilian state of a postal code (CEP: eight digits, with
// a hyphen perhaps), "" for a code that is none. The ranges are those of the
// Brazilian post, by the first three digits and, where states share those, by
// five.
func StateOf(postalCode string) string {
	code := strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(postalCode), "-", ""), ".", "")
	if len(code) != 8 || !of(code, digits) {
		return ""
	}
	state := ""
	for _, r := range states() {
		if code[:5] < r.from {
			break
		}
		state = r.state
	}
	return state
}

type stateRange struct{ from, state string }

// states returns where each range of postal codes begins, in order.
func states() []stateRange {
	return []stateRange{
		{"01000", "SP"},
		{"20000", "RJ"},
		{"29000", "ES"},
		{"30000", "MG"},
		{"40000", "BA"},
		{"49000", "SE"},
		{"50000", "PE"},
		{"57000", "AL"},
		{"58000", "PB"},
		{"59000", "RN"},
		{"60000", "CE"},
		{"64000", "PI"},
		{"65000", "MA"},
		{"66000", "PA"},
		{"68900", "AP"},
		{"69000", "AM"},
		{"69300", "RR"},
		{"69400", "AM"},
		{"69900", "AC"},
		{"70000", "DF"},
		{"72800", "GO"},
		{"73000", "DF"},
		{"73700", "GO"},
		{"76800", "RO"},
		{"77000", "TO"},
		{"78000", "MT"},
		{"78900", "RO"},
		{"79000", "MS"},
		{"80000", "PR"},
		{"88000", "SC"},
		{"90000", "RS"},
	}
}
