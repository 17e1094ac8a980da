package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT30M": 30 * time.Minute, "PT1H": time.Hour, "PT1H30M": 90 * time.Minute, "PT90M": 90 * time.Minute, "P1D": 24 * time.Hour,
		"P1DT2H": 26 * time.Hour, "PT45S": 45 * time.Second, "PT0S": 0,
	} {
		got, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, d := range map[string]time.Duration{"PT5M": 5 * time.Minute, "PT1H30M": 90 * time.Minute, "PT24H": 24 * time.Hour, "PT0M": 0} {
		require.Equal(t, text, formatDuration(d))
	}
	for _, text := range []string{
		"", "P", "PT", "30M", "PT30", "P30M", "PT30M1H", "PT-30M", "PT+30M", "PT1.5H", "pt30m", "PT30M ", "P1DT", "P1W", "PT99999999999999M", "PTM", "P1Y",
	} {
		_, err := parseDuration(text)
		require.ErrorIs(t, err, errDuration, text)
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"PT30M", "P1DT2H3M4S", "PT", "P999999999D"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err == nil && (d < 0 || text[0] != 'P') {
			t.Fatalf("%q is %v", text, d)
		}
	})
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	revision, err := parseIfMatch(`"3"`)
	require.NoError(t, err)
	require.Equal(t, domain.Revision(3), *revision)
	for _, text := range []string{"", "*"} {
		revision, err = parseIfMatch(text)
		require.NoError(t, err)
		require.Nil(t, revision)
	}
	for _, text := range []string{"3", `W/"3"`, `"3`, `3"`, `"-1"`, `"+3"`, `"03"`, `"3", "4"`, `""`, `"0.0"`, `"99999999999999999999"`} {
		_, err = parseIfMatch(text)
		require.Error(t, err, text)
		require.Equal(t, http.StatusBadRequest, problemOf(t.Context(), err).Status, text)
	}
}

func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{`"3"`, "*", `W/"3"`, `"`, `""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		revision, err := parseIfMatch(text)
		if err == nil && revision != nil && etag(*revision) != text {
			t.Fatalf("%q is revision %d", text, *revision)
		}
	})
}

func TestCursors(t *testing.T) {
	t.Parallel()
	by, err := newCursors([]byte("key"), "")
	require.NoError(t, err)
	place := projections.NameCursor{Name: "maria silva 351910000000", ID: "7"}
	text := formatCursor(by, "patients", place)
	require.NotContains(t, decoded(t, text), "maria", "a name has no place in an address")
	got, err := parseCursor[projections.NameCursor](by, "patients", text)
	require.NoError(t, err)
	require.Equal(t, place, got)
	require.Equal(t, text, formatCursor(by, "patients", place))
	_, err = parseCursor[projections.NameCursor](by, "clinics", text)
	require.Error(t, err)
	others, err := newCursors([]byte("another key"), "")
	require.NoError(t, err)
	_, err = parseCursor[projections.NameCursor](others, "patients", text)
	require.Error(t, err)
}

func decoded(t *testing.T, text string) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	return string(data)
}

func FuzzCursor(f *testing.F) {
	by, err := newCursors([]byte("key"), "")
	require.NoError(f, err)
	f.Add(formatCursor(by, "slots", projections.TimeCursor{ID: "1"}))
	f.Add("e30")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		place, err := parseCursor[projections.TimeCursor](by, "slots", text)
		if err == nil && text != "" && formatCursor(by, "slots", place) != text {
			t.Fatalf("%q was not given out", text)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a": [1, {"b": null}]}`, `{"a": 1, "a": 2}`, `{} {}`, `{"a": "\u0000"}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := checkJSON(body); err != nil && problemOf(t.Context(), err).Status >= http.StatusInternalServerError {
			t.Fatal(err)
		}
	})
}

func FuzzComposed(f *testing.F) {
	for _, seed := range []string{"{\"n\u0303\": \"\\n\u0303\"}", `["a\u0301", 12345678901234567890, "\ud800", "<"]`, "\"\u1112\u1169\u11bc\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkBody("application/json", body) != nil || len(body) == 0 {
			return
		}
		once := composed(body)
		var before, after any
		require.NoError(t, json.Unmarshal(body, &before))
		require.NoError(t, json.Unmarshal(once, &after))
		require.Equal(t, composedValue(before), after)
		require.Equal(t, once, composed(once))
	})
}
