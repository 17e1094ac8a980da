package main

import (
	"bufio"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

func TestAnAuditOfAPartSaysWhatItProves(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url)
	_, slots := clinicWith(s, 1, 1)
	who := s.patient("Ana")
	require.Equal(t, 201, s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": who}).status)
	require.Zero(t, s.stop(), s.logs)
	head := strconv.Itoa(oneRow[int](t, url, "select max(position) from slotbook.events"))
	until := succeeded(t, "audit", "--to", "3", "--database-url", url)
	require.Contains(t, until, "I1 to I5 hold: 3 events")
	require.Contains(t, until, "it does not prove: anything about what came later")
	from := succeeded(t, "audit", "--from", head, "--database-url", url)
	require.Contains(t, from, "nothing was found: 1 events")
	require.Contains(t, from, "began before position "+head)
	require.NotContains(t, succeeded(t, "audit", "--database-url", url), "prove")
	require.Contains(t, succeeded(t, "audit", "--json", "--database-url", url), `"proves":"the whole log holds"`)
	for _, args := range [][]string{{"--follow", "--to", "3"}, {"--from", "3", "--to", "2"}, {"--follow", "--every", "0s"}} {
		require.Equal(t, 2, execute(t, append([]string{"audit", "--database-url", url}, args...)...).status)
	}
}

func TestAnAuditFollowsTheLogUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url)
	s.patient("Ana")
	cmd := program(t, "audit", "--follow", "--every", "1ms", "--database-url", url)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "0 findings", "all is well so far")
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `
		insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
		select max(position) + 1, 'patient-gap', 5, gen_random_uuid(), (array_agg(type))[1], (array_agg(data))[1], (array_agg(metadata))[1], now()
		from slotbook.events
		where type = 'patient.registered'`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "log  ") { // a revision is missing
	}
	require.Contains(t, lines.Text(), "revision 0 was expected")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	var last string
	for lines.Scan() {
		last = lines.Text()
	}
	require.Error(t, cmd.Wait())
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Contains(t, last, "findings in ")
}
