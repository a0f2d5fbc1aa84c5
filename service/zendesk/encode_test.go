package zendesk_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

// reference is the whole payload as one struct. Its fields have the order and the tags that a token
// must have.
type reference struct {
	IssuedAt        int64          `json:"iat"`
	ID              string         `json:"jti"`
	Email           string         `json:"email"`
	Name            string         `json:"name"`
	ExternalID      string         `json:"external_id,omitzero"`
	Role            zendesk.Role   `json:"role,omitzero"`
	CustomRoleID    int64          `json:"custom_role_id,omitzero"`
	Locale          int64          `json:"locale,omitzero"`
	LocaleID        int64          `json:"locale_id,omitzero"`
	Organization    string         `json:"organization,omitzero"`
	Organizations   string         `json:"organizations,omitzero"`
	OrganizationID  any            `json:"organization_id,omitzero"`
	OrganizationIDs string         `json:"organization_ids,omitzero"`
	Phone           string         `json:"phone,omitzero"`
	Tags            []string       `json:"tags,omitzero"`
	RemotePhotoURL  string         `json:"remote_photo_url,omitzero"`
	UserFields      map[string]any `json:"user_fields,omitempty"`
	ExpiresAt       int64          `json:"exp,omitzero"`
}

func checkEncode(t *testing.T, issuedAt int64, id string, c zendesk.Claims, expiresAt int64) {
	t.Helper()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	if err := e.Encode(reference{
		issuedAt, id, c.Email, c.Name, c.ExternalID, c.Role, c.CustomRoleID, c.Locale, c.LocaleID,
		c.Organization, c.Organizations, c.OrganizationID, c.OrganizationIDs,
		c.Phone, c.Tags, c.RemotePhotoURL, c.UserFields, expiresAt,
	}); err != nil {
		t.Fatal(err)
	}
	got, names, err := c.Encode(issuedAt, id, expiresAt)
	if err != nil || string(got)+"\n" != want.String() {
		t.Errorf("%v\n got %s\nwant %s", err, got, want.String())
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(got, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "exp")
	slices.Sort(names)
	if all := slices.Sorted(maps.Keys(members)); !slices.Equal(names, all) {
		t.Errorf("names %q, want %q", names, all)
	}
}

// TestEncode shows that the payload is what encoding/json writes for the reference, for different
// claims.
func TestEncode(t *testing.T) {
	full := zendesk.Claims{
		Email:           "jo@example.com",
		Name:            "Zoë \"<王>\" & \\ Co",
		ExternalID:      "0042",
		Role:            zendesk.RoleAgent,
		CustomRoleID:    7,
		Locale:          8,
		LocaleID:        1<<53 - 1,
		Organization:    "Acme",
		Organizations:   "Acme,Initech",
		OrganizationID:  int64(9),
		OrganizationIDs: "1,2",
		Phone:           "+15551234567",
		Tags:            []string{"vip", "ä"},
		RemotePhotoURL:  "https://acme.com/a.png?b=<c>&d",
		UserFields: map[string]any{
			"b": "x",
			"a": nil,
			"c": true,
			"d": int64(-3),
			"e": 1.5,
			"f": 1e-9,
			"g": math.MaxFloat64,
			"ü": "\u00a0",
		},
	}
	for _, c := range []zendesk.Claims{
		{}, {Email: "jo@example.com", Name: "Jo"}, full,
		{OrganizationID: "007"}, {OrganizationID: ""}, {Tags: []string{}}, {UserFields: map[string]any{}},
		{Tags: []string{""}},
	} {
		checkEncode(t, 1767323045, "ID", c, 0)
		checkEncode(t, 0, "", c, 1767323225)
	}
	c := zendesk.Claims{UserFields: map[string]any{"f": math.NaN()}}
	if _, _, err := c.Encode(0, "", 0); err == nil {
		t.Error("a value that JSON can't hold was encoded")
	}
}

// FuzzEncode encodes any text, also text that Check refuses.
func FuzzEncode(f *testing.F) {
	for _, text := range []string{
		"", "Jo", "Zoë", "\x00\x1f\x7f\b\f\n\r\t\"\\/<>&", "\u2028\u2029\ufeff", "\xff\xc3(", "😀",
	} {
		f.Add(text, text, int64(1), 0.5)
	}
	f.Fuzz(func(t *testing.T, text, key string, number int64, fraction float64) {
		if math.IsNaN(fraction) || math.IsInf(fraction, 0) {
			fraction = 0
		}
		checkEncode(t, number, "ID", zendesk.Claims{
			Email: text, Name: key, ExternalID: text, CustomRoleID: number, OrganizationID: number,
			Tags:       []string{text, key},
			UserFields: map[string]any{key: text, "n": number, "f": fraction},
		}, number)
	})
}
