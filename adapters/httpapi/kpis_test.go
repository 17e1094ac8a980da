package httpapi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
)

// tooMany are figures of more groups than an answer has.
type tooMany struct{ asked projections.KPIFilter }

func (f *tooMany) Figures(_ context.Context, asked projections.KPIFilter, _ time.Time, _ domain.Position) ([]projections.KPI, domain.Position, error) {
	f.asked = asked
	return nil, 0, projections.ErrKPIGroups
}

func TestKeyFiguresOfTooManyGroupsAreRefused(t *testing.T) {
	t.Parallel()
	figures := &tooMany{}
	w := newWorld(t, func(c *httpapi.Config) { c.KPIs = figures })
	answer := w.call(t, http.MethodGet, "/v1/kpis?from=2026-W01&to=2026-W53&clinicId=c&practitionerId=p&specialty=cardiology&by=week,practitioner", "")
	require.Equal(t, "kpis.groups", rule(t, answer))
	require.Equal(t, projections.KPIFilter{
		First: "2025-12-29", Last: "2027-01-03", Clinic: "c", Practitioner: "p", Specialty: "cardiology",
		By: projections.KPIDimensions{Week: true, Practitioner: true},
	}, figures.asked)
}
