package reference

import (
	"cmp"
	"slices"
	"strings"
)

// mostOff is how many letters may be others in what is near.
const mostOff = 2

// Near returns the codes of at most three entries that somebody may have meant who
// wrote a code that does not exist, the nearest first: those whose code or name
// is a part of it, or has it as a part, or differs in two letters at most.
func Near(code string, entries []Entry) []string {
	type match struct {
		code string
		off  int
	}
	var matches []match
	for _, e := range entries {
		off := offBy(code, e.Code)
		for _, name := range e.Names {
			off = min(off, offBy(code, name))
		}
		if off <= mostOff {
			matches = append(matches, match{e.Code, off})
		}
	}
	slices.SortFunc(matches, func(a, b match) int { return cmp.Or(cmp.Compare(a.off, b.off), strings.Compare(a.code, b.code)) })
	var codes []string
	for _, m := range matches[:min(len(matches), 3)] {
		codes = append(codes, m.code)
	}
	return codes
}

// offBy returns how far two texts are from each other, whatever their case; more
// than mostOff when they are not near. Short ones are near nothing else, since a
// letter or two make anything of them.
func offBy(text, other string) int {
	a, b := strings.ToLower(text), strings.ToLower(other)
	const telling = 4
	switch {
	case a == b:
		return 0
	case min(len(a), len(b)) < telling:
		return mostOff + 1
	case strings.Contains(a, b) || strings.Contains(b, a):
		return mostOff
	}
	return edits([]rune(a), []rune(b))
}

// edits returns how many letters are changed, added or left out to make one text
// the other.
func edits(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before := row[0]
		row[0] = i + 1
		for j := range b {
			here := before
			if a[i] != b[j] {
				here = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], here
		}
	}
	return row[len(b)]
}
