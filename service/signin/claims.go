package signin

import (
	"maps"
	"slices"
	"strconv"

	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// claimsOf lists the optional claims that a user asks for, with the values that a
// grant may limit. Taking all tags away, and taking the value of a user field away,
// are claims of their own: a caller that may set must not thereby be able to clear.
func claimsOf(u zendesk.User) (claims []policy.Claim) {
	ask := func(name, field string, values ...string) {
		claims = append(claims, policy.Claim{Name: name, Field: field, Values: values})
	}
	if u.ExternalID != "" {
		ask(policy.ClaimExternalID, "user.external_id", u.ExternalID)
	}
	if u.CustomRoleID != 0 {
		ask(policy.ClaimCustomRoleID, "user.custom_role_id", strconv.FormatInt(u.CustomRoleID, 10))
	}
	if u.LocaleID != 0 {
		ask(policy.ClaimLocaleID, "user.locale_id", strconv.FormatInt(u.LocaleID, 10))
	}
	if len(u.Organizations) > 0 {
		ask(policy.ClaimOrganizations, "user.organizations", u.Organizations...)
	}
	if len(u.OrganizationIDs) > 0 {
		ask(policy.ClaimOrganizationIDs, "user.organization_ids", u.OrganizationIDs...)
	}
	if u.Phone != "" {
		ask(policy.ClaimPhone, "user.phone", u.Phone)
	}
	if len(u.Tags) > 0 {
		ask(policy.ClaimTags, "user.tags", u.Tags...)
	} else if u.Tags != nil {
		ask(policy.ClaimClearTags, "user.tags")
	}
	if u.RemotePhotoURL != "" {
		ask(policy.ClaimRemotePhotoURL, "user.remote_photo_url", u.RemotePhotoURL)
	}
	var set, cleared []string
	for _, key := range slices.Sorted(maps.Keys(u.UserFields)) {
		if u.UserFields[key] == nil {
			cleared = append(cleared, key)
		} else {
			set = append(set, key)
		}
	}
	if len(set) > 0 {
		ask(policy.ClaimUserFields, "user.user_fields", set...)
	}
	if len(cleared) > 0 {
		ask(policy.ClaimClearUserFields, "user.user_fields", cleared...)
	}
	return claims
}
