package domain

// The typed ids. All are opaque; those of things that clients create are UUIDs
// in lower case.
type (
	// ClinicID names a clinic.
	ClinicID string
	// PractitionerID names a practitioner.
	PractitionerID string
	// PatientID names a patient.
	PatientID string
	// VisitTypeID names a visit type.
	VisitTypeID string
	// SeriesID names a series of visits.
	SeriesID string
	// ResourceID names a resource: a room or a device.
	ResourceID string
	// WishID names a wish of the waiting list.
	WishID string
	// OfferID names an offer of the waiting list: the appointment, and which set of
	// its claims is offered.
	OfferID string
	// AppointmentID names an appointment.
	AppointmentID string
	// SlotID names a slot. It carries its practitioner and UTC day, so that
	// the day's stream is found without a look-up.
	SlotID string
)

// ErrBadID refuses text that is not a UUID in lower case.
var ErrBadID = Refusal(Invalid, "id.malformed", "an id is a UUID in lower case")

// CheckID returns [ErrBadID] unless id is a UUID in its canonical form.
func CheckID(id string) error {
	if len(id) != 36 {
		return ErrBadID
	}
	for i, c := range []byte(id) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		hexadecimal := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if hyphen != (c == '-') || !hyphen && !hexadecimal {
			return ErrBadID
		}
	}
	return nil
}
