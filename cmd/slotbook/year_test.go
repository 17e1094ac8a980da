package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// TestAYearIsMadeUpAndItsClockMovedByHand starts a process with a generated
// year, moves its clock, and audits what is there.
func TestAYearIsMadeUpAndItsClockMovedByHand(t *testing.T) {
	t.Parallel()
	folder := dataDir(t)
	s := serve(t, "--demo", "--seed", "42", "--clock", "manual", "--data-dir", folder)
	until(t, "the lists", func() bool { return s.get("/readyz").status == http.StatusOK })
	require.Contains(t, s.logs.String(), "a year was made up")
	require.Contains(t, s.get("/v1/appointments?status=fulfilled&limit=1").text, `"fulfilled"`)
	require.Contains(t, s.get("/openapi.json").text, "/v1/demo/clock")

	before := s.get("/v1/demo/clock").text
	require.Equal(t, before, s.get("/v1/demo/clock").text, "it stands still")
	require.Equal(t, http.StatusOK, s.post("/v1/demo/clock", map[string]string{"advance": "P2D"}).status)
	require.Greater(t, s.get("/v1/demo/clock").text, before)
	require.Contains(t, s.get("/metrics").text, `slotbook_deadlines_total{kind="lapse",outcome="done"}`)
	back := s.post("/v1/demo/clock", map[string]string{"now": "2020-01-01T00:00:00Z"})
	require.Contains(t, back.text, "clock.backwards")
	until(t, "the days that two days have brought", func() bool { return strings.Contains(s.logs.String(), "days opened") })
	require.Equal(t, http.StatusOK, s.get("/readyz").status, "the clocks of the machines agree")

	require.Zero(t, s.stop(), s.logs)
	s = serve(t, "--demo", "--seed", "42", "--clock", "manual", "--data-dir", folder)
	require.Zero(t, s.stop(), "a year is a demonstration still")
	audited := execute(t, "audit", "--demo", "--data-dir", folder)
	require.Zero(t, audited.status, audited.out)
	require.Contains(t, execute(t, "audit", "--data-dir", folder).out, "with --demo", "the year was recorded in a minute")
}

// TestAClockIsMovedByHandInDemonstrationsOnly starts a process with such a clock
// over the small demo data, and over data of others.
func TestAClockIsMovedByHandInDemonstrationsOnly(t *testing.T) {
	t.Parallel()
	manual := []string{"--demo", "--clock", "manual", "--database-url"}
	url := demonstration(t)
	require.Zero(t, serve(t, append(manual, url)...).stop())

	url = postgrestest.EmptyDatabase(t)
	s := serve(t, "--database-url", url)
	s.patient("Ana")
	require.Zero(t, s.stop())
	require.Zero(t, serve(t, "--demo", "--database-url", url).stop(), "by the real clock it may be joined")
	refused := execute(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, append(manual, url)...)...)
	require.Equal(t, 2, refused.status, refused.err)
	require.Contains(t, refused.err, "this store was begun without demo data")
}
