package zendesk

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/deskmint/deskmint/service/text"
)

// Checked is a validated and normalised sign-in, without iat and jti. It can be signed.
type Checked struct {
	// Brand is the brand that the token is posted to.
	Brand *Brand
	// ReturnTo is the return_to to post. Its zero value means none.
	ReturnTo Destination
	// Warnings describes what was left out because of the profile's settings.
	Warnings []Violation

	email   string
	claims  encodedClaims
	emitExp bool
}

// Email returns the checked address.
func (c *Checked) Email() string { return c.email }

// Parsed is a sign-in whose email and return_to have been parsed. Grants limit both, so they are
// needed before the check. A part that can't be parsed is empty, and the check reports it.
type Parsed struct {
	Email    string
	ReturnTo Destination

	signIn      SignIn
	brand       *Brand
	emailErr    error
	returnToErr error
}

// Parse parses the email of a sign-in.
func Parse(r SignIn) *Parsed {
	p := &Parsed{signIn: r}
	p.Email, p.emailErr = ParseEmail(r.User.Email)
	return p
}

// At parses the return_to at the brand that the user signs in at.
func (p *Parsed) At(b *Brand) *Parsed {
	p.brand = b
	if p.signIn.ReturnTo != "" {
		p.ReturnTo, p.returnToErr = b.ReturnTo(p.signIn.ReturnTo)
	}
	return p
}

// Check validates a sign-in at a brand of the profile and turns the user into claims. It reports
// all faults together as an [*InvalidError]. If there are none, it reports a return_to outside the
// brand as a [*ForeignError], and otherwise a browser outside the profile's IP ranges as an
// [*OutOfRangeError].
func (p *Profile) Check(b *Brand, r SignIn) (*Checked, error) { return p.CheckParsed(Parse(r).At(b)) }

// CheckParsed is Check for a sign-in that has been parsed at a brand of the profile.
func (p *Profile) CheckParsed(in *Parsed) (*Checked, error) {
	if in.brand == nil {
		return nil, errors.New("zendesk: the return_to of the sign-in has not been parsed")
	}
	r := &in.signIn
	c := checker{profile: p, out: Checked{Brand: in.brand, emitExp: p.emitExp}}
	ipErr := c.clientIP(r.ClientIP)
	foreign := c.returnTo(in)
	c.identity(in)
	c.role(&r.User)
	c.optional(&r.User)
	c.encode()
	switch {
	case len(c.violations) > 0:
		return nil, &InvalidError{c.violations}
	case foreign != nil:
		return nil, foreign
	case ipErr != nil:
		return nil, ipErr
	}
	return &c.out, nil
}

// checker collects the faults of one sign-in.
type checker struct {
	profile    *Profile
	violations []Violation
	claims     Claims
	out        Checked
}

func (c *checker) encode() {
	claims, err := c.claims.encode()
	if err != nil {
		c.fault("user", "can't be written as JSON")
	} else if n := claims.size(); n > maxClaims {
		c.fault("user", fmt.Sprintf("makes %d bytes of claims, more than the maximum of %d: send less", n, maxClaims))
	}
	c.out.email, c.out.claims = c.claims.Email, claims
}

func (c *checker) fault(field, description string) {
	c.violations = append(c.violations, Violation{field, description})
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

func (c *checker) returnTo(in *Parsed) error {
	err := in.returnToErr
	if err == nil {
		c.out.ReturnTo = in.ReturnTo
		return nil
	}
	var foreign *ForeignError
	isForeign := errors.As(err, &foreign)
	why := err.Error()
	if isForeign {
		why = foreign.Description
	}
	switch {
	case c.profile.homeOnBadReturnTo:
		c.out.Warnings = append(c.out.Warnings, Violation{"return_to", why + "; left out"})
	case isForeign:
		return err
	default:
		c.fault("return_to", why)
	}
	return nil
}

func (c *checker) identity(in *Parsed) {
	u := &in.signIn.User
	if in.emailErr != nil {
		c.fault("user.email", in.emailErr.Error())
	}
	c.claims.Email = in.Email
	if !u.EmailVerified && !c.profile.allowUnverifiedEmail {
		c.fault("user.email_verified",
			"must be true: sign in only verified addresses, or have allow_unverified_email set")
	}
	if blank(u.Name) {
		c.fault("user.name", "is required")
	} else if why := shortTextFault(u.Name, text.AllowJoiners); why != "" {
		c.fault("user.name", why)
	}
	c.claims.Name = u.Name
}

// role is never left out silently, even if optional claims are. Without the claim, Zendesk may
// demote an agent. With a wrong one, it may promote anyone.
func (c *checker) role(u *User) {
	switch a := u.Role.audience(); {
	case u.Role == RoleUnset:
		if c.profile.Serves(TeamMember) && !c.profile.omitRole {
			c.fault("user.role", "is required: this configuration signs in team members, "+
				"and Zendesk treats a person without a role as an end user")
		}
	case a == "":
		c.fault("user.role", "is no role")
	case !c.profile.Serves(a):
		people := strings.ReplaceAll(string(a), "_", " ") + "s"
		c.fault("user.role", fmt.Sprintf("is %s, but this configuration doesn't sign in %s", u.Role, people))
	}
	c.claims.Role = u.Role
}

// optional checks the optional claims. A profile may leave out invalid ones, each as a whole.
func (c *checker) optional(u *User) {
	claims := &c.claims
	c.claim(externalIDFaults(u.ExternalID), func() { claims.ExternalID = u.ExternalID })
	c.customRole(u)
	c.claim(c.locale(u))
	c.claim(list("user.organizations", u.Organizations, text.AllowJoiners), func() {
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

func (c *checker) claim(faults []Violation, set func()) {
	switch {
	case len(faults) == 0:
		set()
	case c.profile.omitInvalid:
		for _, f := range faults {
			f.Description += "; the claim is left out"
			c.out.Warnings = append(c.out.Warnings, f)
		}
	default:
		c.violations = append(c.violations, faults...)
	}
}

// customRole is never left out of an agent's token. A light agent is an agent with a custom role,
// and becomes a full agent without it.
func (c *checker) customRole(u *User) {
	const field = "user.custom_role_id"
	faults := wholeNumber(field, u.CustomRoleID)
	switch {
	case u.Role == RoleAgent:
		c.violations = append(c.violations, faults...)
		c.claims.CustomRoleID = u.CustomRoleID
	case u.CustomRoleID != 0:
		c.claim(append(faults, Violation{field, "goes only with the role agent"}), nil)
	}
}

func (c *checker) locale(u *User) ([]Violation, func()) {
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
			return []Violation{{field, "needs a role: Zendesk names the claim differently for end users and " +
				"team members, and this configuration signs in both"}}, nil
		}
		audience = c.profile.audiences[0]
	}
	if audience == EndUser {
		return nil, func() { c.claims.Locale = u.LocaleID }
	}
	return nil, func() { c.claims.LocaleID = u.LocaleID }
}

// organizationIDs returns the claim for a single id. Digits with a leading zero stay a string even
// if the profile sends integers, because 007 and 7 are two organisations.
func (c *checker) organizationIDs(ids []string) (single any, faults []Violation) {
	const field = "user.organization_ids"
	if faults = list(field, ids, text.RefuseJoiners); len(faults) > 0 || len(ids) != 1 {
		return nil, faults
	}
	id := ids[0]
	if !c.profile.integerOrganization || strings.Trim(id, "0123456789") != "" || (id[0] == '0' && id != "0") {
		return id, nil
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n > maxExactInt {
		return nil, []Violation{{field + "[0]", "is beyond 2^53 - 1, where whole numbers lose digits, " +
			"and this configuration sends it as an integer"}}
	}
	return n, nil
}
