package postgres

import "slices"

// Worth says what the loss of a table would mean.
type Worth string

// The worths of tables.
const (
	// Precious tables cannot be made again from anything else: backups hold them.
	Precious Worth = "precious"
	// Noted tables are of one row, which a backup notes and a restore decides anew.
	Noted Worth = "noted"
	// Operational tables serve processes that run: losing them loses time only.
	Operational Worth = "operational"
	// Derived tables are made from the log by the program, and can be made again.
	Derived Worth = "derived"
)

// Worths says of every table of the schema slotbook what it is worth. A migration
// that adds a table adds its line here, and in docs/operations.md.
func Worths() map[string]Worth {
	return map[string]Worth{
		"events":                Precious,
		"person_key":            Precious,
		"reference":             Precious, // operators have loaded it from files
		"picture":               Precious,
		"webhook":               Precious,
		"store":                 Noted,
		"log_head":              Noted,
		"elsewhere":             Noted,
		"schema_version":        Noted,
		"deadline_attempt":      Operational, // the read model due says what is due
		"schedule_settled":      Operational,
		"reaction_checkpoint":   Operational, // of one epoch: a restore begins another
		"reaction_parked":       Operational,
		"webhook_delivery":      Operational, // a replay sends again what is in the log
		"webhook_replay":        Operational,
		"projection_checkpoint": Derived,
		"projection_parked":     Derived,
	}
}

// preciousTables returns the precious tables, events last: they are the most.
func preciousTables() []string {
	var tables []string
	for name, worth := range Worths() {
		if worth == Precious && name != "events" {
			tables = append(tables, name)
		}
	}
	slices.Sort(tables)
	return append(tables, "events")
}
