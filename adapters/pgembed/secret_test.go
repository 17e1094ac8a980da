package pgembed

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyAMadeUpPasswordIsHashedOnce(t *testing.T) {
	t.Parallel()
	for password, begins := range map[string]string{rand.Text(): `^SCRAM-SHA-256\$1:`, "chosen": `^SCRAM-SHA-256\$4096:`} {
		secret, err := scramSecret(password)
		require.NoError(t, err)
		require.Regexp(t, begins, secret)
	}
}
