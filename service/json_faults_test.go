package service_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// TestJSONFaults checks what the answer says about JSON that is not that of the request: the path
// of each field as the body spells it, what is expected, and what was found.
func TestJSONFaults(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	const php = ", as PHP encodes []: encode (object) [] instead"
	in := func(more string) string { return `{"user":{` + more + `}}` }
	for _, c := range []struct {
		name, body string
		faults     []string // each with its field, and without its position
	}{
		// Values of the wrong kind.
		{"tags as an array", in(`"tags":["vip"]`),
			[]string{`user.tags must be an object, such as {"values": […]}; found an array`}},
		{"tags as a string", in(`"tags":"vip"`),
			[]string{`user.tags must be an object, such as {"values": […]}; found a string`}},
		{"organizations as a string", in(`"organizations":"Acme"`),
			[]string{`user.organizations must be an array of strings, such as ["…"]; found a string`}},
		{"organizations as an object", in(`"organizations":{"0":"Acme"}`),
			[]string{`user.organizations must be an array of strings, such as ["…"]; found an object`}},
		{"PHP's empty map", in(`"userFields":[]`),
			[]string{`user.userFields must be an object, such as {"key": …}; found an empty array` + php}},
		{"PHP's empty object", `{"user":[]}`,
			[]string{`user must be an object; found an empty array` + php}},
		{"a locale by its name", in(`"localeId":"en-US"`),
			[]string{`user.localeId must be Zendesk's id, a whole number; found a string that is no number`}},
		{"an id as a list", in(`"custom_role_id":[1]`),
			[]string{`user.custom_role_id must be Zendesk's id, a whole number; found an array`}},
		{"an id as an empty string", in(`"localeId":""`),
			[]string{`user.localeId must be Zendesk's id, a whole number; found an empty string`}},
		{"an id with a fraction", in(`"localeId":1.5`),
			[]string{`user.localeId must be Zendesk's id, a whole number; found a fraction`}},
		{"an id beyond 64 bits", in(`"localeId":9223372036854775808`),
			[]string{`user.localeId must be Zendesk's id, a whole number between -9223372036854775808 and ` +
				`9223372036854775807; found one beyond`}},
		{"a version below zero", `{"secret_version":-1}`,
			[]string{`secret_version must be a whole number between 0 and 4294967295; found one beyond`}},
		{"a version of many digits", `{"secretVersion":1e99}`,
			[]string{`secretVersion must be a whole number between 0 and 4294967295; found one beyond`}},
		{"a boolean as a string", in(`"emailVerified":"true"`),
			[]string{`user.emailVerified must be true or false, without quotes; found a string`}},
		{"a boolean as a number", in(`"email_verified":1`),
			[]string{`user.email_verified must be true or false, without quotes; found a number`}},
		{"a number for a text", in(`"externalId":42`), []string{`user.externalId must be a string; found a number`}},
		{"null in a list", in(`"organizations":["a",null]`),
			[]string{`user.organizations[1] must be a string; found null`}},
		{"a list in a list", in(`"tags":{"values":[["vip"]]}`),
			[]string{`user.tags.values[0] must be a string; found an array`}},
		{"JSON in a string", `{"user":"{\"email\":\"` + inputMarker + `\"}"}`,
			[]string{`user must be an object; found a string that holds JSON, so it was encoded twice`}},
		{"an infinite custom field", in(`"userFields":{"a.b":1e999}`),
			[]string{`user.userFields["a.b"] is a number that is too large`}},

		// Enumerations.
		{"a misspelt role", in(`"role":"ROLE_ENDUSER"`),
			[]string{`user.role must be ROLE_END_USER, ROLE_AGENT or ROLE_ADMIN: did you mean ROLE_END_USER?`}},
		{"a role without its prefix", in(`"role":"end_user"`),
			[]string{`user.role must be ROLE_END_USER, ROLE_AGENT or ROLE_ADMIN: did you mean ROLE_END_USER?`}},
		{"Zendesk's name of a role", in(`"role":"end-user"`),
			[]string{`user.role must be ROLE_END_USER, ROLE_AGENT or ROLE_ADMIN: did you mean ROLE_END_USER?`}},
		{"another role", in(`"role":"` + inputMarker + `"`),
			[]string{`user.role must be ROLE_END_USER, ROLE_AGENT or ROLE_ADMIN; found another string`}},
		{"a role as a list", in(`"role":["ROLE_AGENT"]`),
			[]string{`user.role must be ROLE_END_USER, ROLE_AGENT or ROLE_ADMIN; found an array`}},

		// Names of fields.
		{"organization", in(`"organization":"Acme"`),
			[]string{`user.organization is not a field of this request: did you mean organizations?`}},
		{"locale", in(`"locale":1`), []string{`user.locale is not a field of this request: did you mean localeId?`}},
		{"locale in snake_case", in(`"email_verified":true,"locale":1`),
			[]string{`user.locale is not a field of this request: did you mean locale_id?`}},
		{"User", `{"User":{}}`, []string{`User is not a field of this request: did you mean user?`}},
		{"e-mail", in(`"e-mail":"` + inputMarker + `"`),
			[]string{`user.e-mail is not a field of this request: did you mean email?`}},
		{"externalid", in(`"externalid":"7"`),
			[]string{`user.externalid is not a field of this request: did you mean externalId?`}},
		{"a field of the user outside it", `{"email":"` + inputMarker + `"}`,
			[]string{`email is not a field of this request: did you mean user.email?`}},
		{"a field within the user", in(`"return_to":"/"`),
			[]string{`user.return_to is not a field of this request: did you mean returnTo at the top level?`}},
		{"nothing like it", in(`"shoe_size":41`), []string{`user.shoe_size is not a field of this request`}},
		{"an address as a name", in(`"` + inputMarker + `@x.example":1`),
			[]string{`user has a name that is not a field of this request`}},
		{"an API key as a name", in(`"dmk_` + strings.Repeat("a", 43) + `":1`),
			[]string{`user has a name that is not a field of this request`}},
		{"twice in two spellings", in(`"locale_id":1,"localeId":1`),
			[]string{`user.localeId is another spelling of locale_id, which is there too`}},
		{"a custom field twice", in(`"userFields":{"plan":1,"plan":2}`),
			[]string{`user.userFields["plan"] occurs twice`}},

		// All at once.
		{"several", `{"user":{"tags":["a"],"localeId":"x","phone":1},"secretVersion":{},"brandId":7}`,
			[]string{
				`user.tags must be an object, such as {"values": […]}; found an array`,
				`user.localeId must be Zendesk's id, a whole number; found a string that is no number`,
				`user.phone must be a string; found a number`,
				`secretVersion must be a whole number; found an object`,
				`brandId must be a string; found a number`,
			}},

		// Characters.
		{"ISO-8859-1", in(`"name":"` + "Jos\xe9 " + inputMarker + `"`),
			[]string{`user.name is not in UTF-8, but perhaps in ISO-8859-1 or Windows-1252: encode the body in UTF-8`}},
		{"half a surrogate pair", in(`"name":"\ud83d"`),
			[]string{`user.name has one half of a surrogate pair (\ud800 to \udfff): escape both halves, ` +
				`or send UTF-8`}},
		{"a line break", in("\"name\":\"a\nb\""),
			[]string{`user.name has a line break or another control character: escape it, such as \n`}},
		{"an escape that JSON doesn't have", in(`"name":"ACME\Ana"`),
			[]string{`user.name has a backslash that begins no escape of JSON: write \\ for a backslash`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := s.sendRaw(t, rawPost(mintPath, asEverything+asJSON, c.body))
			a := readError(t, res.Header, res.StatusCode, body)
			if a.http != http.StatusBadRequest || a.reason != "INVALID_REQUEST" {
				t.Fatalf("HTTP %d %s %s", a.http, a.reason, a.message)
			}
			want := slices.Clone(c.faults)
			slices.Sort(want)
			var got []string
			for _, field := range slices.Sorted(maps.Keys(a.field)) {
				description, position, _ := strings.Cut(a.field[field], " (line ")
				if i := strings.LastIndex(a.field[field], " (line "); i >= 0 {
					description, position = a.field[field][:i], a.field[field][i:]
				}
				if position == "" {
					t.Errorf("%s has no position", field)
				}
				got = append(got, field+" "+description)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if !strings.Contains(a.message, c.faults[0]) {
				t.Errorf("the message %q doesn't have the first fault", a.message)
			}
		})
	}
}

// TestBodyFaults checks what the answer says about a body that is no JSON object.
func TestBodyFaults(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	good := `{"user":{` + ana + `}}`
	utf16Of := func(order binary.AppendByteOrder, text string) string {
		var b []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			b = order.AppendUint16(b, unit)
		}
		return string(b)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, good)
	z.Close()
	const notJSON = "The request's body is not JSON: at "
	for _, c := range []struct {
		name, head, body string
		code             int
		want             string
	}{
		{"nothing", asJSON, "", 400, "The request has invalid fields. Its body is empty: send a JSON object."},
		{"white space", asJSON, " \n", 400, "The request's body is empty. Send a JSON object."},
		{"a byte order mark", asJSON, "\ufeff" + good, 400,
			"The request's body begins with a byte order mark. Send the JSON without it: its first character is {."},
		{"UTF-16", asJSON, utf16Of(binary.LittleEndian, good), 400,
			"The request's body is in UTF-16 or UTF-32. Encode the JSON in UTF-8."},
		{"UTF-16, the other order", asJSON, utf16Of(binary.BigEndian, good), 400,
			"The request's body is in UTF-16 or UTF-32. Encode the JSON in UTF-8."},
		{"UTF-16 with its mark", asJSON, utf16Of(binary.LittleEndian, "\ufeff"+good), 400,
			"The request's body is in UTF-16 or UTF-32. Encode the JSON in UTF-8."},
		{"gzip without its header", asJSON, zipped.String(), 400,
			"The request's body is compressed. Send the JSON as it is."},
		{"gzip", asJSON + "Content-Encoding: gzip\r\n", zipped.String(), 415,
			"The request's body must not be compressed: send it without Content-Encoding."},
		{"a form", asJSON, "user%5Bemail%5D=" + inputMarker + "&user[name]=Ana", 400,
			"The request's body is a form. Send a JSON object, with Content-Type: application/json."},
		{"a form that says so", "Content-Type: application/x-www-form-urlencoded\r\n", "email=" + inputMarker, 415,
			"The request's Content-Type is that of a form, which curl -d and other clients send unless told " +
				"otherwise. The body must be JSON, with Content-Type: application/json."},
		{"no type", "", good, 415,
			"The request has no Content-Type. The body must be JSON, with Content-Type: application/json."},
		{"text", "Content-Type: text/plain\r\n", good, 415,
			"The request's Content-Type isn't that of JSON. The body must be JSON, with Content-Type: " +
				"application/json."},
		{"another charset", "Content-Type: application/json; charset=iso-8859-1\r\n", good, 415,
			"The request's body must be in UTF-8: encode it so, and send Content-Type: application/json " +
				"without charset."},
		{"XML", asJSON, "<user/>", 400, "The request's body is XML or HTML. Send a JSON object."},
		{"an array", asJSON, "[" + good + "]", 400, "The request's body must be a JSON object; found an array."},
		{"a string", asJSON, `"` + inputMarker + `"`, 400, "The request's body must be a JSON object; found a string."},
		{"JSON in a string", asJSON, `"{\"user\":{}}"`, 400,
			"The request's body must be a JSON object; found a string that holds JSON, so it was encoded twice."},
		{"null", asJSON, "null", 400, "The request's body must be a JSON object; found null."},
		{"a comma too many", asJSON, "{\"user\":{},\n\"brandId\":\"1\",\n}", 400,
			notJSON + "line 2, column 14, there is a comma after the last entry: remove it."},
		{"a comma too few", asJSON, `{"user":{} "brandId":"1"}`, 400,
			notJSON + "line 1, column 12, a comma or } must follow the value."},
		{"single quotes", asJSON, `{'user':{}}`, 400,
			notJSON + "line 1, column 2, JSON takes double quotes and no single quotes."},
		{"typographic quotes", asJSON, `{“user”:{}}`, 400,
			notJSON + `line 1, column 2, JSON takes straight double quotes (") and no typographic ones.`},
		{"a comment", asJSON, "{\n  // " + inputMarker + "\n}", 400,
			notJSON + "line 2, column 3, JSON has no comments: remove it."},
		{"no quotes", asJSON, `{user:{}}`, 400, notJSON + "line 1, column 2, a name in double quotes must be here."},
		{"Python's True", asJSON, `{"validateOnly":True}`, 400,
			notJSON + "line 1, column 17, JSON writes true, false and null, where Python prints True, False and None."},
		{"NaN", asJSON, `{"secretVersion":NaN}`, 400,
			notJSON + "line 1, column 18, JSON has no NaN, Infinity or undefined: leave the field out."},
		{"a leading zero", asJSON, `{"secretVersion":01}`, 400,
			notJSON + "line 1, column 18, this is no number as JSON writes it."},
		{"cut off", asJSON, good[:len(good)-2], 400,
			notJSON + "line 1, column 74, the JSON ends before it is complete: it was perhaps cut off."},
		{"more after it", asJSON, good + "\n" + good, 400,
			notJSON + "line 2, column 1, there is more text after the end of the JSON."},
		{"too deep", asJSON, `{"user":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + "}", 400,
			notJSON + "line 1, column 10008, the JSON is nested too deeply."},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := s.sendRaw(t, rawPost(mintPath, asEverything+c.head, c.body))
			a := readError(t, res.Header, res.StatusCode, body)
			if a.http != c.code || a.message != c.want {
				t.Errorf("HTTP %d %s\nwant %d %s", a.http, a.message, c.code, c.want)
			}
		})
	}
}

// TestFieldSpelling checks that the REST gateway spells the fields of errors and warnings as the
// body does, and that the gRPC server spells them in snake_case.
func TestFieldSpelling(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, c := range []struct {
		name, conf, body string
		grpc, http       []string // the fields
	}{
		{"camelCase", "", `"user":{` + ana + `,"userFields":{"a.b_c":{}},"externalId":" 7"}`,
			[]string{"user.external_id", `user.user_fields["a.b_c"]`}, []string{"user.externalId",
				`user.userFields["a.b_c"]`}},
		{"snake_case", "",
			`"user":{"email":"a@b.example","email_verified":true,"name":"A","user_fields":{"userFields":{}}}`,
			[]string{`user.user_fields["userFields"]`}, []string{`user.user_fields["userFields"]`}},
		{"both", "", `"user":{"email":"a@b.example","name":"A","emailVerified":false,"external_id":" 7"}`,
			[]string{"user.email_verified", "user.external_id"}, []string{"user.emailVerified", "user.external_id"}},
		{"a field that isn't there", "", `"return_to":"/","user":{"email":"a@b.example","name":"A"}`,
			[]string{"user.email_verified"}, []string{"user.email_verified"}},
		{"a field that isn't there, camelCase", "", `"returnTo":"/","user":{"email":"a@b.example","name":"A"}`,
			[]string{"user.email_verified"}, []string{"user.emailVerified"}},
		{"no name of two words", "", `"user":{"email":"a@b.example","name":"A"}`,
			[]string{"user.email_verified"}, []string{"user.emailVerified"}},
		{"metadata", "", `"user":{` + ana + `},"secretVersion":7`, []string{"secret_version"},
			[]string{"secretVersion"}},
		{"a grant", "", `"user":{` + ana + `},"brandId":"nobodys"`, []string{"brand_id"}, []string{"brandId"}},
		{"a warning", "acme-both", `"user":{` + ana + `,"localeId":"1"}`, []string{"user.locale_id"},
			[]string{"user.localeId"}},
		{"a warning in snake_case", "acme-both",
			`"user":{"email":"a@b.example","email_verified":true,"name":"A","locale_id":"1"}`,
			[]string{"user.locale_id"}, []string{"user.locale_id"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := s.fieldsOverHTTP(t, c.conf, c.body); !slices.Equal(got, c.http) {
				t.Errorf("REST: fields %q, want %q", got, c.http)
			}
			if got := s.fieldsOverGRPC(t, c.conf, c.body); !slices.Equal(got, c.grpc) {
				t.Errorf("gRPC: fields %q, want %q", got, c.grpc)
			}
		})
	}
}

// fieldsOverHTTP returns the fields that the answer to MintToken names, as they are spelt.
func (s *server) fieldsOverHTTP(t *testing.T, conf, body string) []string {
	t.Helper()
	c := call{method: "MintToken", name: conf}
	res, b := s.sendRaw(t, rawPost("/v1/"+c.resource()+":mintToken", asEverything+asJSON, "{"+body+"}"))
	if res.StatusCode != http.StatusOK {
		a := readError(t, res.Header, res.StatusCode, b)
		return a.fields()
	}
	recorder.recordTokens(string(b))
	m := &pb.MintTokenResponse{}
	if err := protojson.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	return fieldsOf(m.GetWarnings())
}

func (s *server) fieldsOverGRPC(t *testing.T, conf, body string) []string {
	t.Helper()
	r := sendGRPC(t.Context(), t, s, call{method: "MintToken", name: conf, body: body})
	if r.code != codes.OK {
		return r.fields()
	}
	return fieldsOf(get[*pb.MintTokenResponse](t, r).GetWarnings())
}

// fields returns the fields of the violations and of the metadata, in order.
func (a *answer) fields() []string {
	fields := slices.Collect(maps.Keys(a.field))
	if f := a.info["field"]; f != "" {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

func fieldsOf(warnings []*pb.Warning) (fields []string) {
	for _, w := range warnings {
		fields = append(fields, w.GetField())
	}
	return fields
}

// TestParameterSpelling checks that a parameter of a query is spelt as the query does.
func TestParameterSpelling(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for query, want := range map[string]string{
		"pageSize=-1":           "pageSize must be greater than or equal to 0 and less than or equal to 1000",
		"page_size=-1":          "page_size must be greater than or equal to 0 and less than or equal to 1000",
		"pagesize=1":            "pagesize is not a parameter of this request: did you mean pageSize?",
		"page_sise=1":           "page_sise is not a parameter of this request: did you mean page_size?",
		"pageSize=1&pageSize=2": "pageSize is given twice",
		inputMarker + "=1":      "",
		"page%0Asize=1":         "",
		"page%E2%80%AEsize=1":   "",
	} {
		res, body := s.sendRaw(t, rawRequest("GET", "/v1/configurations?"+query, asEverything))
		a := readError(t, res.Header, res.StatusCode, body)
		got := ""
		for field, description := range a.field {
			got += field + " " + description
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestBadTextOverGRPC checks that a message with text that is not UTF-8 names the fields.
func TestBadTextOverGRPC(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	field := func(number protowire.Number, value string) string {
		return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), value))
	}
	for _, c := range []struct{ name, message, fields string }{
		{"no message of this request", "\xff", ""},
		{"a name", field(3, field(1, "ana@b.example")+field(3, "Jos\xe9")), "user.name"},
		{"in a list", field(3, field(8, "a")+field(8, "\xe9")), "user.organizations[1]"},
		{"in a map", field(3, field(13, field(1, "k")+field(2, field(3, "\xe9")))), "user.user_fields"},
		{"two", field(4, "\xff") + field(2, "\xff"), "brand_id return_to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &emptypb.Empty{}
			m.ProtoReflect().SetUnknown([]byte(c.message))
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer dmk_everything")
			err := s.GRPC.Invoke(ctx, pb.TokenService_MintToken_FullMethodName,
				m, &pb.MintTokenResponse{}, grpc.WaitForReady(true))
			var a answer
			a.details(status.Convert(err))
			if got := strings.Join(slices.Sorted(maps.Keys(a.field)), " "); got != c.fields ||
				a.code != codes.InvalidArgument || a.reason != "INVALID_REQUEST" {
				t.Errorf("%v %s %s: fields %q, want %q", a.code, a.reason, a.message, got, c.fields)
			}
		})
	}
}
