package reactions

import "context"

// Look does everything that is due now, and returns when there is more.
func (d *Deadlines) Look(ctx context.Context) Agenda { return d.look(ctx) }
