package zendesk

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/text"
)

// Checked is a validated and normalised sign-in, without iat and jti. It can be signed.
type Checked struct {
	// Brand is the brand that the token is posted to.
	Brand *Brand
	// ReturnTo is the return_to to post. Its zero value means none.
	ReturnTo Destination
	// Warnings describes what was cleaned, or left out because of the profile's settings.
	Warnings []Violation

	email   string
	claims  encodedClaims
	emitExp bool
}

// Email returns the checked address.
func (c *Checked) Email() string { return c.email }

// Claims returns the claims as a JSON object, without iat, jti and exp.
func (c *Checked) Claims() []byte { return slices.Clone(c.claims.object) }

// Parsed is a sign-in whose email and return_to have been parsed. Grants limit both, so they are
// needed before the check. A part that can't be parsed is empty, and the check reports it.
type Parsed struct {
	// Email is the address that policy, limits, records and the token use. The check may still
	// refuse its form.
	Email    string
	ReturnTo Destination

	signIn      SignIn // with a cleaned name
	warnings    []Violation
	brand       *Brand
	address     address
	emailErr    error
	returnToErr error
}

// Parse parses the email of a sign-in and cleans the name. It removes white space around both, and
// harmless invisible characters from the name. It removes nothing else from an email, because that
// is an identity.
func Parse(r SignIn) *Parsed {
	p := &Parsed{signIn: r}
	u := &p.signIn.User
	p.address, p.emailErr = parseAddress(p.trimmed("user.email", u.Email))
	p.Email = p.address.email
	name, cleaned := text.Clean(u.Name)
	if cleaned {
		p.warnings = append(p.warnings, Violation{"user.name", "has invisible characters, which are removed"})
	}
	u.Name = p.trimmed("user.name", name)
	return p
}

// trimmed returns the value of a field without white space around it.
func (p *Parsed) trimmed(field, value string) string {
	trimmed := strings.TrimSpace(value)
	if trimmed != value && trimmed != "" { // otherwise the field is refused
		p.warnings = append(p.warnings, Violation{field, "has white space at its start or end, which is removed"})
	}
	return trimmed
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

// CheckUser is Check for a user who signs in at the first brand, with a browser that is in the
// profile's IP ranges.
func (p *Profile) CheckUser(u User) (*Checked, error) {
	r := SignIn{User: u}
	if len(p.ipRanges) > 0 {
		r.ClientIP = p.ipRanges[0].Addr().String()
	}
	return p.Check(p.brands[0], r)
}

// CheckParsed is Check for a sign-in that has been parsed at a brand of the profile.
func (p *Profile) CheckParsed(in *Parsed) (*Checked, error) {
	if in.brand == nil {
		return nil, errors.New("zendesk: the return_to of the sign-in has not been parsed")
	}
	r := &in.signIn
	c := checker{profile: p, out: Checked{Brand: in.brand, Warnings: slices.Clip(in.warnings), emitExp: p.emitExp}}
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
	case c.profile.onBadReturnTo == "home", c.profile.onBadReturnTo != "refuse" && in.signIn.ShowsRefusal:
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
	err := in.emailErr
	if err == nil {
		err = in.address.allowedBy(c.profile.emailForms)
	}
	if err != nil {
		c.fault("user.email", err.Error())
	}
	c.claims.Email = in.Email
	if !u.EmailVerified && !c.profile.allowUnverifiedEmail {
		c.fault("user.email_verified",
			"must be true: sign in only verified addresses, or have allow_unverified_email set")
	}
	if why := shortTextFault(u.Name, text.AllowJoiners); why != "" {
		c.fault("user.name", why)
	} else if text.IsBlank(u.Name) { // perhaps because it was cleaned
		c.fault("user.name", "is required: at least one of its characters must be visible")
	}
	c.claims.Name = u.Name
}

// role is never left out silently, even if optional claims are. Without the claim, Zendesk may
// demote an agent. With a wrong one, it may promote anyone.
func (c *checker) role(u *User) {
	switch a := u.Role.Audience(); {
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
