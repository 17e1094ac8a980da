package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// exposed is what a process exposes at /metrics: the labels of each series.
type exposed map[string]map[string]bool

var sample = regexp.MustCompile(`(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)

// label matches a label and its value, in which there may be anything but an
// open quotation mark.
var label = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)

func exposedBy(s *server) exposed {
	found := exposed{}
	for _, line := range sample.FindAllStringSubmatch(s.get("/metrics").text, -1) {
		labels := found[line[1]]
		if labels == nil {
			labels = map[string]bool{}
			found[line[1]] = labels
		}
		for _, l := range label.FindAllStringSubmatch(line[2], -1) {
			labels[l[1]] = true
			labels[l[1]+"="+l[2]] = true
		}
	}
	return found
}

// missing says what the program does not expose of what an expression needs.
func (e exposed) missing(x expression) []string {
	var none []string
	for _, s := range x.Series {
		if s.Metric == "up" { // Prometheus' own
			continue
		}
		labels, there := e[s.Metric]
		if !there {
			none = append(none, x.Of+": "+s.Metric)
			continue
		}
		for _, l := range s.Labels {
			if !labels[l] && l != "job" && l != "instance" { // which Prometheus adds
				none = append(none, x.Of+": "+s.Metric+" has no label "+l)
			}
		}
	}
	return none
}

// expression is an expression of PromQL as promqlread prints it.
type expression struct {
	File, Of, Text string
	Series         []struct {
		Metric string
		Labels []string
	}
}

// expressions returns what the files ask for, as Prometheus' own parser reads them.
func expressions(t *testing.T, files ...string) []expression {
	t.Helper()
	reader := filepath.Join(t.TempDir(), "promqlread")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../../.ci/promqlread", "-o", reader, ".")
	said, err := build.CombinedOutput()
	require.NoError(t, err, string(said))
	var stderr strings.Builder
	read := exec.CommandContext(t.Context(), reader, files...) //nolint:gosec // what was just built
	read.Stderr = &stderr
	printed, err := read.Output()
	require.NoError(t, err, stderr.String())
	var all []expression
	for lines := json.NewDecoder(strings.NewReader(string(printed))); ; {
		var x expression
		if err := lines.Decode(&x); err == io.EOF {
			return all
		} else if err != nil {
			require.NoError(t, err)
		}
		require.NotEmpty(t, x.Series, x.Of)
		all = append(all, x)
	}
}

const (
	alertRules = "../../deployments/prometheus/alerts.yml"
	dashboard  = "../../deployments/grafana/slotbook.json"
)

// TestAlertsAndTheDashboardAskForWhatTheProgramExposes starts the program, lets
// everything happen once that is counted, and compares.
func TestAlertsAndTheDashboardAskForWhatTheProgramExposes(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url)
	_, slots := clinicWith(s, 1, 1)
	wish := map[string]any{"slotId": slots[0], "patientId": s.patient("Ana")}
	require.Equal(t, http.StatusCreated, s.post("/v1/appointments", wish).status)
	require.Equal(t, http.StatusConflict, s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": s.patient("Rui")}).status)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `
		insert into slotbook.projection_checkpoint (schema, model, version, position, epoch)
		select schema || '_next', model, version, 1, 1
		from slotbook.projection_checkpoint
		where model = 'appointments'`) // a rebuild was interrupted
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	has := exposedBy(s)
	all := expressions(t, alertRules, dashboard)
	for _, x := range all {
		require.Empty(t, has.missing(x), "%s: %s", x.File, x.Text)
	}
	require.NotEmpty(t, has.missing(expression{Series: all[1].Series, Of: "x"}.renamed("slotbook_never_heard_of")), "the comparison can fail")
	for _, name := range []string{
		"slotbook_ready", "slotbook_projection_lag_events", "slotbook_projection_lag_seconds", "slotbook_projection_parked", "slotbook_projection_state",
		"slotbook_projection_rebuild_left_events", "slotbook_projection_rebuild_running", "slotbook_streams", "slotbook_append_seconds_bucket",
		"slotbook_http_request_duration_seconds_bucket", "slotbook_holds_total",
		"slotbook_reaction_lag_events", "slotbook_reactions_total", "slotbook_reaction_retries_total", "slotbook_reaction_parked", "slotbook_reaction_running",
		"slotbook_reaction_latency_seconds_bucket", "slotbook_webhook_tries_total", "slotbook_webhooks", "slotbook_webhook_pending", "slotbook_webhook_oldest_seconds",
	} {
		require.True(t, slices.ContainsFunc(all, func(x expression) bool {
			return strings.HasSuffix(x.File, ".json") && slices.ContainsFunc(x.Series, func(s struct {
				Metric string
				Labels []string
			},
			) bool {
				return s.Metric == name
			})
		}), "the dashboard does not show %s", name)
	}
}

func (x expression) renamed(metric string) expression {
	x.Series = slices.Clone(x.Series)
	x.Series[0].Metric = metric
	return x
}

// TestEachAlertIsExplained compares the rules with docs/monitoring.md.
func TestEachAlertIsExplained(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile(alertRules)
	require.NoError(t, err)
	guide, err := os.ReadFile("../../docs/monitoring.md")
	require.NoError(t, err)
	var alerts, explained []string
	for lines := bufio.NewScanner(strings.NewReader(string(rules))); lines.Scan(); {
		if _, name, ok := strings.Cut(lines.Text(), "- alert: "); ok {
			alerts = append(alerts, name)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Slotbook\\w+)` \\|").FindAllStringSubmatch(string(guide), -1) {
		explained = append(explained, row[1])
	}
	require.NotEmpty(t, alerts)
	require.Equal(t, alerts, explained)
}

// TestEachMetricIsExplained compares what the program exposes with docs/monitoring.md.
func TestEachMetricIsExplained(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/monitoring.md")
	require.NoError(t, err)
	s := serve(t, "--database-url", postgrestest.Database(t))
	for _, help := range regexp.MustCompile(`(?m)^# HELP (slotbook_\w+) (.*)$`).FindAllStringSubmatch(s.get("/metrics").text, -1) {
		require.Contains(t, string(guide), "`"+help[1], "docs/monitoring.md says nothing of it")
		require.Regexp(t, `\.$`, help[2], "a help text is a sentence")
	}
}
