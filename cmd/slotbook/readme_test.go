package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheREADMEIsTrue runs the README's own lines against a server with demo
// data: the first three book an appointment and show it, the fourth is refused.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "grep", "cut", "tail"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the README's lines need %s, which is not here", tool)
		}
	}
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	s := serve(t, "--demo", "--data-dir", dataDir(t))
	until(t, "the demo data", func() bool {
		return strings.Contains(s.get("/v1/slots?limit=1&practitionerId="+demoSilva).text, `"free"`)
	})
	var script []string
	for line := range strings.Lines(string(readme)) {
		if code, ok := strings.CutPrefix(line, "    "); ok && strings.Contains(code, "curl ") {
			script = append(script, strings.ReplaceAll(code, "http://127.0.0.1:8080", s.base))
		}
	}
	require.Len(t, script, 4, "three lines that book, and one that is refused")
	out, err := exec.Command("bash", "-ec", strings.Join(script, "echo\n")).CombinedOutput() //nolint:gosec // the README's own lines
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), `"status":"booked"`)
	require.Contains(t, string(out), `"rule":"slot.taken"`)
	require.Contains(t, string(out), `"alternatives":[{`)
	require.Zero(t, s.stop(), s.logs)
}
