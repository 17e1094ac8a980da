// Package postgres is the event store in PostgreSQL 15 or later, and the
// keeper of the keys that personal text is sealed under.
package postgres
