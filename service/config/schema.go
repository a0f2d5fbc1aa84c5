package config

import (
	"bytes"
	_ "embed"
)

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of the configuration file and of included files. It is
// for editors. It describes every key, and constrains each value separately. [Load] checks more,
// such as references between values.
func Schema() []byte { return bytes.Clone(schema) }
