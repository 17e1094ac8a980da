package engine

import (
	"fmt"
	"strings"
)

// statements are the SQL of one table in one schema. The texts never change,
// so that every connection prepares each of them once.
type statements struct {
	table   string // qualified
	load    string
	all     string
	copy    string
	upsert  string
	remove  string
	columns int
}

// changes is what a batch does to one table.
type changes struct {
	copied   []byte   // rows in COPY's binary format, nil for none
	upserted [][]byte // one array for each column, nil for none
	deleted  []string // keys
}

func statementsFor(schema, name string, columns []column) statements {
	qualified := fmt.Sprintf(`"%s"."%s"`, schema, name)
	key := `"` + columns[0].name + `"`
	all := fmt.Sprintf("select %s\nfrom %s", names(columns, ""), qualified)
	return statements{
		table:   qualified,
		load:    loadFor(all, key),
		all:     all,
		copy:    fmt.Sprintf("copy %s (%s) from stdin (format binary)", qualified, names(columns, "")),
		upsert:  upsertFor(qualified, columns),
		remove:  fmt.Sprintf("delete from %s\nwhere %s = any($1::text[])", qualified, key),
		columns: len(columns),
	}
}

// loadFor returns a select of the rows of some keys, with one look into an index
// for each. The offset keeps that order.
func loadFor(all, key string) string {
	return fmt.Sprintf("select found.*\nfrom unnest($1::text[]) as wanted (key)\ncross join lateral (%s\nwhere %s = wanted.key\noffset 0) found", all, key)
}

func upsertFor(table string, columns []column) string {
	selected := make([]string, len(columns))
	arrays := make([]string, len(columns))
	var updates []string
	for i, c := range columns {
		element, cast, _ := c.parameter()
		selected[i] = fmt.Sprintf(`new."%s"%s`, c.name, cast)
		arrays[i] = fmt.Sprintf("$%d::%s[]", i+1, element)
		if i > 0 {
			updates = append(updates, fmt.Sprintf(`"%s" = excluded."%s"`, c.name, c.name))
		}
	}
	action := "nothing"
	if len(updates) > 0 {
		action = "update set " + strings.Join(updates, ", ")
	}
	return fmt.Sprintf("insert into %s (%s)\nselect %s\nfrom unnest(%s) as new (%s)\non conflict (\"%s\") do %s",
		table, names(columns, ""), strings.Join(selected, ", "), strings.Join(arrays, ", "), names(columns, ""), columns[0].name, action)
}
