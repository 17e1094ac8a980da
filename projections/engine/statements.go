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
	insert  string
	update  string // empty when there is nothing but the key
	remove  string
	columns int
}

// changes is what a batch does to one table.
type changes struct {
	copied   []byte   // many new rows in COPY's binary format, nil for none
	inserted [][]byte // few new rows: one array for each column, nil for none
	updated  [][]byte // rows that are there, as inserted
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
		insert:  insertFor(qualified, columns),
		update:  updateFor(qualified, columns),
		remove:  fmt.Sprintf("delete from %s\nwhere %s = any($1::text[])", qualified, key),
		columns: len(columns),
	}
}

// loadFor returns a select of the rows of some keys, with one look into an index
// for each. The offset keeps that order.
func loadFor(all, key string) string {
	return fmt.Sprintf("select found.*\nfrom unnest($1::text[]) as wanted (key)\ncross join lateral (%s\nwhere %s = wanted.key\noffset 0) found", all, key)
}

// insertFor returns an insert of rows that are not there.
func insertFor(table string, columns []column) string {
	selected := make([]string, len(columns))
	for i, c := range columns {
		_, cast, _ := c.parameter()
		selected[i] = fmt.Sprintf(`new."%s"%s`, c.name, cast)
	}
	return fmt.Sprintf("insert into %s (%s)\nselect %s\nfrom %s",
		table, names(columns, ""), strings.Join(selected, ", "), arraysOf(columns))
}

// updateFor returns an update of rows that are there. It costs less than an
// upsert, which locks every row first.
func updateFor(table string, columns []column) string {
	if len(columns) == 1 {
		return ""
	}
	var updates []string
	for _, c := range columns[1:] {
		_, cast, _ := c.parameter()
		updates = append(updates, fmt.Sprintf(`"%[1]s" = new."%[1]s"%[2]s`, c.name, cast))
	}
	return fmt.Sprintf("update %s as old\nset %s\nfrom %s\nwhere old.\"%[4]s\" = new.\"%[4]s\"",
		table, strings.Join(updates, ", "), arraysOf(columns), columns[0].name)
}

// arraysOf returns the rows that come as one array for each column.
func arraysOf(columns []column) string {
	arrays := make([]string, len(columns))
	for i, c := range columns {
		element, _, _ := c.parameter()
		arrays[i] = fmt.Sprintf("$%d::%s[]", i+1, element)
	}
	return fmt.Sprintf("unnest(%s) as new (%s)", strings.Join(arrays, ", "), names(columns, ""))
}
