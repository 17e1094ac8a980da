package httpapi

import (
	"context"
	"net/http"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/projections"
)

// ClinicResource is a room or a device as the API shows it.
type ClinicResource struct {
	ID       string `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000006"`
	ClinicID string `json:"clinicId" doc:"Where it is"`
	Kind     string `json:"kind" enum:"room,device" example:"room"`
	Name     string `json:"name" example:"Room 1"`
	Retired  bool   `json:"retired" doc:"Booked no more"`
}

// ResourceBody is a new room or device.
type ResourceBody struct {
	ClinicID string `json:"clinicId" maxLength:"64" doc:"Where it is" example:"018f6b1e-0000-7000-8000-000000000001"`
	Kind     string `json:"kind" enum:"room,device" example:"room"`
	Name     string `json:"name" maxLength:"200" doc:"What people call it" example:"Room 1"`
}

// ResourceNameBody is another name.
type ResourceNameBody struct {
	Name string `json:"name" maxLength:"200" doc:"What people call it from now on" example:"Surgery"`
}

type addResourceInput struct {
	CommandParams
	Body ResourceBody
}

type renameResourceInput struct {
	CommandParams
	ID   string `path:"id" doc:"The room or device" example:"018f6b1e-0000-7000-8000-000000000006"`
	Body ResourceNameBody
}

type resourcesInput struct {
	ListParams
	ClinicID string `query:"clinicId" maxLength:"64" doc:"Only those of this clinic"`
	Kind     string `query:"kind" enum:"room,device" doc:"Only those of this kind" example:"room"`
	Retired  bool   `query:"retired" doc:"List retired ones, too"`
}

func (a *api) resourceRoutes() {
	command(a, operation{
		id: "addResource", method: http.MethodPost, path: "/v1/resources", tag: "Rooms and devices", creates: true,
		summary:  "Add a room or a device to a clinic",
		refusals: []*domain.Error{clinic.ErrNotFound, clinic.ErrClosed, resource.ErrExists, resource.ErrKind, resource.ErrNoName},
	}, a.addResource)
	command(a, operation{
		id: "renameResource", method: http.MethodPut, path: "/v1/resources/{id}", tag: "Rooms and devices",
		summary:  "Rename a room or a device",
		refusals: []*domain.Error{resource.ErrNotFound, resource.ErrRetired, resource.ErrNoName},
	}, a.renameResource)
	command(a, operation{
		id: "retireResource", method: http.MethodPost, path: "/v1/resources/{id}/retire", tag: "Rooms and devices",
		summary: "Take a room or a device out of use", detail: "For good. What is booked stays as it is.",
		refusals: []*domain.Error{resource.ErrNotFound},
	}, a.retireResource)
	one(a, operation{
		id: "getResource", method: http.MethodGet, path: "/v1/resources/{id}", tag: "Rooms and devices",
		summary: "Get a room or a device", refusals: []*domain.Error{resource.ErrNotFound},
	}, a.resource)
	list(a, operation{
		id: "listResources", method: http.MethodGet, path: "/v1/resources", tag: "Rooms and devices", summary: "List rooms and devices by name",
	}, a.resources)
}

func (a *api) addResource(ctx context.Context, req commands.Request, in *addResourceInput) (done[ClinicResource], error) {
	answer, err := a.Commands.AddResource(ctx, req, resource.Add{
		Resource: domain.ResourceID(a.newID(req, "resource")), Clinic: domain.ClinicID(in.Body.ClinicID), Kind: in.Body.Kind, Name: in.Body.Name,
	})
	return finish(answer, resourceState(answer.State), "/v1/resources/"+string(answer.State.ID)), err
}

func (a *api) renameResource(ctx context.Context, req commands.Request, in *renameResourceInput) (done[ClinicResource], error) {
	answer, err := a.Commands.RenameResource(ctx, req, domain.ResourceID(in.ID), resource.Rename{Name: in.Body.Name})
	return finish(answer, resourceState(answer.State), ""), err
}

func (a *api) retireResource(ctx context.Context, req commands.Request, in *retireInput) (done[ClinicResource], error) {
	answer, err := a.Commands.RetireResource(ctx, req, domain.ResourceID(in.ID))
	return finish(answer, resourceState(answer.State), ""), err
}

func (a *api) resource(ctx context.Context, in *byIDInput) (single[ClinicResource], error) {
	answer, err := a.Commands.Resource(ctx, domain.ResourceID(in.ID))
	return single[ClinicResource]{resourceState(answer.State), etag(answer.Revision), answer.Position}, err
}

func (a *api) resources(ctx context.Context, in *resourcesInput, p page[projections.NameCursor]) (found[ClinicResource, projections.NameCursor], error) {
	rows, err := a.Catalogue.Resources(ctx, projections.ResourceFilter{
		Clinic: domain.ClinicID(in.ClinicID), Kind: in.Kind, Retired: in.Retired, After: p.after, Limit: p.limit,
	}, in.atLeast())
	return shown(rows, err, func(r projections.Resource) (ClinicResource, error) {
		return ClinicResource{string(r.ID), string(r.Clinic), r.Kind, r.Name, r.Retired}, nil
	})
}

func resourceState(s resource.State) ClinicResource {
	return ClinicResource{string(s.ID), string(s.Clinic), s.Kind, s.Name, s.Retired}
}
