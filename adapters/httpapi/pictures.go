package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/practitioner"
)

// Pictures makes pictures of what is uploaded, and keeps them by what they are.
type Pictures interface {
	// Prepare makes a JPEG of an upload, and an id that it alone has. Errors:
	// [practitioner.ErrPicture], [practitioner.ErrPixels].
	Prepare(upload []byte) (id string, picture []byte, err error)
	// Put stores a picture; one that is there already stays.
	Put(ctx context.Context, id string, picture []byte) error
	// Get returns a picture's bytes, nil when there is no such picture.
	Get(ctx context.Context, id string) ([]byte, error)
}

const pictureType = "image/jpeg"

type pictureInput struct {
	ID      string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Version string `query:"v" maxLength:"64" doc:"As pictureUrl has it: the answer then never changes, and may be kept for ever"`
	Known   string `header:"If-None-Match" maxLength:"1000" doc:"The ETag of the picture that you have; the same one still is 304"`
}

type pictureOutput struct {
	Status      int
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag" doc:"Of this picture"`
	Caching     string `header:"Cache-Control" doc:"For how long it may be kept"`
	Sniffing    string `header:"X-Content-Type-Options"`
	Body        []byte
}

func (a *api) pictureRoutes() {
	command(a, operation{
		id: "setPicture", method: http.MethodPut, path: "/v1/practitioners/{id}/picture", tag: "Practitioners", upload: true,
		summary: "Set a practitioner's picture", refusals: []*domain.Error{practitioner.ErrNotFound, practitioner.ErrPicture, practitioner.ErrPixels},
		detail: "The body is a JPEG, PNG or WebP file of up to 10 MiB and 40 million pixels; what it is its content says. It is shown as a JPEG of at " +
			"most 512 pixels a side, upright, without what a camera notes besides, such as the place.",
	}, a.setPicture)
	command(a, operation{
		id: "removePicture", method: http.MethodDelete, path: "/v1/practitioners/{id}/picture", tag: "Practitioners",
		summary: "Remove a practitioner's picture", refusals: []*domain.Error{practitioner.ErrNotFound},
	}, a.removePicture)
	h := a.operation(operation{
		id: "getPicture", method: http.MethodGet, path: "/v1/practitioners/{id}/picture", tag: "Practitioners",
		summary: "Get a practitioner's picture",
	}, append(readRefusals(), practitioner.ErrNotFound, practitioner.ErrNoPicture), nil)
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	h.Responses["200"] = &huma.Response{Description: "The picture", Content: map[string]*huma.MediaType{pictureType: {Schema: binary}}}
	h.Responses["304"] = &huma.Response{Description: "You have it already"}
	huma.Register(a.huma, h, a.picture)
}

// uploadBody describes the body of a picture's upload.
func uploadBody() *huma.RequestBody {
	binary := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"image/jpeg": binary, "image/png": binary, "image/webp": binary}}
}

func (a *api) setPicture(ctx context.Context, req commands.Request, in *retireInput) (done[Practitioner], error) {
	id, shown, err := a.Pictures.Prepare(exchangeOf(ctx).body)
	if err != nil {
		return done[Practitioner]{}, err
	}
	if !req.DryRun {
		if err := a.Pictures.Put(ctx, id, shown); err != nil { // before anybody can ask for it
			return done[Practitioner]{}, err
		}
	}
	answer, err := a.Commands.ShowPicture(ctx, req, domain.PractitionerID(in.ID), id)
	return finish(answer, a.practitionerOf(answer.State), ""), err
}

func (a *api) removePicture(ctx context.Context, req commands.Request, in *retireInput) (done[Practitioner], error) {
	answer, err := a.Commands.RemovePicture(ctx, req, domain.PractitionerID(in.ID))
	return finish(answer, a.practitionerOf(answer.State), ""), err
}

func (a *api) picture(ctx context.Context, in *pictureInput) (*pictureOutput, error) {
	answer, err := a.Commands.Practitioner(ctx, domain.PractitionerID(in.ID))
	if err == nil && answer.State.Picture == "" {
		err = practitioner.ErrNoPicture
	}
	if err != nil {
		return nil, refused(ctx, err)
	}
	id := answer.State.Picture
	out := &pictureOutput{Status: http.StatusOK, ETag: `"` + id + `"`, Caching: "public, no-cache", Sniffing: "nosniff"}
	if in.Version == pictureVersion(id) {
		out.Caching = "public, max-age=31536000, immutable"
	}
	if knows(in.Known, out.ETag) {
		out.Status = http.StatusNotModified
		return out, nil
	}
	out.ContentType = pictureType
	if out.Body, err = a.Pictures.Get(ctx, id); err == nil && out.Body == nil {
		err = practitioner.ErrNoPicture
	}
	if err != nil {
		return nil, refused(ctx, err)
	}
	return out, nil
}

// knows reports whether an If-None-Match header names the tag (RFC 9110, section
// 13.1.2).
func knows(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

func pictureVersion(id string) string { return id[:min(16, len(id))] }

// pictureURL returns where a practitioner's picture is, "" without one.
func pictureURL(s practitioner.State) string {
	if s.Picture == "" {
		return ""
	}
	return "/v1/practitioners/" + string(s.ID) + "/picture?v=" + pictureVersion(s.Picture)
}
