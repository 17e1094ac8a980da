package resource_test

import (
	"testing"

	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/resource"
)

var (
	spec    = domaintest.Spec[resource.State, resource.Command, resource.Event]{Decide: resource.Decide, Evolve: resource.Evolve}
	add     = resource.Add{Resource: "r", Clinic: "c", Kind: resource.Room, Name: "Room 1"}
	added   = resource.Added{Resource: "r", Clinic: "c", Kind: resource.Room, Name: "Room 1", Arbiter: resource.Occupancy}
	renamed = resource.Renamed{Resource: "r", Clinic: "c", Name: "Surgery"}
	retired = resource.WasRetired{Resource: "r", Clinic: "c"}
)

func with(change func(*resource.Add)) resource.Add {
	a := add
	change(&a)
	return a
}

func TestAdd(t *testing.T) {
	t.Parallel()
	t.Run("makes a room known, and who arbitrates its time",
		spec.Given().When(add).Then(added))
	t.Run("of what is there already decides nothing",
		spec.Given(added).When(add).Then())
	t.Run("of a known id with another name is refused",
		spec.Given(added).When(with(func(a *resource.Add) { a.Name = "Room 2" })).ThenRefuse(resource.ErrExists))
	t.Run("of a known id at another clinic is refused",
		spec.Given(added).When(with(func(a *resource.Add) { a.Clinic = "d" })).ThenRefuse(resource.ErrExists))
	t.Run("of a known id as a device is refused",
		spec.Given(added).When(with(func(a *resource.Add) { a.Kind = resource.Device })).ThenRefuse(resource.ErrExists))
	t.Run("of neither a room nor a device is refused",
		spec.Given().When(with(func(a *resource.Add) { a.Kind = "garden" })).ThenRefuse(resource.ErrKind))
	t.Run("without a name is refused",
		spec.Given().When(with(func(a *resource.Add) { a.Name = " " })).ThenRefuse(resource.ErrNoName))
}

func TestRename(t *testing.T) {
	t.Parallel()
	t.Run("gives another name",
		spec.Given(added).When(resource.Rename{Name: "Surgery"}).Then(renamed))
	t.Run("to the name in use decides nothing",
		spec.Given(added, renamed).When(resource.Rename{Name: "Surgery"}).Then())
	t.Run("to no name is refused",
		spec.Given(added).When(resource.Rename{Name: " "}).ThenRefuse(resource.ErrNoName))
	t.Run("of nothing is refused",
		spec.Given().When(resource.Rename{Name: "Surgery"}).ThenRefuse(resource.ErrNotFound))
	t.Run("of what is out of use is refused",
		spec.Given(added, retired).When(resource.Rename{Name: "Surgery"}).ThenRefuse(resource.ErrRetired))
}

func TestRetire(t *testing.T) {
	t.Parallel()
	t.Run("takes a room out of use",
		spec.Given(added).When(resource.Retire{}).Then(retired))
	t.Run("of what is out of use decides nothing",
		spec.Given(added, retired).When(resource.Retire{}).Then())
	t.Run("of nothing is refused",
		spec.Given().When(resource.Retire{}).ThenRefuse(resource.ErrNotFound))
}
