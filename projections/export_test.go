package projections

// ListFreeSlots is the query of the list of free slots, and ListedModels the
// models that it is over.
const ListFreeSlots = judgedSlotQuery + free + `
	and s.start >= @now
order by s.start, s.slot
limit 50`

// For tests that look at the plan of a query.
var (
	ListedModels  = judgedModels
	SlotArguments = slotArguments
)
