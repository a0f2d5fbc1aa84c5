package zendesk

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/text"
)

// Audience is a group of people that Zendesk can assign a configuration to.
type Audience string

// The audiences of Zendesk.
const (
	EndUser    Audience = "end_user"    // customers
	TeamMember Audience = "team_member" // agents, light agents and administrators
)

// Settings is the zendesk_sso block of a configuration, without its brands.
type Settings struct {
	// Audiences are the groups that Zendesk has assigned the configuration to. Required.
	Audiences []Audience `yaml:"audiences"`
	// Endpoint is the origin that forms are posted to, with {subdomain} in place of the brand's
	// subdomain. The default is https://{subdomain}.zendesk.com. Any other host is that of a
	// sandbox. Plain http is allowed for loopback hosts only.
	Endpoint string `yaml:"endpoint"`
	// IPRanges are CIDR ranges. If there are any, they must contain the client_ip of every request.
	IPRanges []string `yaml:"ip_ranges"`
	// Origins are further origins that the browser visits after the POST: the remote login and
	// logout pages. The brand's origins need not be listed.
	Origins []string `yaml:"origins"`
	// AllowUnverifiedEmail accepts addresses that the caller hasn't verified.
	AllowUnverifiedEmail bool `yaml:"allow_unverified_email"`
	// OmitRole allows a team-member configuration to sign in people without a role.
	OmitRole bool `yaml:"omit_role"`
	// EmitExp adds the claim exp, which Zendesk doesn't document.
	EmitExp bool `yaml:"emit_exp"`
	// OrganizationIDType is the JSON type of a single organization_id: "string"
	// (the default) or "integer", for ids that are whole numbers.
	OrganizationIDType string `yaml:"organization_id_type"`
	// OnInvalidOptional selects what happens to an invalid value in an optional claim: "refuse"
	// refuses the request, and "omit" leaves out the value with a warning. It is one of them for all
	// claims, or a map from claims to them. A claim that the map doesn't name keeps its default:
	// omit for phone, remote_photo_url and locale_id, and refuse for the others.
	OnInvalidOptional any `yaml:"on_invalid_optional"`
	// EmailForms are forms of addresses that are accepted in addition to the usual ones.
	EmailForms []EmailForm `yaml:"email_forms"`
	// OnBadReturnTo selects what happens to an invalid return_to: "refuse" refuses the request, and
	// "home" leaves it out. "auto" (the default) leaves it out if the person would see the refusal,
	// and refuses otherwise.
	OnBadReturnTo string `yaml:"on_bad_return_to"`
	// ZendeskTargets allows a return_to that is one of Zendesk's own targets, which redirect to a URL
	// in their query. The default is true.
	ZendeskTargets *bool `yaml:"zendesk_targets"`
}

// BrandSettings is the Zendesk part of a brand in a configuration.
type BrandSettings struct {
	// ID is Zendesk's brand_id, decimal digits. Required.
	ID string `yaml:"id"`
	// Name is displayed on the page. The default is the subdomain.
	Name string `yaml:"name"`
	// Subdomain is the Zendesk subdomain. Required.
	Subdomain string `yaml:"subdomain"`
	// Hosts are the mapped hosts that return_to may name.
	Hosts []string `yaml:"hosts"`
	// Default marks the brand for requests that name none.
	Default bool `yaml:"default"`
}

// Path is the path at a brand's origin at which Zendesk accepts sign-in tokens.
const Path = "/access/jwt"

var (
	brandID   = regexp.MustCompile(`^[0-9]{1,20}$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// Check reports every fault of the settings and brands. Keys are relative to the zendesk_sso block.
func Check(s Settings, brands []BrandSettings, report func(key, fault string)) {
	if len(s.Audiences) == 0 {
		report("audiences", "is required: end_user, team_member, or both")
	}
	for i, a := range s.Audiences {
		key := fmt.Sprintf("audiences[%d]", i)
		if a != EndUser && a != TeamMember {
			report(key, fmt.Sprintf("%q is no audience: use end_user or team_member", a))
		} else if slices.Index(s.Audiences, a) < i {
			report(key, fmt.Sprintf("%s is listed twice", a))
		}
	}
	if s.Endpoint != "" {
		if fault := s.checkEndpoint(brands); fault != "" {
			report("endpoint", fault)
		}
	}
	for i, r := range s.IPRanges {
		if p, err := netip.ParsePrefix(r); err != nil || p.Addr().Is4In6() {
			report(fmt.Sprintf("ip_ranges[%d]", i),
				fmt.Sprintf("%q is no range: write it as 192.0.2.0/24 or 2001:db8::/32", r))
		} else if p != p.Masked() {
			report(fmt.Sprintf("ip_ranges[%d]", i),
				fmt.Sprintf("%s has bits beyond its length: did you mean %s?", r, p.Masked()))
		}
	}
	for i, o := range s.Origins {
		if fault := originFault(o); fault != "" {
			report(fmt.Sprintf("origins[%d]", i), fault)
		}
	}
	checkChoice(report, "organization_id_type", s.OrganizationIDType, "string", "integer")
	checkInvalidOptional(report, s.OnInvalidOptional)
	for i, form := range s.EmailForms {
		key := fmt.Sprintf("email_forms[%d]", i)
		if !slices.Contains(EmailForms(), form) {
			report(key, fmt.Sprintf("%q is none of its values: use %s, %s, %s", form,
				CarrierDots, UnderscoredDomains, InternationalDomains))
		} else if slices.Index(s.EmailForms, form) < i {
			report(key, fmt.Sprintf("%s is listed twice", form))
		}
	}
	checkChoice(report, "on_bad_return_to", s.OnBadReturnTo, "refuse", "home", "auto")
	checkBrands(s, brands, report)
}

// Warn reports settings that are valid, but with which some sign-ins fail. Keys are as in Check.
func Warn(s Settings, report func(key, warning string)) {
	if len(s.Origins) == 0 {
		report("origins", "is empty: Chromium and Safari stay at the sign-in page when Zendesk redirects to the "+
			"remote login or logout URL, as it does after an error. List the origins of both URLs, such as "+
			"https://login.example.com")
	}
}

func checkBrands(s Settings, brands []BrandSettings, report func(key, fault string)) {
	if len(brands) == 0 {
		report("brands", "is required: at least one brand with its id and subdomain")
		return
	}
	ids, subdomains, defaults := map[string]bool{}, map[string]bool{}, 0
	for i, b := range brands {
		at := func(key string) string { return fmt.Sprintf("brands[%d].%s", i, key) }
		switch {
		case !brandID.MatchString(b.ID):
			report(at("id"),
				fmt.Sprintf("%q is no brand id: it is the whole number that Zendesk sends as brand_id", b.ID))
		case ids[b.ID]:
			report(at("id"), "another brand of this configuration has the same id")
		}
		switch {
		case !subdomain.MatchString(b.Subdomain):
			report(at("subdomain"),
				fmt.Sprintf("%q is no Zendesk subdomain: write the part before .zendesk.com, which has lower-case "+
					"letters, digits and hyphens", b.Subdomain))
		case subdomains[b.Subdomain] && strings.Contains(s.endpoint(), placeholder):
			report(at("subdomain"), "another brand of this configuration has the same subdomain")
		}
		if fault := text.Fault(b.Name, text.AllowJoiners); fault != "" {
			report(at("name"), fault)
		}
		for j, h := range b.Hosts {
			if fault := hostFault(h); fault != "" {
				report(at(fmt.Sprintf("hosts[%d]", j)), fault)
			}
		}
		ids[b.ID], subdomains[b.Subdomain] = true, true
		if b.Default {
			defaults++
		}
	}
	if defaults != 1 && (defaults > 1 || len(brands) > 1) {
		report("brands", fmt.Sprintf("%d brands are the default: mark exactly one", defaults))
	}
}

func checkChoice(report func(key, fault string), key, value string, choices ...string) {
	if value != "" && !slices.Contains(choices, value) {
		report(key, fmt.Sprintf("%q is none of its values: use %s", value, strings.Join(choices, ", ")))
	}
}
