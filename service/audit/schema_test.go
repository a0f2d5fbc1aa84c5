package audit_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/audit"
)

// TestFieldsAreDocumented checks that the fields of a record, of the schema and of the
// documentation are the same. The service's tests validate records against the schema.
func TestFieldsAreDocumented(t *testing.T) {
	var schema struct {
		Properties map[string]struct {
			Const any
		}
	}
	if err := json.Unmarshal([]byte(contents(t, "schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	if schema.Properties["schema"].Const != float64(audit.Schema) {
		t.Errorf("the schema is of version %v, records are of %d", schema.Properties["schema"].Const, audit.Schema)
	}
	var fields []string
	for i := range reflect.TypeFor[audit.Record]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[audit.Record]().Field(i).Tag.Get("json"), ",")
		fields = append(fields, name)
	}
	text, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fields {
		found := false
		for line := range strings.Lines(string(text)) {
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
			found = found || strings.HasPrefix(line, "| ") && strings.Contains(cell, "`"+name+"`")
		}
		if !found {
			t.Errorf("docs/audit.md doesn't explain %s", name)
		}
	}
	slices.Sort(fields)
	if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, fields) {
		t.Errorf("the schema has\n%q, a record\n%q", got, fields)
	}
}
