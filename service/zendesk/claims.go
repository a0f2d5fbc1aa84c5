package zendesk

import (
	"strconv"

	"github.com/deskmint/deskmint/service/members"
)

// Claims are those of a sign-in token that come from the user: every one that Zendesk
// documents, and no other, in the order in which they are written. They are a struct and
// not a map, so that nothing a caller sends can become a claim of its own choosing;
// user_fields is the one map, and it is a value, a level below.
type Claims struct {
	Email           string
	Name            string
	ExternalID      string
	Role            Role
	CustomRoleID    int64
	Locale          int64 // end users
	LocaleID        int64 // team members
	Organization    string
	Organizations   string
	OrganizationID  any // string or int64
	OrganizationIDs string
	Phone           string
	Tags            []string // empty is sent, nil is not
	RemotePhotoURL  string
	UserFields      map[string]any
}

// members are the claims as JSON. It is the one serialiser, and its output is the same
// for the same claims: fields in the order above, user_fields by key. It writes what
// encoding/json would, which a test holds it to.
func (c *Claims) members() (members.List, error) {
	m := members.List{JSON: make([]byte, 0, 256), Names: append(make([]string, 0, 16), "iat", "jti")}
	m.Text("email", c.Email)
	m.Text("name", c.Name)
	m.Given("external_id", c.ExternalID)
	m.Given("role", string(c.Role))
	m.Number("custom_role_id", c.CustomRoleID)
	m.Number("locale", c.Locale)
	m.Number("locale_id", c.LocaleID)
	m.Given("organization", c.Organization)
	m.Given("organizations", c.Organizations)
	if c.OrganizationID != nil {
		m.Value("organization_id", c.OrganizationID)
	}
	m.Given("organization_ids", c.OrganizationIDs)
	m.Given("phone", c.Phone)
	if c.Tags != nil {
		m.Texts("tags", c.Tags)
	}
	m.Given("remote_photo_url", c.RemotePhotoURL)
	if len(c.UserFields) > 0 {
		m.Object("user_fields", c.UserFields)
	}
	return m, m.Err
}

// bare is the size of what payload adds at the least.
const bare = len(`{"iat":0,"jti":""}`)

// payload appends the claims with iat and jti, which are the token's own, and exp, which
// is undocumented and behind emit_exp (0: without).
func payload(b []byte, claims members.List, issuedAt int64, id string, expiresAt int64) []byte {
	b = strconv.AppendInt(append(b, `{"iat":`...), issuedAt, 10)
	b = members.AppendText(append(b, `,"jti":`...), id)
	b = append(b, claims.JSON...)
	if expiresAt != 0 {
		b = strconv.AppendInt(append(b, `,"exp":`...), expiresAt, 10)
	}
	return append(b, '}')
}
