package config

import (
	"bytes"
	_ "embed"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (2020-12) of the configuration file and of those that it
// includes, for editors: it knows every key and what it means, and what can be said of
// each value by itself. Load knows more, such as what refers to what.
func Schema() []byte { return bytes.Clone(schema) }
