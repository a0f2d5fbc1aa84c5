package zendesk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The optional claims that on_invalid_optional can name. They have the names of the request's
// fields.
const (
	claimExternalID      = "external_id"
	claimCustomRole      = "custom_role_id"
	claimLocale          = "locale_id"
	claimOrganizations   = "organizations"
	claimOrganizationIDs = "organization_ids"
	claimPhone           = "phone"
	claimTags            = "tags"
	claimPhoto           = "remote_photo_url"
	claimUserFields      = "user_fields"
)

// The two choices of on_invalid_optional.
const (
	refuse = "refuse"
	omit   = "omit"
)

// invalidOptionalDefaults returns what happens to an invalid value in each optional claim if the
// settings don't say. A bad phone number, photo or locale isn't worth locking a person out. The
// other claims decide on rights, or replace data at Zendesk.
func invalidOptionalDefaults() map[string]string {
	return map[string]string{
		claimExternalID: refuse, claimCustomRole: refuse, claimLocale: omit, claimOrganizations: refuse,
		claimOrganizationIDs: refuse, claimPhone: omit, claimTags: refuse, claimPhoto: omit, claimUserFields: refuse,
	}
}

// checkInvalidOptional reports the faults of on_invalid_optional.
func checkInvalidOptional(report func(key, fault string), v any) {
	const key = "on_invalid_optional"
	switch v := v.(type) {
	case nil:
	case string:
		checkChoice(report, key, v, refuse, omit)
	case map[string]any:
		defaults := invalidOptionalDefaults()
		for _, name := range sortedKeys(v) {
			if _, known := defaults[name]; !known {
				claims := strings.Join(slices.Sorted(maps.Keys(defaults)), ", ")
				report(key+"."+name, "is no optional claim: use "+claims)
			} else {
				checkChoice(report, key+"."+name, fmt.Sprint(v[name]), refuse, omit)
			}
		}
	default:
		report(key, "must be refuse or omit, or a block such as {phone: omit, tags: refuse}")
	}
}

// omits returns the optional claims whose invalid values are left out.
func (s Settings) omits() map[string]bool {
	named, _ := s.OnInvalidOptional.(map[string]any)
	omits := make(map[string]bool)
	for claim, choice := range invalidOptionalDefaults() {
		if all, _ := s.OnInvalidOptional.(string); all != "" {
			choice = all
		}
		if own, _ := named[claim].(string); own != "" {
			choice = own
		}
		if choice == omit {
			omits[claim] = true
		}
	}
	return omits
}
