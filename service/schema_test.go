package service_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// recordSchema compiles the published schema of records. It also checks formats.
func recordSchema() (*jsonschema.Schema, error) {
	text, err := os.ReadFile("audit/schema.json")
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("audit.schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("audit.schema.json")
}

// invalidRecords returns the lines that the schema doesn't allow, with the reasons.
func invalidRecords(text string) (found []string) {
	schema, err := recordSchema()
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(text) {
		if line == "\n" {
			continue // it ends a record that was written only in part
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			found = append(found, fmt.Sprintf("%s%v", line, err))
		}
	}
	return found
}

// TestRecordSchema checks that the schema refuses invalid records.
func TestRecordSchema(t *testing.T) {
	const (
		beginning = `{"schema":1,"record_id":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","time":"2026-03-14T15:09:26.5Z",`
		who       = `"caller":"shop","authenticated":"api_key","identity":"checkout",`

		read = beginning + `"request_id":"r","transport":"grpc","method":"ListConfigurations","action":"read",` +
			who + `"decision":"allow","configuration_digest":"aa"}`
		count = beginning + `"transport":"http","decision":"deny","reason":"CALLER_UNAUTHENTICATED",` +
			`"credential":"unknown","configuration_digest":"aa","first_time":"2026-03-14T15:09:16Z","count":12}`
	)
	hash := strings.Repeat("0a", 32)
	signed := strings.Replace(read, `"read"`, `"sign_in","configuration":"acme","brand":"1","secret_version":1,`+
		`"jti":"0123456789012345678901","claims":["iat"],"token_sha256":"`+hash+`"`, 1)
	for _, good := range []string{read, count, signed} {
		if found := invalidRecords(good); len(found) > 0 {
			t.Fatalf("%v", found)
		}
	}
	for name, bad := range map[string]string{
		"another version":           strings.Replace(read, `"schema":1`, `"schema":2`, 1),
		"no time":                   strings.Replace(read, `"time"`, `"when"`, 1),
		"a local time":              strings.Replace(read, `.5Z`, `+01:00`, 1),
		"no such day":               strings.Replace(read, `03-14`, `02-30`, 1),
		"an unknown field":          strings.Replace(read, `{`, `{"token":"x",`, 1),
		"no request id":             strings.Replace(read, `"request_id":"r",`, ``, 1),
		"allowed without a caller":  strings.Replace(read, who, ``, 1),
		"allowed with a reason":     strings.Replace(read, `"allow"`, `"allow","reason":"INTERNAL"`, 1),
		"a caller without a method": strings.Replace(read, `"authenticated":"api_key",`, ``, 1),
		"no record id":              strings.Replace(read, `"record_id"`, `"rule"`, 1),
		"a caller without identity": strings.Replace(read, `,"identity":"checkout"`, ``, 1),
		"an empty external id":      strings.Replace(signed, `{`, `{"external_id":"",`, 1),
		"signed without a hash":     strings.Replace(signed, `,"token_sha256":"`+hash+`"`, ``, 1),
		"a hash in capitals":        strings.Replace(signed, hash, strings.ToUpper(hash), 1),
		"half a hash":               strings.Replace(signed, hash, hash[:32], 1),
		"signed with validate_only": strings.Replace(signed, `"jti"`, `"validate_only":true,"jti"`, 1),
		"a claim's value":           strings.Replace(signed, `["iat"]`, `["email=a@b"]`, 1),
		"a count of a known caller": strings.Replace(count, `{`, `{`+who, 1),
		"a count without a time":    strings.Replace(count, `,"first_time":"2026-03-14T15:09:16Z"`, ``, 1),
		"a count of 0":              strings.Replace(count, `12`, `0`, 1),
		"a count of allowed ones":   strings.Replace(count, `deny`, `allow`, 1),
	} {
		if bad == read || bad == count || bad == signed || !json.Valid([]byte(bad)) {
			t.Fatalf("the case %s is the valid record or not JSON: %s", name, bad)
		}
		if len(invalidRecords(bad)) == 0 {
			t.Errorf("the schema allows %s: %s", name, bad)
		}
	}
}
