package httpapi

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/danielgtaylor/huma/v2"
	fastjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
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
	c.Formats = map[string]huma.Format{"application/json": format, "json": format}
	c.Transformers = []huma.Transformer{ours}
	return c
}

// format is JSON with the meaning that encoding/json gives it, by its successor,
// which takes half the time.
var format = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		return fastjson.MarshalWrite(w, v, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false))
	},
	Unmarshal: func(data []byte, v any) error { return fastjson.Unmarshal(data, v, jsonv1.DefaultOptionsV1()) },
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
