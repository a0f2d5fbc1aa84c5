package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/policy"
)

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("deskmint.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("deskmint.schema.json") // which holds it against its own schema
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate validates a document against the schema. It leaves out empty texts, because the parser
// treats them like missing values and the schema doesn't allow them for each key.
func validate(s *jsonschema.Schema, text string) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	if v == nil {
		v = map[string]any{}
	}
	return s.Validate(withoutEmptyText(v))
}

func withoutEmptyText(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == "" {
				delete(v, key)
			} else {
				v[key] = withoutEmptyText(value)
			}
		}
	case time.Time: // as editors read a date without quotes
		return v.Format(time.RFC3339)
	case []any:
		for i := range v {
			v[i] = withoutEmptyText(v[i])
		}
	}
	return v
}

// TestSchemaRefuses shows what the schema refuses, because editors use only the schema.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	if err := validate(s, minimal); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, with string }{
		{"callers:", "callerz:"},
		{"subdomain: acme,", "subdomian: acme,"},
		{`id: "360001"`, "id: 360001"},
		{`id: "360001"`, `id: acme`},
		{"subdomain: acme", "subdomain: Acme"},
		{"[help.acme.com]}", "['https://help.acme.com']}"},
		{"name: acme-customers", "name: Acme"},
		{"name: acme-customers", "name: acme-"},
		{"    secret: {path: sso/acme-customers}\n", ""},
		{"audiences: [end_user]", "audiences: []"},
		{"audiences: [end_user]", "audiences: [end_user, end_user]"},
		{"audiences: [end_user]", "audiences: [admins]"},
		{"audiences: [end_user]", "audiences: [end_user]\n      on_bad_return_to: ignore"},
		{"audiences: [end_user]", "audiences: [end_user]\n      on_invalid_optional: drop"},
		{"audiences: [end_user]", "audiences: [end_user]\n      on_invalid_optional: {phone: drop}"},
		{"audiences: [end_user]", "audiences: [end_user]\n      on_invalid_optional: {role: omit}"},
		{"audiences: [end_user]", "audiences: [end_user]\n      on_invalid_optional: [phone]"},
		{"audiences: [end_user]", "audiences: [end_user]\n      email_forms: [quoted]"},
		{"audiences: [end_user]", "audiences: [end_user]\n      email_forms: carrier_dots"},
		{"audiences: [end_user]", "audiences: [end_user]\n      email_forms: [carrier_dots, carrier_dots]"},
		{"audiences: [end_user]", "audiences: [end_user]\n      origins: ['https://a.example/path']"},
		{"subdomain: acme,", "subdomain: acme, page: {start: //evil.example},"},
		{"subdomain: acme,", "subdomain: acme, page: {start: 'http://acme.com'},"},
		{"subdomain: acme,", "subdomain: acme, page: {start: login},"},
		{"secret: {", "max_stale: 12\n    secret: {"},
		{"secret: {", "max_stale: 12 h\n    secret: {"},
		{"secret: {", "loop: {limit: 1}\n    secret: {"},
		{"secret: {", "loop: {limit: 101}\n    secret: {"},
		{"source: file", "source: keychain"},
		{"source: file", "source: vault"},
		{
			"source: file",
			`source: vault
  vault: {addresses: ['https://v'], skip_verify: 'yes', auth: {method: token}}`,
		},
		{"  file: {path: secrets.yaml}\n", ""},
		{"source: file", "source: file\n  max_rate: 0"},
		{"source: file", "source: file\n  refresh: '10'"},
		{"listen: {grpc", "tls: {certificate: a}\nlisten: {grpc"},
		{"listen: {grpc", "tls: {}\nlisten: {grpc"},
		{"listen: {grpc", "expect: {configurations: -1}\nlisten: {grpc"},
		{"listen: {grpc", "expect: {callers: all}\nlisten: {grpc"},
		{"listen: {grpc", "expect: {brands: 1}\nlisten: {grpc"},
		{"listen: {grpc", "clock: {references: [time.example]}\nlisten: {grpc"},
		{"listen: {grpc", "include: [{optional: true}]\nlisten: {grpc"},
		{"listen: {grpc", "include: [{path: x, optional: 1}]\nlisten: {grpc"},
		{"listen: {grpc", "include: [7]\nlisten: {grpc"},
		{"listen: {grpc", "tls: {client_ca: a, allow_plaintext: true}\nlisten: {grpc"},
		{"listen: {grpc", "tls: {certificate: a, key: b, allow_plaintext: true}\nlisten: {grpc"},
		{"127.0.0.1:9090", "127.0.0.1"},
		{storefrontHash, "dmk_dev"},
		{"      - api_key_sha256:", "      - mtls_dns: a.example\n        api_key_sha256:"},
		{"      - api_key_sha256:", "      - {}\n      - api_key_sha256:"},
		{"      - api_key_sha256:", "      - jwt: {issuer: a}\n      - api_key_sha256:"},
		{"      - api_key_sha256:", "      - not_after: tomorrow\n        api_key_sha256:"},
		{"      - api_key_sha256:", "      - not_after: '2027-01-31 18:00:00'\n        api_key_sha256:"},
		{"      - api_key_sha256:", "      - name: Checkout\n        api_key_sha256:"},
		{"      - api_key_sha256:", "      - owner: " + strings.Repeat("x", 101) + "\n        api_key_sha256:"},
		{"      - api_key_sha256:", "      - name: a\n      - api_key_sha256:"},
		{"roles: [end_user]", "roles: [owner]"},
		{"roles: [end_user]", "roles: []"},
		{"        roles: [end_user]\n", ""},
		{"actions: [sign_in, read]", "actions: [mint]"},
		{"actions: [sign_in, read]", "actions: []"},
		{"allow: [\"*\"]", "deny: [\"*\"]"},
		{"allow: [\"*\"]", "allow: [acme]"},
		{"roles: [end_user]", "roles: [end_user]\n        claims: {jti: any}"},
		{"roles: [end_user]", "roles: [end_user]\n        claims: {phone: every}"},
		{"roles: [end_user]", "roles: [end_user]\n        claims: {phone: {prefix: '', suffix: x}}"},
		{"roles: [end_user]", "roles: [end_user]\n        claims: {clear_tags: [x]}"},
		{"roles: [end_user]", "roles: [end_user]\n        rate: {burst: 1}"},
		{"roles: [end_user]", "roles: [end_user]\n        rate: {per_second: 1000001}"},
		{"roles: [end_user]", "roles: [end_user]\n        team_rate: {per_second: 0}"},
		{"roles: [end_user]", "roles: [end_user]\n        team_rate: {per_second: 1, burst: 1000001}"},
		{"secret: {", "user_rate: {burst: 1}\n    secret: {"},
		{"secret: {", "user_rate: {per_minute: -1}\n    secret: {"},
		{"secret: {", "user_rate: {per_minute: 1, burst: 1000001}\n    secret: {"},
		{"roles: [end_user]", "roles: [end_user]\n        protected: 1"},
	} {
		text := change(t, test.old, test.with)
		if validate(s, text) == nil {
			t.Errorf("the schema accepts %q in place of %q", test.with, test.old)
		}
		if _, err := Parse("deskmint.yaml", []byte(text), Options{}); err == nil {
			t.Errorf("Parse accepts %q in place of %q, which the schema refuses", test.with, test.old)
		}
	}
}

// TestSchemaHasTheKeysOfTheTypes compares the types of a file with the schema. Both must have the
// same keys with the same kinds of values.
func TestSchemaHasTheKeysOfTheTypes(t *testing.T) {
	var root node
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	compare(t, root.Defs, "", reflect.TypeFor[File](), root)
}

// node is the part of a schema that the test compares.
type node struct {
	Ref                  string          `json:"$ref"`
	Type                 any             `json:"type"`
	Description          string          `json:"description"`
	Enum                 []any           `json:"enum"`
	Items                *node           `json:"items"`
	Properties           map[string]node `json:"properties"`
	AdditionalProperties any             `json:"additionalProperties"`
	Defs                 map[string]node `json:"$defs"`
}

func compare(t *testing.T, defs map[string]node, path string, goType reflect.Type, n node) {
	if n.Ref != "" {
		n = defs[strings.TrimPrefix(n.Ref, "#/$defs/")]
	}
	want := ""
	switch kind := goType.Kind(); {
	case goType == reflect.TypeFor[Include](): // the path alone, or a block
		compareKeys(t, defs, path, goType, n)
		if fmt.Sprint(n.Type) != "[string object]" {
			t.Errorf("%s: the schema has type %v", path, n.Type)
		}
		return
	case goType == reflect.TypeFor[time.Duration](), goType == reflect.TypeFor[time.Time](), kind == reflect.String:
		want = "string"
	case kind == reflect.Interface: // one word, or a block
		if fmt.Sprint(n.Type) != "[string object]" {
			t.Errorf("%s: the schema has type %v", path, n.Type)
		}
		return
	case kind == reflect.Pointer:
		compare(t, defs, path, goType.Elem(), n)
		return
	case kind == reflect.Struct:
		want = "object"
		compareKeys(t, defs, path, goType, n)
	case kind == reflect.Slice:
		want = "array"
		if n.Items == nil {
			t.Errorf("%s: the schema has no items", path)
		} else {
			compare(t, defs, path+"[]", goType.Elem(), *n.Items)
		}
	case goType == reflect.TypeFor[map[string]any]():
		want = "object"
	case kind == reflect.Bool:
		want = "boolean"
	case kind == reflect.Int:
		want = "integer"
	case kind == reflect.Float64:
		want = "number"
	default:
		t.Errorf("%s: files can't set a %s", path, goType)
	}
	if n.Type != want && (want != "string" || n.Enum == nil) {
		t.Errorf("%s: the schema has type %v, the Go type is %s", path, n.Type, want)
	}
}

func compareKeys(t *testing.T, defs map[string]node, path string, goType reflect.Type, n node) {
	if n.AdditionalProperties != false {
		t.Errorf("%s: the schema takes any key", path)
	}
	fields := yamlfile.Fields(goType)
	for _, key := range sortedKeys(n.Properties) {
		if _, ok := fields[key]; !ok {
			t.Errorf("%s.%s is in the schema only", path, key)
		}
	}
	for _, key := range sortedKeys(fields) {
		property, ok := n.Properties[key]
		if !ok {
			t.Errorf("%s.%s is missing from the schema", path, key)
			continue
		}
		if property.Description == "" && defs[strings.TrimPrefix(property.Ref, "#/$defs/")].Description == "" {
			t.Errorf("%s.%s has no description", path, key)
		}
		compare(t, defs, path+"."+key, goType.FieldByIndex(fields[key]).Type, property)
	}
	// The decoder ignores a field without a tag, so a file couldn't set it.
	for _, f := range reflect.VisibleFields(goType) {
		if f.IsExported() && f.Tag.Get("yaml") == "" {
			t.Errorf("%s: field %s has no key", path, f.Name)
		}
	}
}

func TestSchemaHasTheClaimsOfThePolicy(t *testing.T) {
	var root node
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	claims := sortedKeys(root.Defs["grant"].Properties["claims"].Properties)
	want := []string{
		policy.ClaimExternalID, policy.ClaimCustomRoleID, policy.ClaimLocaleID, policy.ClaimOrganizations,
		policy.ClaimOrganizationIDs, policy.ClaimPhone, policy.ClaimTags, policy.ClaimRemotePhotoURL,
		policy.ClaimUserFields, policy.ClaimClearTags, policy.ClaimClearUserFields,
	}
	if slices.Sort(want); !slices.Equal(claims, want) {
		t.Errorf("claims %v, want %v", claims, want)
	}
	for _, claim := range claims {
		policy.GrantSettings{Claims: map[string]any{claim: "any"}}.Check(func(key, message string) {
			if strings.HasPrefix(key, "claims") {
				t.Errorf("%s %s", key, message)
			}
		})
	}
}

// TestSchemaDefaults compares the defaults in the schema with those of the parser.
func TestSchemaDefaults(t *testing.T) {
	var root struct {
		Defs map[string]struct {
			Properties map[string]struct {
				Default    any
				Properties map[string]struct{ Default any }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	s := parsed(t, strings.TrimPrefix(minimal, `listen: {grpc: "127.0.0.1:9090"}`), Options{})
	c, _ := s.Configuration("acme-customers")
	listen := root.Defs["listen"].Properties
	store := root.Defs["secrets"].Properties
	configuration := root.Defs["configuration"].Properties
	for key, pair := range map[string][2]any{
		"grpc":      {listen["grpc"].Default, s.Listen.GRPC},
		"http":      {listen["http"].Default, s.Listen.HTTP},
		"ops":       {listen["ops"].Default, s.Listen.Ops},
		"refresh":   {store["refresh"].Default, s.Secrets.Refresh},
		"max_rate":  {store["max_rate"].Default, s.Secrets.MaxRate},
		"max_stale": {fmt.Sprint(store["max_stale"].Default) + "0m0s", s.Secrets.MaxStale},
		"field":     {configuration["secret"].Properties["field"].Default, c.Secret.Field},
		"limit":     {configuration["loop"].Properties["limit"].Default, c.LoopLimit},
		"window":    {configuration["loop"].Properties["window"].Default, fmt.Sprintf("%.0fs", c.LoopWindow.Seconds())},
	} {
		if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
			t.Errorf("%s: the schema's default is %v, but it becomes %v", key, pair[0], pair[1])
		}
	}
}

func TestSchemaIsACopy(t *testing.T) {
	Schema()[0] = 'x'
	if Schema()[0] != '{' {
		t.Error("the schema can be changed")
	}
}
