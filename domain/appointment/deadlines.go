package appointment

// The kinds of the deadlines of an appointment, as [domain.Deadline] names them.
const (
	DueLapse  = "lapse"   // a pending set is to be ended: send [Lapse]
	DueNoShow = "no-show" // the patient has not come: send [GiveUp]
)
