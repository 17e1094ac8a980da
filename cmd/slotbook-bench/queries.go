package main

import (
	"context"
	"fmt"
	"slices"
)

// crowded begins the names of the rows that search many practitioners.
const crowded = "crowd: "

// loadOf returns what that many practitioners make: twenty of them share a
// clinic.
func loadOf(practitioners int) load {
	return load{Clinics: practitioners / perClinic, Practitioners: practitioners, Patients: practitioners * 10, Slots: true}
}

// crowdOf returns that many practitioners who have no slots.
func crowdOf(practitioners int) load {
	return load{Clinics: practitioners / perClinic, Practitioners: practitioners}
}

// rowsOf names the rows of the queries.
func rowsOf(queries []query, prefix string) (names []string) {
	for _, q := range queries {
		names = append(names, prefix+q.name, prefix+q.overHTTP())
	}
	return names
}

// measureQueries compares what is asked all day with the bare SQL of the same
// answers.
func measureQueries(ctx context.Context, b *bench) ([]row, error) {
	return b.questioned(ctx, b.load, "", false, (*asking).queries)
}

// measureCrowd measures the search among many practitioners, where everything is
// measured in full. What the bare SQL of these tables would be there, nobody
// would wait for.
func measureCrowd(ctx context.Context, b *bench) ([]row, error) {
	return b.questioned(ctx, b.crowd, crowded, true, (*asking).searches)
}

// questioned measures those of the queries of a load that are chosen.
func (b *bench) questioned(ctx context.Context, l load, prefix string, alone bool, queries func(*asking) []query) (rows []row, err error) {
	server, closed, err := b.keeper(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if failed := closed(); err == nil {
			err = failed
		}
	}()
	url, err := b.loaded(ctx, server, l)
	if err != nil {
		return nil, err
	}
	a, err := openAsking(ctx, url, l)
	if err != nil {
		return nil, err
	}
	defer a.close()
	s, err := a.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	for _, q := range queries(a) {
		q.name = prefix + q.name
		if !slices.ContainsFunc([]string{q.name, q.overHTTP()}, b.rows.MatchString) {
			continue
		}
		measured, err := q.measure(ctx, b, s, alone)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}
