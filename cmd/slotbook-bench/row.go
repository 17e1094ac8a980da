package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// row is one line of the result.
type row struct {
	Name         string  `json:"name"`
	Value        float64 `json:"value"` // median
	Unit         string  `json:"unit"`
	Against      string  `json:"against,omitempty"`
	AgainstValue float64 `json:"againstValue,omitzero"` // median
	Ratio        float64 `json:"ratio,omitzero"`        // median over rounds
	RatioLeast   float64 `json:"ratioLeast,omitzero"`
	RatioMost    float64 `json:"ratioMost,omitzero"`
	AtLeast      float64 `json:"atLeast,omitzero"` // the floor of the ratio, 0 for none
	AtMost       float64 `json:"atMost,omitzero"`  // its ceiling, 0 for none
	P99          float64 `json:"p99,omitzero"`     // of all rounds, where the value is a median of latencies
	AgainstP99   float64 `json:"againstP99,omitzero"`
}

// row makes a row of a candidate and a base of a comparison.
func (r rates) row(name, unit string, candidate int, against string, base int, atLeast float64) row {
	ratios := r.ratios(candidate, base)
	return row{
		Name: name, Value: median(r.candidates[candidate]), Unit: unit, Against: against, AgainstValue: median(r.bases[base]),
		Ratio: median(ratios), RatioLeast: slices.Min(ratios), RatioMost: slices.Max(ratios), AtLeast: atLeast,
	}
}

// below reports whether the row misses its floor.
func (r row) below() bool { return r.Ratio < r.AtLeast }

// above reports whether the row misses its ceiling.
func (r row) above() bool { return r.AtMost > 0 && r.Ratio > r.AtMost }

// misses reports whether the row is not what it has to be.
func (r row) misses() bool { return r.below() || r.above() }

// line returns the row as text. In a quick run no verdict is given.
func (r row) line(quick bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-46s %8s %-10s", r.Name, number(r.Value), r.Unit+tail(r.P99))
	if r.Against == "" {
		return strings.TrimRight(b.String(), " ")
	}
	fmt.Fprintf(&b, " %5.2f (%.2f to %.2f) of %s %s", r.Ratio, r.RatioLeast, r.RatioMost, number(r.AgainstValue), r.Against+tail(r.AgainstP99))
	if !quick {
		b.WriteString(r.verdict())
	}
	return b.String()
}

// tail returns the 99th percentile as text.
func tail(p99 float64) string {
	if p99 == 0 {
		return ""
	}
	return ", p99 " + number(p99)
}

func (r row) verdict() string {
	switch {
	case r.below():
		return fmt.Sprintf("; BELOW %.2f", r.AtLeast)
	case r.above():
		return fmt.Sprintf("; ABOVE %.2f", r.AtMost)
	case r.AtLeast > 0:
		return fmt.Sprintf("; at least %.2f", r.AtLeast)
	case r.AtMost > 0:
		return fmt.Sprintf("; at most %.2f", r.AtMost)
	}
	return ""
}

// number writes whole numbers from 100 on with separated thousands, and
// smaller ones with two digits after the point.
func number(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// write writes the rows as a JSON array with one row on each line.
func write(path string, rows []row) error {
	var b bytes.Buffer
	for i, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		b.WriteString(map[bool]string{true: "[\n", false: ",\n"}[i == 0])
		b.Write(line)
	}
	if len(rows) == 0 {
		b.WriteString("[")
	}
	b.WriteString("\n]\n")
	return os.WriteFile(path, b.Bytes(), 0o644) //nolint:gosec // nothing in it is secret
}
