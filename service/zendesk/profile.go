package zendesk

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Profile is one checked zendesk_sso configuration. It is immutable and safe for
// concurrent use.
type Profile struct {
	audiences            []Audience
	ipRanges             []netip.Prefix
	brands               []*Brand
	byID                 map[string]*Brand
	fallback             *Brand
	allowUnverifiedEmail bool
	omitRole             bool
	emitExp              bool
	integerOrganization  bool
	omitInvalid          bool
	homeOnBadReturnTo    bool
}

// Brand is one Zendesk brand of a profile. It is immutable.
type Brand struct {
	// ID is Zendesk's brand_id.
	ID string
	// Name is what the brand calls itself.
	Name string
	// Subdomain is the brand's own at Zendesk.
	Subdomain string
	// Hosts are the mapped hosts.
	Hosts []string
	// Default says that requests which name no brand mean this one.
	Default bool
	// Action is the URL that the form is posted to. Zendesk takes tokens at the
	// subdomain only, never at a mapped host.
	Action string
	// FormActionSources are the Content-Security-Policy sources that the POST and
	// the redirects after it pass through.
	FormActionSources []string

	origins []string // those that return_to may name, as "https://host"
	hosts   []string // theirs, with the port if any
}

// New makes a profile. It fails where [Check] would report a fault; call Check
// first for the whole list and the keys.
func New(s Settings, brands []BrandSettings) (*Profile, error) {
	var faults []error
	Check(s, brands, func(key, fault string) { faults = append(faults, errors.New(key+" "+fault)) })
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	p := &Profile{
		audiences:            slices.Clone(s.Audiences),
		byID:                 make(map[string]*Brand, len(brands)),
		allowUnverifiedEmail: s.AllowUnverifiedEmail,
		omitRole:             s.OmitRole,
		emitExp:              s.EmitExp,
		integerOrganization:  s.OrganizationIDType == "integer",
		omitInvalid:          s.OnInvalidOptional == "omit",
		homeOnBadReturnTo:    s.OnBadReturnTo == "home",
	}
	for _, r := range s.IPRanges {
		p.ipRanges = append(p.ipRanges, netip.MustParsePrefix(r))
	}
	for _, b := range brands {
		brand := newBrand(s, b)
		brand.Default = b.Default || len(brands) == 1
		p.brands = append(p.brands, brand)
		p.byID[brand.ID] = brand
		if brand.Default {
			p.fallback = brand
		}
	}
	return p, nil
}

func newBrand(s Settings, b BrandSettings) *Brand {
	at := func(endpoint string) string { return strings.ReplaceAll(endpoint, "{subdomain}", b.Subdomain) }
	origin := at(s.endpoint())
	brand := &Brand{
		ID:        b.ID,
		Name:      b.Name,
		Subdomain: b.Subdomain,
		Hosts:     slices.Clone(b.Hosts),
		Action:    origin + Path,
		origins:   []string{origin},
	}
	if own := at(defaultEndpoint); own != origin {
		brand.origins = append(brand.origins, own) // the brand's also where forms go to the sandbox
	}
	if brand.Name == "" {
		brand.Name = b.Subdomain
	}
	for _, h := range b.Hosts {
		brand.origins = append(brand.origins, "https://"+h)
	}
	for _, o := range brand.origins {
		_, host, _ := strings.Cut(o, "://") // an origin has no more parts
		brand.hosts = append(brand.hosts, host)
	}
	for _, o := range slices.Concat(brand.origins, s.Origins) {
		if !slices.Contains(brand.FormActionSources, o) {
			brand.FormActionSources = append(brand.FormActionSources, o)
		}
	}
	return brand
}

// Audiences are those that Zendesk has assigned the configuration to.
func (p *Profile) Audiences() []Audience { return slices.Clone(p.audiences) }

// Brands are the profile's, in the order of the configuration file.
func (p *Profile) Brands() []*Brand { return slices.Clone(p.brands) }

// Brand finds a brand by Zendesk's brand_id; the default one where id is empty.
// It returns nil where the profile has no such brand.
func (p *Profile) Brand(id string) *Brand {
	if id == "" {
		return p.fallback
	}
	return p.byID[id]
}

// Serves is true where the profile is for the audience; every profile is for none
// in particular.
func (p *Profile) Serves(a Audience) bool { return a == "" || slices.Contains(p.audiences, a) }

// InRange is true where Zendesk sends a browser at this address to the profile's
// sign-in: without ranges, any browser.
func (p *Profile) InRange(a netip.Addr) bool {
	a = a.Unmap()
	return len(p.ipRanges) == 0 || slices.ContainsFunc(p.ipRanges, func(r netip.Prefix) bool { return r.Contains(a) })
}

// HasHost is true where a return_to at this host, with its port if any, is the brand's.
func (b *Brand) HasHost(host string) bool { return slices.Contains(b.hosts, host) }
