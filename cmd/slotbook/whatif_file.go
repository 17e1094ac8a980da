package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/commands/whatif"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
)

// changeFile is the file of what would have been different, in the words of the
// API.
type changeFile struct {
	EveryClinic   *httpapi.PolicyBody `json:"everyClinic"`
	Clinics       []changedClinic     `json:"clinics"`
	Practitioners []changedPerson     `json:"practitioners"`
	VisitTypes    []changedVisitType  `json:"visitTypes"`
}

type changedClinic struct {
	ID       string                `json:"clinicId"`
	Policy   *httpapi.PolicyBody   `json:"policy"`
	Calendar *httpapi.CalendarBody `json:"calendar"`
}

type changedPerson struct {
	ID        string              `json:"practitionerId"`
	Policy    *httpapi.PolicyBody `json:"policy"`
	Schedules []changedSchedule   `json:"schedules"`
}

type changedSchedule struct {
	ClinicID string `json:"clinicId"`
	httpapi.ScheduleBody
}

type changedVisitType struct {
	ID           string              `json:"visitTypeId"`
	Policy       *httpapi.PolicyBody `json:"policy"`
	Duration     *string             `json:"duration"`
	BufferBefore *string             `json:"bufferBefore"`
	BufferAfter  *string             `json:"bufferAfter"`
}

// errZone refuses a zone: all wall times are in that of their clinic.
var errZone = errors.New("zone is left out: it stays as it is")

// readChange reads a file of what would have been different. What it does not know
// it refuses by name.
func readChange(path string) (whatif.Change, error) {
	file, err := os.Open(path) //nolint:gosec // whoever runs the program names it
	if err != nil {
		return whatif.Change{}, err
	}
	defer file.Close()
	change, err := parseChange(file)
	if err != nil {
		return change, fmt.Errorf("%s: %w", path, err)
	}
	return change, nil
}

func parseChange(r io.Reader) (whatif.Change, error) {
	var f changeFile
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return whatif.Change{}, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return whatif.Change{}, errors.New("there is more than one JSON object")
	}
	c := whatif.Change{
		Policies: map[policy.Scope]policy.Terms{}, Calendars: map[domain.ClinicID]domain.Calendar{},
		Schedules: map[whatif.Place]schedule.Pattern{}, VisitTypes: map[domain.VisitTypeID]whatif.VisitTypeChange{},
	}
	var err error
	if f.EveryClinic != nil {
		if c.EveryClinic, err = f.EveryClinic.Terms(); err != nil {
			return c, fmt.Errorf("everyClinic: %w", err)
		}
	}
	for _, part := range []func(*whatif.Change) error{f.clinics, f.practitioners, f.visitTypes} {
		if err := part(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (f changeFile) clinics(c *whatif.Change) (err error) {
	for _, one := range f.Clinics {
		if err := setTerms(c, policy.OfClinic, one.ID, one.Policy); err != nil {
			return err
		}
		if one.Calendar == nil {
			continue
		}
		if one.Calendar.Zone != "" {
			return fmt.Errorf("the clinic %s: %w", one.ID, errZone)
		}
		for _, h := range one.Calendar.Hours {
			if err := checkWeekday(h.Weekday); err != nil {
				return fmt.Errorf("the clinic %s: %w", one.ID, err)
			}
		}
		if c.Calendars[domain.ClinicID(one.ID)], err = one.Calendar.Calendar(); err != nil {
			return fmt.Errorf("the clinic %s: %w", one.ID, err)
		}
	}
	return nil
}

func (f changeFile) practitioners(c *whatif.Change) error {
	for _, one := range f.Practitioners {
		if err := setTerms(c, policy.OfPractitioner, one.ID, one.Policy); err != nil {
			return err
		}
		for _, s := range one.Schedules {
			if s.Zone != "" {
				return fmt.Errorf("the practitioner %s: %w", one.ID, errZone)
			}
			for _, i := range s.Weekly {
				if err := checkWeekday(i.Weekday); err != nil {
					return fmt.Errorf("the practitioner %s: %w", one.ID, err)
				}
			}
			pattern, err := s.Pattern()
			if err != nil {
				return fmt.Errorf("the practitioner %s: %w", one.ID, err)
			}
			for i := range pattern.Weekly {
				pattern.Weekly[i].Capacity = max(1, pattern.Weekly[i].Capacity) // as over HTTP
			}
			at := whatif.Place{Practitioner: domain.PractitionerID(one.ID), Clinic: domain.ClinicID(s.ClinicID)}
			c.Schedules[at] = pattern
		}
	}
	return nil
}

func (f changeFile) visitTypes(c *whatif.Change) error {
	for _, one := range f.VisitTypes {
		if err := setTerms(c, policy.OfVisitType, one.ID, one.Policy); err != nil {
			return err
		}
		if one.Duration == nil && one.BufferBefore == nil && one.BufferAfter == nil {
			continue
		}
		var v whatif.VisitTypeChange
		for _, field := range []struct {
			text    *string
			minutes **int
		}{{one.Duration, &v.Duration}, {one.BufferBefore, &v.BufferBefore}, {one.BufferAfter, &v.BufferAfter}} {
			if field.text == nil {
				continue
			}
			minutes, err := httpapi.Minutes(*field.text)
			if err != nil {
				return fmt.Errorf("the visit type %s: %w", one.ID, err)
			}
			*field.minutes = &minutes
		}
		c.VisitTypes[domain.VisitTypeID(one.ID)] = v
	}
	return nil
}

func setTerms(c *whatif.Change, kind, id string, body *httpapi.PolicyBody) error {
	if id == "" {
		return fmt.Errorf("a %s is named by its id", kind)
	}
	if body == nil {
		return nil
	}
	terms, err := body.Terms()
	if err != nil {
		return fmt.Errorf("the policy of the %s %s: %w", kind, id, err)
	}
	c.Policies[policy.Scope{Kind: kind, ID: id}] = terms
	return nil
}

func checkWeekday(name string) error {
	if _, ok := domain.ParseWeekday(name); !ok {
		return fmt.Errorf("%q is no weekday: monday to sunday", name)
	}
	return nil
}
