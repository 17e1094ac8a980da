package httpapi

import (
	"bytes"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"
)

// humaConfig leaves to huma what it is good at, decoding and the document, and
// takes away what loads from elsewhere or adds to answers.
func (a *api) humaConfig() huma.Config {
	c := huma.DefaultConfig("Slotbook", a.Version)
	c.Info.Description = "An event-sourced booking engine for clinics. Every answer that is not a success is application/problem+json; " +
		"GET /problems lists every rule."
	c.Info.License = nil
	c.Servers = []*huma.Server{{URL: "/"}}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{ours}
	return c
}

// document returns the OpenAPI document, the same bytes for the same routes.
func (a *api) document() ([]byte, error) {
	compact, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, err
	}
	var document bytes.Buffer
	if err := json.Indent(&document, compact, "", "  "); err != nil {
		return nil, err
	}
	document.WriteByte('\n')
	return document.Bytes(), nil
}
