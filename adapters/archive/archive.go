// Package archive is the file of a backup: tables, and a manifest that says what
// they are. It is written from beginning to end, and appears under its name only
// when all of it is on disk; it is read only after every byte was proven to be
// the one that was written.
//
//	slotbook backup 1
//	(one gzip member:)
//	    {"table": "events", "columns": ["position", ...]}
//	    rows, as PostgreSQL's COPY writes text
//	    \.
//	    ... and so on, table by table
//	{"format": 1, ...}     the manifest, in one line
//	sha256 (64 digits)     of every byte before this line
//
// So "tail -2" shows the manifest, and a file can be read without this program:
// a section is what psql's \copy takes.
package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Format is the version of the files that this package writes. It reads this and
// every earlier one.
const Format = 1

const (
	magic      = "slotbook backup "
	endOfTable = "\\.\n"
	sumPrefix  = "sha256 "
	sumLength  = len(sumPrefix) + 64 + 1 // bytes of the last line
)

// Manifest says what a file holds.
type Manifest struct {
	Format   int       `json:"format"`
	Program  string    `json:"program"`  // version of the program that wrote it
	TakenAt  time.Time `json:"takenAt"`  // by that machine's clock
	Schema   int       `json:"schema"`   // version of the database's schema
	Store    string    `json:"store"`    // id
	Epoch    string    `json:"epoch"`    // of the store
	Position uint64    `json:"position"` // of the last event; 0 = there is none
	Floor    uint64    `json:"floor"`    // below every later event
	Tables   []Table   `json:"tables"`   // in the order of the file
	Keys     Keys      `json:"keys"`
}

// Table says what a section of a file holds.
type Table struct {
	Name    string   `json:"table"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows,omitempty"`
	Bytes   int64    `json:"bytes,omitempty"`
	SHA256  string   `json:"sha256,omitempty"` // of the rows
}

// Keys say under which master key the keys of persons are wrapped.
type Keys struct {
	// Check is what the master key opens, and no other; empty where nothing was
	// ever sealed.
	Check []byte `json:"check,omitempty"`
	// Fingerprint names the master key; empty where it was not at hand.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Master is the master key in hexadecimal, where whoever made the file wanted
	// it in it.
	Master string `json:"master,omitempty"`
}

// The errors of a file.
var (
	ErrExists   = errors.New("the file exists already")
	ErrNoBackup = errors.New("the file is no backup of Slotbook")
	ErrNewer    = errors.New("the backup was made by a newer version of the program")
	ErrDamaged  = errors.New("the backup is not complete, or was altered: nothing of it can be used")
)

func damaged(why string) error { return fmt.Errorf("%w (%s)", ErrDamaged, why) }

func line(v any) []byte {
	data, _ := json.Marshal(v) // text and numbers
	return append(data, '\n')
}
