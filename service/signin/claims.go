package signin

import (
	"maps"
	"slices"
	"strconv"

	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// claimsOf returns the optional claims of a user, with the values that a grant may limit. Removing
// all tags is a separate claim, and so is removing the value of a user field. A grant to set values
// must not be a grant to remove them.
func claimsOf(u zendesk.User) (claims []policy.Claim) {
	add := func(name, field string, values ...string) {
		claims = append(claims, policy.Claim{Name: name, Field: field, Values: values})
	}
	if u.ExternalID != "" {
		add(policy.ClaimExternalID, "user.external_id", u.ExternalID)
	}
	if u.CustomRoleID != 0 {
		add(policy.ClaimCustomRoleID, "user.custom_role_id", strconv.FormatInt(u.CustomRoleID, 10))
	}
	if u.LocaleID != 0 {
		add(policy.ClaimLocaleID, "user.locale_id", strconv.FormatInt(u.LocaleID, 10))
	}
	if len(u.Organizations) > 0 {
		add(policy.ClaimOrganizations, "user.organizations", u.Organizations...)
	}
	if len(u.OrganizationIDs) > 0 {
		add(policy.ClaimOrganizationIDs, "user.organization_ids", u.OrganizationIDs...)
	}
	if u.Phone != "" {
		add(policy.ClaimPhone, "user.phone", u.Phone)
	}
	if len(u.Tags) > 0 {
		add(policy.ClaimTags, "user.tags", u.Tags...)
	} else if u.Tags != nil {
		add(policy.ClaimClearTags, "user.tags")
	}
	if u.RemotePhotoURL != "" {
		add(policy.ClaimRemotePhotoURL, "user.remote_photo_url", u.RemotePhotoURL)
	}
	var set, cleared []string
	for _, key := range slices.Sorted(maps.Keys(u.UserFields)) {
		if clears(u.UserFields[key]) {
			cleared = append(cleared, key)
		} else {
			set = append(set, key)
		}
	}
	if len(set) > 0 {
		add(policy.ClaimUserFields, "user.user_fields", set...)
	}
	if len(cleared) > 0 {
		add(policy.ClaimClearUserFields, "user.user_fields", cleared...)
	}
	return claims
}

// clears reports whether the value of a user field removes the stored one. A list without an option
// does so too.
func clears(value any) bool {
	options, isList := value.([]any)
	return value == nil || isList && len(options) == 0
}
