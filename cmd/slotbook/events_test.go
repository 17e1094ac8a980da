package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
)

// printed reads the lines that a command has printed.
func printed(t *testing.T, done executed) []map[string]any {
	t.Helper()
	require.Zero(t, done.status, done.err)
	var lines []map[string]any
	for line := range strings.Lines(done.out) {
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &v), line)
		lines = append(lines, v)
	}
	return lines
}

func TestTheLogFromTheCommandLine(t *testing.T) {
	t.Parallel()
	at := []string{"--database-url", postgrestest.Database(t), "--data-dir", dataDir(t)}
	s := serve(t, at...)
	clinic, slots := clinicWith(s, 1, 1)
	ana := s.patient("Ana")
	booked := s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": ana, "reason": "knee"})
	require.Equal(t, 201, booked.status, booked.text)
	do := func(args ...string) executed { return execute(t, append(args, at...)...) }

	all := printed(t, do("events", "tail", "--no-follow"))
	require.Equal(t, "clinic.registered", all[0]["type"])
	last := all[len(all)-1]
	require.Equal(t, "appointment.booked", last["type"])
	require.Equal(t, "urn:slotbook:events", last["source"])
	require.Len(t, printed(t, do("events", "tail", "--no-follow", "--from", "2", "--to", "3")), 2)
	require.Equal(t, last, printed(t, do("events", "tail", "--no-follow", "--category", "appointment", "--from", last["time"].(string), "--type", "appointment.booked"))[0])
	require.Empty(t, printed(t, do("events", "tail", "--no-follow", "--to", all[0]["time"].(string))))

	patient := do("events", "tail", "--no-follow", "--stream", "patient-"+ana)
	require.NotContains(t, patient.out, "Ana")
	open := printed(t, do("events", "tail", "--no-follow", "--stream", "patient-"+ana, "--open"))
	require.Equal(t, "Ana", open[0]["data"].(map[string]any)["name"])
	for _, which := range []string{fmt.Sprint(len(all)), last["id"].(string)} {
		shown := do("events", "show", which)
		require.Zero(t, shown.status, shown.err)
		require.Contains(t, shown.out, last["id"])
	}
	require.Equal(t, 1, do("events", "show", "999999").status)
	require.Equal(t, 1, do("events", "show", "nothing").status)

	var counts []counted
	require.NoError(t, json.Unmarshal([]byte(do("events", "stats", "--json").out), &counts))
	require.Equal(t, len(all), counts[len(counts)-1].Events)
	schema := do("events", "schema")
	require.Zero(t, schema.status, schema.out+schema.err)
	require.Contains(t, schema.out, "$.claims[]")

	require.Equal(t, "booked", stateAt(t, do, "appointment-"+booked.field("id"))["status"])
	require.Equal(t, "proposed", stateAt(t, do, "appointment-"+booked.field("id"), "--revision", "0")["status"])
	for revision, fate := range map[string]string{"0": "pending", "1": "live"} {
		set := stateAt(t, do, "appointment-"+booked.field("id"), "--revision", revision)["sets"].([]any)[0].(map[string]any)
		require.Equal(t, fate, set["fate"])
		require.Equal(t, "in-decision", set["phase"])
	}
	require.Equal(t, clinic, stateAt(t, do, "clinic-"+clinic, "--at", "1")["id"])
	require.Equal(t, "Ana", stateAt(t, do, "patient-"+ana, "--at", last["time"].(string), "--open")["name"])
	require.Equal(t, 1, do("state", "patient-"+ana, "--at", "1").status, "there was nobody yet")
	require.Equal(t, 1, do("state", "patient-"+ana, "--revision", "7").status)
	require.Equal(t, 2, do("state", "patient-"+ana, "--revision", "0", "--at", "1").status)
	require.Equal(t, 2, do("state", "patient-"+ana, "--at", "yesterday").status)
}

func stateAt(t *testing.T, do func(args ...string) executed, args ...string) map[string]any {
	t.Helper()
	done := do(append([]string{"state"}, args...)...)
	require.Zero(t, done.status, done.err)
	var shown struct {
		State map[string]any `json:"state"`
	}
	require.NoError(t, json.Unmarshal([]byte(done.out), &shown))
	return shown.State
}

// TestATailFollows starts a tail, has something happen, and interrupts it.
func TestATailFollows(t *testing.T) {
	t.Parallel()
	at := []string{"--database-url", postgrestest.Database(t), "--data-dir", dataDir(t)}
	s := serve(t, at...)
	s.patient("Before")
	tail := program(t, append([]string{"events", "tail", "--category", "patient", "--open", "--from", "1"}, at...)...)
	out, err := tail.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, tail.Start())
	t.Cleanup(func() { _ = tail.Process.Kill() })
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "Before")
	s.patient("After")
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "After")
	require.NoError(t, tail.Process.Signal(syscall.SIGTERM))
	require.False(t, lines.Scan())
	require.NoError(t, tail.Wait())
}

func TestASchemaThatIsNotReadFails(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `
		insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
		values (1, 'slot-1', 0, gen_random_uuid(), 'slot.painted', '{"colour": "blue"}', '{}', now())`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	done := execute(t, "events", "schema", "--database-url", url)
	require.Equal(t, 1, done.status)
	require.Contains(t, done.out, "$.colour")
	require.Contains(t, done.out, "NOT READ: 1 events, first 1")
	require.Contains(t, execute(t, "events", "tail", "--no-follow", "--database-url", url).out, "slot.painted", "what is not known is passed on")
}

func TestAStateHasNamesAsEventsHave(t *testing.T) {
	t.Parallel()
	type Inner struct {
		OwnMoves int
		Start    time.Time `json:"start"`
	}
	type state struct {
		ID       string
		HTTPCode int
		Inner
		Lifted bool `json:"-"`
		Note   domain.Sealed
		Text   domain.Sealed
		None   *time.Time
		List   []Inner
		hidden int
	}
	s := state{ID: "a", Text: domain.Sealed{Person: "p", Box: "b"}, List: []Inner{{OwnMoves: 2}}, hidden: 1}
	require.Equal(t, map[string]any{
		"id": "a", "httpCode": 0, "ownMoves": 0, "lifted": false, "text": "open", "none": nil, "list": []any{map[string]any{"ownMoves": 2}},
	}, stateOf(reflect.ValueOf(s), func(domain.Sealed) any { return "open" }))
}
