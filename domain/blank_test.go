package domain_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slotbook/slotbook/domain"
)

func TestBlankIsWhatNobodySees(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "\t\n", "\u00a0", "\u200b", "\u200e \u2060", "\ufeff", "\u3164", "\u2800", "\x07"} {
		assert.True(t, domain.Blank(text), "%q", text)
	}
	for _, text := range []string{"a", " a ", "7", "-", "\u200bZoë", "김", "Ø", "👩‍⚕️", "e\u0301"} {
		assert.False(t, domain.Blank(text), "%q", text)
	}
}
