package zendesk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/deskmint/deskmint/service/text"
)

// optional checks the optional claims.
func (c *checker) optional(u *User) {
	claims := &c.claims
	if why := externalIDFault(u.ExternalID); why != "" {
		c.reject(claimExternalID, "user.external_id", why)
	} else {
		claims.ExternalID = u.ExternalID
	}
	c.customRole(u)
	c.locale(u)
	c.organizations(u)
	if why := phoneFault(u.Phone); why != "" {
		c.reject(claimPhone, "user.phone", why)
	} else {
		claims.Phone = u.Phone
	}
	// An empty list removes all tags. A list whose every tag is left out must not do so.
	tags := c.items(claimTags, "user.tags.values", u.Tags, tagFault)
	if len(tags) > 0 || u.Tags != nil && len(u.Tags) == 0 {
		claims.Tags = append([]string{}, tags...)
	}
	if why := photoFault(u.RemotePhotoURL); why != "" {
		c.reject(claimPhoto, "user.remote_photo_url", why)
	} else {
		claims.RemotePhotoURL = u.RemotePhotoURL
	}
	c.userFields(u.UserFields)
}

// reject handles an invalid part of a claim. The profile refuses the sign-in, or leaves out only
// this part.
func (c *checker) reject(claim, field, why string) {
	if c.profile.omits[claim] {
		c.warn(field, why+"; it is left out")
	} else {
		c.fault(field, why)
	}
}

func (c *checker) warn(field, description string) {
	c.out.Warnings = append(c.out.Warnings, Violation{field, description})
}

// items returns the valid items of a list. It rejects the others one by one, and a list that is too
// long as a whole, because it isn't clear which of its items to leave out.
func (c *checker) items(claim, field string, items []string, faultOf func(string) string) (valid []string) {
	if len(items) > maxItems {
		c.reject(claim, field, tooMany(len(items)))
		return nil
	}
	invalid := make(map[int]bool)
	for i, s := range items {
		if why := faultOf(s); why != "" {
			c.reject(claim, fmt.Sprintf("%s[%d]", field, i), why)
			invalid[i] = true
		}
	}
	if len(invalid) == 0 { // the common case, without a copy
		return items
	}
	for i, s := range items {
		if !invalid[i] {
			valid = append(valid, s)
		}
	}
	return valid
}

func tooMany(n int) string { return fmt.Sprintf("has %d entries, more than %d", n, maxItems) }

// customRole is never left out of an agent's token. A light agent is an agent with a custom role,
// and becomes a full agent without it.
func (c *checker) customRole(u *User) {
	const field = "user.custom_role_id"
	wrong := wholeNumberFault(u.CustomRoleID)
	switch {
	case u.Role == RoleAgent && wrong != "":
		c.fault(field, wrong)
	case u.Role == RoleAgent:
		c.claims.CustomRoleID = u.CustomRoleID
	case u.CustomRoleID != 0:
		if wrong != "" {
			c.reject(claimCustomRole, field, wrong)
		}
		c.reject(claimCustomRole, field, "goes only with the role agent")
	}
}

func (c *checker) locale(u *User) {
	const field = "user.locale_id"
	audience := u.Role.Audience()
	if audience == "" && len(c.profile.audiences) == 1 {
		audience = c.profile.audiences[0]
	}
	why := wholeNumberFault(u.LocaleID)
	switch {
	case why != "":
		c.reject(claimLocale, field, why)
	case u.LocaleID == 0:
	case audience == "":
		c.reject(claimLocale, field, "needs a role: Zendesk names the claim differently for end users and "+
			"team members, and this configuration signs in both")
	case audience == EndUser:
		c.claims.Locale = u.LocaleID
	default:
		c.claims.LocaleID = u.LocaleID
	}
}

func (c *checker) organizations(u *User) {
	names := c.items(claimOrganizations, "user.organizations", u.Organizations, organizationFault)
	if len(names) == 1 {
		c.claims.Organization = names[0]
	} else {
		c.claims.Organizations = strings.Join(names, ",")
	}
	const field = "user.organization_ids"
	ids := c.items(claimOrganizationIDs, field, u.OrganizationIDs, organizationIDFault)
	if len(ids) != 1 {
		c.claims.OrganizationIDs = strings.Join(ids, ",")
	} else if id, ok := c.organizationID(ids[0]); ok {
		c.claims.OrganizationID = id
	} else {
		c.reject(claimOrganizationIDs, fmt.Sprintf("%s[%d]", field, slices.Index(u.OrganizationIDs, ids[0])),
			"is beyond 2^53 - 1, where whole numbers lose digits, and this configuration sends it as an integer")
	}
}

// organizationID returns the claim for a single id. Digits with a leading zero stay a string even
// if the profile sends integers, because 007 and 7 are two organisations. ok is false if the integer
// would lose digits.
func (c *checker) organizationID(id string) (claim any, ok bool) {
	if !c.profile.integerOrganization || strings.Trim(id, "0123456789") != "" || (id[0] == '0' && id != "0") {
		return id, true
	}
	n, err := strconv.ParseInt(id, 10, 64)
	return n, err == nil && n <= maxExactInt
}

// userFields rejects invalid fields one by one.
func (c *checker) userFields(in map[string]any) {
	if len(in) > maxItems {
		c.reject(claimUserFields, "user.user_fields", tooMany(len(in)))
		return
	}
	if len(in) == 0 { // most users
		return
	}
	for _, key := range sortedKeys(in) {
		wrong := keyFault(key)
		if wrong != "" {
			c.reject(claimUserFields, fieldPath(key), wrong)
		}
		value, valid := c.fieldValue(key, in[key])
		if wrong != "" || !valid {
			continue
		}
		if c.claims.UserFields == nil {
			c.claims.UserFields = make(map[string]any, len(in))
		}
		c.claims.UserFields[key] = value
	}
}

// fieldPath names only a part of the key. It is enough to find the key, and a client may have written
// a value in its place.
func fieldPath(key string) string { return fmt.Sprintf("user.user_fields[%.40q]", key) }

// fieldValue returns the value as the token contains it. valid is false if there is nothing left of
// it.
func (c *checker) fieldValue(key string, v any) (value any, valid bool) {
	why := ""
	switch v := v.(type) {
	case nil, bool:
		return v, true
	case string:
		s, cleaned := text.Clean(v)
		s = withLineFeeds(s)
		if cleaned && s == "" { // an empty text may remove the stored value
			c.warn(fieldPath(key), "has only invisible characters; it is left out")
			return nil, false
		}
		if why = fieldTextFault(s); why == "" && cleaned {
			c.warn(fieldPath(key), "has invisible characters, which are removed")
		}
		value = s
	case float64:
		value, why = fieldNumber(v)
	case []any:
		return c.fieldList(fieldPath(key), v)
	default:
		why = "must be a string, a number, a bool, a list of strings or null"
	}
	if why != "" {
		c.reject(claimUserFields, fieldPath(key), why)
	}
	return value, why == ""
}

// fieldList returns the value of a multi-select field. An empty list removes the stored values. A
// list whose every item is left out must not do so.
func (c *checker) fieldList(path string, list []any) (value any, valid bool) {
	if why := listFault(list); why != "" {
		c.reject(claimUserFields, path, why)
		return nil, false
	}
	options := make([]string, 0, len(list))
	for i, item := range list {
		if option, why := fieldOption(item); why != "" {
			c.reject(claimUserFields, fmt.Sprintf("%s[%d]", path, i), why)
		} else {
			options = append(options, option)
		}
	}
	return options, len(options) > 0 || len(list) == 0
}
