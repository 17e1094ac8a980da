package commands

import (
	"context"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/resource"
)

var resources = aggregate[resource.State, resource.Command, resource.Event]{resource.Decide, resource.Evolve}

// AddResource makes a room or a device of a clinic known. Errors:
// [clinic.ErrNotFound], [clinic.ErrClosed], the refusals of package resource, and those of every
// command.
func (h *Handler) AddResource(ctx context.Context, req Request, c resource.Add) (Answer[resource.State], error) {
	return handle(ctx, h, req, resource.Stream(c.Resource), resources, resource.Command(c), clinicExists(c.Clinic))
}

// RenameResource gives a room or a device another name. Errors: the refusals of
// package resource, and those of every command.
func (h *Handler) RenameResource(ctx context.Context, req Request, id domain.ResourceID, c resource.Rename) (Answer[resource.State], error) {
	return handle(ctx, h, req, resource.Stream(id), resources, resource.Command(c), unguarded)
}

// RetireResource takes a room or a device out of use. Errors:
// [resource.ErrNotFound], and those of every command.
func (h *Handler) RetireResource(ctx context.Context, req Request, id domain.ResourceID) (Answer[resource.State], error) {
	return handle(ctx, h, req, resource.Stream(id), resources, resource.Command(resource.Retire{}), unguarded)
}

// Resource returns a room or a device as its stream says, a retired one too.
// Errors: [resource.ErrNotFound].
func (h *Handler) Resource(ctx context.Context, id domain.ResourceID) (Answer[resource.State], error) {
	return read(ctx, h, resource.Stream(id), resource.Evolve, resource.ErrNotFound)
}
