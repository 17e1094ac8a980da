package export

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/quota"
)

// persons hides who somebody is.
type persons struct {
	key []byte // of the hashes that stand for persons; nil = nothing does
}

// String says what became of persons, for the manifest: with pseudonyms, a
// fingerprint of their key.
func (p persons) String() string {
	if p.key == nil {
		return "left out"
	}
	return "pseudonyms " + Pseudonym(p.key, "")[:8]
}

// Pseudonym returns what stands for a person under a key: 32 hexadecimal digits
// of HMAC-SHA-256 (RFC 2104).
func Pseudonym(key []byte, id string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// person returns what stands for a person: "" when persons are left out.
func (p persons) person(id string) string {
	if p.key == nil || id == "" {
		return ""
	}
	return Pseudonym(p.key, id)
}

// stream returns the name of a stream without the person that it names.
func (p persons) stream(name domain.StreamName) domain.StreamName {
	switch name.Category() {
	case "patient":
		return domain.Stream("patient", p.person(name.ID()))
	case occupancy.Category:
		return p.subject(occupancy.SubjectOf(name)).Stream(occupancy.DayOf(name))
	case quota.Category:
		if q, ok := quota.Parse(name); ok {
			return p.quota(q).Stream()
		}
	}
	return name
}

func (p persons) subject(s occupancy.Subject) occupancy.Subject {
	if s.Kind == "patient" {
		s.ID = p.person(s.ID)
	}
	return s
}

func (p persons) quota(q quota.Quota) quota.Quota {
	if who := q.Patient(); who != "" {
		return q.For(domain.PatientID(p.person(string(who))))
	}
	return q
}

// mask returns a copy of an event, or of a part of it, in which no person is
// named.
func (p persons) mask(v reflect.Value) reflect.Value {
	switch x := v.Interface().(type) {
	case domain.PatientID:
		return reflect.ValueOf(domain.PatientID(p.person(string(x))))
	case domain.StreamName:
		return reflect.ValueOf(p.stream(x))
	case domain.Sealed:
		return reflect.ValueOf(domain.Sealed{})
	case occupancy.Subject:
		return reflect.ValueOf(p.subject(x))
	case quota.Quota:
		return reflect.ValueOf(p.quota(x))
	case time.Time:
		return v
	}
	switch v.Kind() {
	case reflect.Struct:
		masked := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			masked.Field(i).Set(p.mask(v.Field(i)))
		}
		return masked
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		masked := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			masked.Index(i).Set(p.mask(v.Index(i)))
		}
		return masked
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		masked := reflect.New(v.Type().Elem())
		masked.Elem().Set(p.mask(v.Elem()))
		return masked
	}
	return v
}
