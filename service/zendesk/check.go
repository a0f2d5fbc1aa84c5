package zendesk

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxText     = 255       // characters of a name, an id, a tag
	maxItems    = 100       // organisations, ids, tags, user fields
	maxField    = 4096      // bytes of one user field's value
	maxURL      = 2048      // bytes
	maxClaims   = 16384     // bytes of all claims together, so that a token stays below 22 KiB
	maxExactInt = 1<<53 - 1 // beyond it JSON numbers of most readers lose digits (RFC 8259 section 6)
)

var phone = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

// Checked is a sign-in that may be signed: validated, normalised, without iat and jti.
type Checked struct {
	// Brand is where it is posted.
	Brand *Brand
	// ReturnTo is what to post; its zero value is no return_to.
	ReturnTo Destination
	// Warnings tell what was left out because the profile says so.
	Warnings []Fault

	claims  Claims
	emitExp bool
}

// Email is the checked address.
func (c *Checked) Email() string { return c.claims.Email }

// Check validates a sign-in at a brand of the profile and turns the user into
// claims. It reports every fault at once as an [*InvalidError], a return_to that
// isn't the brand's as a [*ForeignError], and a browser outside the profile's IP
// ranges as an [*OutOfRangeError], in that order.
func (p *Profile) Check(b *Brand, r SignIn) (*Checked, error) {
	c := checker{profile: p, out: Checked{Brand: b, emitExp: p.emitExp}}
	ipErr := c.clientIP(r.ClientIP)
	foreign := c.returnTo(r.ReturnTo)
	c.identity(r.User)
	c.role(r.User)
	c.optional(r.User)
	if encoded, err := c.out.claims.encode(); err != nil {
		c.fault("user", "can't be written as JSON")
	} else if len(encoded) > maxClaims {
		c.fault("user", fmt.Sprintf("makes %d bytes of claims, more than the %d that fit: send less", len(encoded), maxClaims))
	}
	switch {
	case len(c.faults) > 0:
		return nil, &InvalidError{c.faults}
	case foreign != nil:
		return nil, foreign
	case ipErr != nil:
		return nil, ipErr
	}
	return &c.out, nil
}

// checker gathers what is wrong with one sign-in.
type checker struct {
	profile *Profile
	faults  []Fault
	out     Checked
}

func (c *checker) fault(field, description string) {
	c.faults = append(c.faults, Fault{field, description})
}

func (c *checker) clientIP(s string) error {
	if s == "" {
		if len(c.profile.ipRanges) > 0 {
			c.fault("client_ip", "is required: this configuration is limited to ip_ranges")
		}
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		c.fault("client_ip", "is no IP address: give the browser's address without port or zone")
		return nil
	}
	if !c.profile.InRange(a) {
		return &OutOfRangeError{}
	}
	return nil
}

func (c *checker) returnTo(s string) error {
	if s == "" {
		return nil
	}
	d, err := c.out.Brand.ReturnTo(s)
	if err == nil {
		c.out.ReturnTo = d
		return nil
	}
	var foreign *ForeignError
	isForeign := errors.As(err, &foreign)
	why := err.Error()
	if isForeign {
		why = foreign.Fault
	}
	switch {
	case c.profile.homeOnBadReturnTo:
		c.out.Warnings = append(c.out.Warnings, Fault{"return_to", why + "; left out"})
	case isForeign:
		return err
	default:
		c.fault("return_to", why)
	}
	return nil
}

func (c *checker) identity(u User) {
	email, err := ParseEmail(u.Email)
	if err != nil {
		c.fault("user.email", err.Error())
	}
	c.out.claims.Email = email
	if !u.EmailVerified && !c.profile.allowUnverifiedEmail {
		c.fault("user.email_verified", "must be true: sign in only addresses that you have proof of, or have allow_unverified_email set")
	}
	if strings.TrimSpace(u.Name) == "" {
		c.fault("user.name", "is required")
	} else if why := shortTextFault(u.Name, joiners); why != "" {
		c.fault("user.name", why)
	}
	c.out.claims.Name = u.Name
}

// role is never left out in silence, not even where optional claims are: without
// it Zendesk may demote an agent, and with it promote anybody.
func (c *checker) role(u User) {
	switch a := u.Role.audience(); {
	case u.Role == RoleUnset:
		if c.profile.Serves(TeamMember) && !c.profile.omitRole {
			c.fault("user.role", "is required: this configuration signs in team members, and Zendesk takes a person without a role for an end user")
		}
	case a == "":
		c.fault("user.role", "is no role")
	case !c.profile.Serves(a):
		c.fault("user.role", fmt.Sprintf("is %s, but this configuration doesn't sign in %ss", u.Role, strings.ReplaceAll(string(a), "_", " ")))
	}
	c.out.claims.Role = u.Role
}

// optional checks the claims that a profile may prefer to leave out when they are
// bad: each set is one claim, left out whole.
func (c *checker) optional(u User) {
	claims := &c.out.claims
	c.claim(shortText("user.external_id", u.ExternalID, noJoiners), func() { claims.ExternalID = u.ExternalID })
	c.claim(customRole(u), func() { claims.CustomRoleID = u.CustomRoleID })
	c.claim(c.locale(u))
	c.claim(list("user.organizations", u.Organizations, joiners), func() {
		if len(u.Organizations) == 1 {
			claims.Organization = u.Organizations[0]
		} else {
			claims.Organizations = strings.Join(u.Organizations, ",")
		}
	})
	id, faults := c.organizationIDs(u.OrganizationIDs)
	c.claim(faults, func() {
		if len(u.OrganizationIDs) == 1 {
			claims.OrganizationID = id
		} else {
			claims.OrganizationIDs = strings.Join(u.OrganizationIDs, ",")
		}
	})
	c.claim(phoneFaults(u.Phone), func() { claims.Phone = u.Phone })
	c.claim(tagFaults(u.Tags), func() { claims.Tags = slices.Clone(u.Tags) })
	c.claim(photoFaults(u.RemotePhotoURL), func() { claims.RemotePhotoURL = u.RemotePhotoURL })
	fields, faults := userFields(u.UserFields)
	c.claim(faults, func() { claims.UserFields = fields })
}

func (c *checker) claim(faults []Fault, set func()) {
	switch {
	case len(faults) == 0:
		set()
	case c.profile.omitInvalid:
		for _, f := range faults {
			f.Description += "; the claim is left out"
			c.out.Warnings = append(c.out.Warnings, f)
		}
	default:
		c.faults = append(c.faults, faults...)
	}
}

func (c *checker) locale(u User) ([]Fault, func()) {
	const field = "user.locale_id"
	if u.LocaleID == 0 {
		return nil, func() {}
	}
	if faults := wholeNumber(field, u.LocaleID); faults != nil {
		return faults, nil
	}
	audience := u.Role.audience()
	if audience == "" {
		if len(c.profile.audiences) > 1 {
			return []Fault{{field, "needs a role: Zendesk names the claim differently for end users and team members, and this configuration signs in both"}}, nil
		}
		audience = c.profile.audiences[0]
	}
	if audience == EndUser {
		return nil, func() { c.out.claims.Locale = u.LocaleID }
	}
	return nil, func() { c.out.claims.LocaleID = u.LocaleID }
}

// organizationIDs returns what a single id leaves as. Digits with a leading zero
// stay a string even where integers are wanted: 007 and 7 are two organisations.
func (c *checker) organizationIDs(ids []string) (single any, faults []Fault) {
	const field = "user.organization_ids"
	if faults = list(field, ids, noJoiners); len(faults) > 0 || len(ids) != 1 {
		return nil, faults
	}
	id := ids[0]
	if !c.profile.integerOrganization || strings.Trim(id, "0123456789") != "" || (id[0] == '0' && id != "0") {
		return id, nil
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n > maxExactInt {
		return nil, []Fault{{field + "[0]", "is beyond 2^53 - 1, where whole numbers lose digits, and this configuration sends it as an integer"}}
	}
	return n, nil
}

func customRole(u User) []Fault {
	const field = "user.custom_role_id"
	faults := wholeNumber(field, u.CustomRoleID)
	if u.CustomRoleID != 0 && u.Role != RoleAgent {
		faults = append(faults, Fault{field, "goes only with the role agent"})
	}
	return faults
}

func wholeNumber(field string, n int64) []Fault {
	if n < 0 || n > maxExactInt {
		return []Fault{{field, "must be between 1 and 2^53 - 1"}}
	}
	return nil
}

func shortTextFault(s string, j joiner) string {
	if why := textFault(s, j); why != "" {
		return why
	}
	if n := utf8.RuneCountInString(s); n > maxText {
		return fmt.Sprintf("has %d characters, more than %d", n, maxText)
	}
	return ""
}

func shortText(field, s string, j joiner) []Fault {
	if why := shortTextFault(s, j); why != "" {
		return []Fault{{field, why}}
	}
	return nil
}

// list checks names or ids that Zendesk reads from one comma-separated string.
func list(field string, items []string, j joiner) (faults []Fault) {
	if len(items) > maxItems {
		return []Fault{{field, fmt.Sprintf("has %d entries, more than %d", len(items), maxItems)}}
	}
	for i, s := range items {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case strings.TrimSpace(s) == "":
			faults = append(faults, Fault{at, "is empty"})
		case strings.Contains(s, ","):
			faults = append(faults, Fault{at, "holds a comma, at which Zendesk would split it in two"})
		default:
			faults = append(faults, shortText(at, s, j)...)
		}
	}
	return faults
}

func phoneFaults(s string) []Fault {
	if s != "" && !phone.MatchString(s) {
		return []Fault{{"user.phone", "is not in E.164: write + and 8 to 15 digits, country code first"}}
	}
	return nil
}

func tagFaults(tags []string) (faults []Fault) {
	if len(tags) > maxItems {
		return []Fault{{"user.tags.values", fmt.Sprintf("has %d entries, more than %d", len(tags), maxItems)}}
	}
	for i, t := range tags {
		at := fmt.Sprintf("user.tags.values[%d]", i)
		if t == "" || strings.ContainsAny(t, " ,") {
			faults = append(faults, Fault{at, "is empty, or holds a space or comma, at which Zendesk would split it"})
		} else {
			faults = append(faults, shortText(at, t, noJoiners)...)
		}
	}
	return faults
}

func photoFaults(s string) []Fault {
	if s == "" {
		return nil
	}
	const field = "user.remote_photo_url"
	if why := textFault(s, noJoiners); why != "" {
		return []Fault{{field, why}}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(s) > maxURL || strings.ContainsAny(s, ` \`) {
		return []Fault{{field, fmt.Sprintf("must be an https URL without user name, of %d bytes at most", maxURL)}}
	}
	return nil
}

// userFields makes JSON's one number type into what Zendesk's fields are: whole
// numbers leave as integers.
func userFields(in map[string]any) (out map[string]any, faults []Fault) {
	if len(in) > maxItems {
		return nil, []Fault{{"user.user_fields", fmt.Sprintf("has %d entries, more than %d", len(in), maxItems)}}
	}
	out = make(map[string]any, len(in))
	for _, key := range slices.Sorted(maps.Keys(in)) {
		at := fmt.Sprintf("user.user_fields[%q]", key)
		if key == "" {
			faults = append(faults, Fault{at, "has an empty key"})
		} else {
			faults = append(faults, shortText(at, key, noJoiners)...)
		}
		value, why := fieldValue(in[key])
		if why != "" {
			faults = append(faults, Fault{at, why})
		}
		out[key] = value
	}
	return out, faults
}

func fieldValue(v any) (value any, fault string) {
	switch v := v.(type) {
	case nil, bool:
		return v, ""
	case string:
		if len(v) > maxField {
			return nil, fmt.Sprintf("has %d bytes, more than %d", len(v), maxField)
		}
		return v, textFault(v, joiners)
	case float64:
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return nil, "is not a number that JSON can hold"
		case math.Abs(v) > maxExactInt:
			return nil, "is beyond 2^53 - 1, where whole numbers lose digits: send it as a string"
		case v == math.Trunc(v):
			return int64(v), ""
		}
		return v, ""
	}
	return nil, "must be a string, a number, a bool or null"
}
