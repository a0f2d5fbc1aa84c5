package zendesk

import (
	"bytes"
	"encoding/json"
)

// Claims are those of a sign-in token: every one that Zendesk documents, and no
// other. They are a struct and not a map, so that nothing a caller sends can
// become a claim of its own choosing; user_fields is the one map, and it is a
// value, a level below.
type Claims struct {
	IssuedAt        int64          `json:"iat"`
	ID              string         `json:"jti"`
	Email           string         `json:"email"`
	Name            string         `json:"name"`
	ExternalID      string         `json:"external_id,omitzero"`
	Role            Role           `json:"role,omitzero"`
	CustomRoleID    int64          `json:"custom_role_id,omitzero"`
	Locale          int64          `json:"locale,omitzero"`    // end users
	LocaleID        int64          `json:"locale_id,omitzero"` // team members
	Organization    string         `json:"organization,omitzero"`
	Organizations   string         `json:"organizations,omitzero"`
	OrganizationID  any            `json:"organization_id,omitzero"` // string or int64
	OrganizationIDs string         `json:"organization_ids,omitzero"`
	Phone           string         `json:"phone,omitzero"`
	Tags            []string       `json:"tags,omitzero"` // empty is sent, nil is not
	RemotePhotoURL  string         `json:"remote_photo_url,omitzero"`
	UserFields      map[string]any `json:"user_fields,omitempty"`
	ExpiresAt       int64          `json:"exp,omitzero"` // undocumented, behind emit_exp
}

// Names are the claims' names, for the record: never their values.
func (c *Claims) Names() []string {
	encoded, err := c.encode()
	if err != nil {
		return nil
	}
	names, err := memberNames(encoded)
	if err != nil {
		return nil
	}
	return names
}

// encode is the one serialiser. Its output is the same for the same claims: fields
// in the order above, user_fields by key.
func (c *Claims) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the token is base64url; there is no HTML to protect
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
