package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counting returns a measure that answers the given rates in turn.
func counting(order *[]string, name string, rates ...float64) measure {
	return func(context.Context) (float64, error) {
		*order = append(*order, name)
		rate := rates[0]
		rates = rates[1:]
		return rate, nil
	}
}

func TestCandidatesAreMeasuredBetweenTheirBases(t *testing.T) {
	t.Parallel()
	var order []string
	base, candidate := counting(&order, "base", 0, 100, 300, 100), counting(&order, "candidate", 0, 100, 400)
	r, err := compare(t.Context(), 2, []measure{base}, []measure{candidate})
	require.NoError(t, err)
	require.Equal(t, "base candidate base candidate base candidate base", strings.Join(order, " "), "the first two only warm up")
	require.Equal(t, []float64{0.5, 2}, r.ratios(0, 0))
	row := r.row("appends", "appends/s", 0, "inserts", 0, 1.5)
	require.InDelta(t, 1.25, row.Ratio, 1e-9)
	require.True(t, row.below())
	require.Contains(t, row.line(false), "BELOW 1.50")
	require.NotContains(t, row.line(true), "BELOW", "a quick run gives no verdict")
}

func TestAFailedMeasureEndsTheComparison(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := compare(t.Context(), 1, []measure{func(context.Context) (float64, error) { return 0, broken }}, nil)
	require.ErrorIs(t, err, broken)
}

func TestRepeatEndsWhenThereIsNothingLeft(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 10)
	for range cap(left) {
		left <- struct{}{}
	}
	rate, err := repeat(t.Context(), 3, time.Hour, func(context.Context) error {
		select {
		case <-left:
			return nil
		default:
			return errUsedUp
		}
	})
	require.NoError(t, err)
	require.Positive(t, rate)
	require.Empty(t, left)
}

func TestRowsAreWrittenAsOneObjectALine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bench.json")
	rows := []row{{Name: "a", Value: 1, Unit: "ms"}, {Name: "b", Value: 2, Unit: "appends/s", Against: "c", AgainstValue: 1, Ratio: 2, AtLeast: 1.5}}
	for n := range len(rows) + 1 {
		require.NoError(t, write(path, rows[:n]))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var read []row
		require.NoError(t, json.Unmarshal(text, &read))
		require.Len(t, read, n)
		require.Len(t, strings.Split(strings.TrimSpace(string(text)), "\n"), n+2)
	}
}

func TestTheClientReadsAnswers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"HTTP/1.1 201 Created\r\nContent-Length: 12\r\nETag: \"1\"\r\n\r\n": "201 12",
		"HTTP/1.1 409 Conflict\r\ncontent-length:3\r\n\r\n":                 "409 3",
	} {
		c := &connection{reader: bufio.NewReader(strings.NewReader(text))}
		status, length, err := c.readHeader()
		require.NoError(t, err)
		got, err := json.Marshal([]int{status, length})
		require.NoError(t, err)
		require.Equal(t, want, strings.NewReplacer("[", "", "]", "", ",", " ").Replace(string(got)))
	}
	c := &connection{reader: bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\n\r\n"))}
	_, _, err := c.readHeader()
	require.Error(t, err, "an answer without a length would never end")
}

func TestEverySlotOfAWorldIsNamedOnce(t *testing.T) {
	t.Parallel()
	w := world{First: "2026-03-02", Practitioners: 3}
	seen := map[string]bool{}
	for n := range 2 * w.perDay() {
		seen[string(w.slotID(n))] = true
		require.Equal(t, w.slotID(n), w.slot(w.place(n)).ID)
	}
	require.Len(t, seen, 2*w.perDay())
}
