package zendesk

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Claims are the claims of a sign-in token that come from the user, in the order in which they are
// written. They are exactly those that Zendesk documents. They are a struct and not a map, so that
// nothing in a request can become a claim. Only user_fields is a map, one level below.
type Claims struct {
	Email           string         `json:"email"`
	Name            string         `json:"name"`
	ExternalID      string         `json:"external_id,omitempty"`
	Role            Role           `json:"role,omitempty"`
	CustomRoleID    int64          `json:"custom_role_id,omitempty"`
	Locale          int64          `json:"locale,omitempty"`    // end users
	LocaleID        int64          `json:"locale_id,omitempty"` // team members
	Organization    string         `json:"organization,omitempty"`
	Organizations   string         `json:"organizations,omitempty"`
	OrganizationID  any            `json:"organization_id,omitempty"` // string or int64
	OrganizationIDs string         `json:"organization_ids,omitempty"`
	Phone           string         `json:"phone,omitempty"`
	Tags            []string       `json:"tags,omitzero"` // an empty list is sent, nil is not
	RemotePhotoURL  string         `json:"remote_photo_url,omitempty"`
	UserFields      map[string]any `json:"user_fields,omitempty"`
}

// encode returns the claims as a JSON object, and their names. The same claims always make the same
// JSON: the fields in the order above, user_fields by key.
func (c *Claims) encode() (encodedClaims, error) {
	object, err := encodeJSON(c)
	return encodedClaims{object, c.names()}, err
}

// encodedClaims contains encoded claims without iat, jti and exp, and the names of all claims
// except exp.
type encodedClaims struct {
	object []byte // a JSON object
	names  []string
}

// claimNames are the claims' names, in the order of the fields.
var claimNames = func() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Claims]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}()

// names returns iat, jti and the names of the claims that encode writes.
func (c *Claims) names() []string {
	names := append(make([]string, 0, 16), "iat", "jti")
	v := reflect.ValueOf(c).Elem()
	for i, name := range claimNames {
		f := v.Field(i)
		absent := f.IsZero() && name != "email" && name != "name"
		if !absent && (f.Kind() != reflect.Map || f.Len() > 0) {
			names = append(names, name)
		}
	}
	return names
}

// size returns the size of the payload without the values of iat and jti, and without exp.
func (e encodedClaims) size() int { return len(`{"iat":0,"jti":"",`) + len(e.object) - len("{") }

// payload appends a token's payload to b: iat, jti, the claims, and exp. exp is undocumented. It is
// written only if emit_exp is set. expiresAt is 0 otherwise. The id has no character that JSON
// escapes.
func (e encodedClaims) payload(b []byte, issuedAt int64, id string, expiresAt int64) []byte {
	b = strconv.AppendInt(append(b, `{"iat":`...), issuedAt, 10)
	b = append(append(append(b, `,"jti":"`...), id...), `",`...)
	b = append(b, e.object[len("{"):len(e.object)-len("}")]...)
	if expiresAt != 0 {
		b = strconv.AppendInt(append(b, `,"exp":`...), expiresAt, 10)
	}
	return append(b, '}')
}

// encodeJSON returns v as JSON without the escapes for HTML, which would make tokens longer.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
