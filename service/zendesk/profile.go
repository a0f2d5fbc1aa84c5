package zendesk

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Profile is a checked zendesk_sso configuration. It is immutable and safe for concurrent use.
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
	omits                map[string]bool // the optional claims that are left out if they are invalid
	emailForms           []EmailForm
	onBadReturnTo        string
}

// Brand is one Zendesk brand of a profile. It is immutable.
type Brand struct {
	// ID is Zendesk's brand_id.
	ID string
	// Name is the brand's display name.
	Name string
	// Subdomain is the brand's subdomain at Zendesk.
	Subdomain string
	// Hosts are the brand's mapped hosts.
	Hosts []string
	// Default marks the brand for requests that name none.
	Default bool
	// Action is the URL that the form is posted to. Zendesk accepts tokens only at the subdomain,
	// never at a mapped host.
	Action string
	// FormActionSources are the Content-Security-Policy sources for the POST and the redirects
	// after it.
	FormActionSources []string

	origins        []string // the origins that return_to may name, as "https://host"
	hosts          []string // their hosts, with the port if any
	zendeskTargets bool     // return_to may be one of Zendesk's own targets
}

// New returns a profile. It fails if [Check] reports a fault. Call Check first for the full list
// with keys.
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
		omits:                s.omits(),
		emailForms:           slices.Clone(s.EmailForms),
		onBadReturnTo:        s.OnBadReturnTo,
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
	origin := normalizeOrigin(s.endpointOf(b.Subdomain))
	brand := &Brand{
		ID:        b.ID,
		Name:      b.Name,
		Subdomain: b.Subdomain,
		Hosts:     slices.Clone(b.Hosts),
		Action:    origin + Path,
		origins:   []string{origin},

		zendeskTargets: s.ZendeskTargets == nil || *s.ZendeskTargets,
	}
	if own := (Settings{}).endpointOf(b.Subdomain); own != origin {
		brand.origins = append(brand.origins, own) // valid even if forms are posted to the sandbox
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

// Audiences returns the audiences that Zendesk has assigned the configuration to.
func (p *Profile) Audiences() []Audience { return slices.Clone(p.audiences) }

// Brands returns the brands in the order of the configuration file.
func (p *Profile) Brands() []*Brand { return slices.Clone(p.brands) }

// Brand returns the brand with this brand_id, or the default brand if id is empty. It returns nil
// if the profile has no such brand.
func (p *Profile) Brand(id string) *Brand {
	if id == "" {
		return p.fallback
	}
	return p.byID[id]
}

// Serves reports whether the profile is for the audience. It is true for the empty audience.
func (p *Profile) Serves(a Audience) bool { return a == "" || slices.Contains(p.audiences, a) }

// IPRanges returns the ranges of the configuration, in CIDR notation.
func (p *Profile) IPRanges() (ranges []string) {
	for _, r := range p.ipRanges {
		ranges = append(ranges, r.String())
	}
	return ranges
}

// EmitsExp reports whether the profile's tokens have an exp.
func (p *Profile) EmitsExp() bool { return p.emitExp }

// InRange reports whether Zendesk sends a browser with this address to the profile's sign-in.
// Without ranges, that is every browser.
func (p *Profile) InRange(a netip.Addr) bool {
	a = a.Unmap()
	return len(p.ipRanges) == 0 || slices.ContainsFunc(p.ipRanges, func(r netip.Prefix) bool { return r.Contains(a) })
}

// AllHosts returns the hosts for which HasHost is true. One may be there twice.
func (b *Brand) AllHosts() []string { return slices.Clone(b.hosts) }

// HasHost reports whether a return_to may name this host, with its port if any.
func (b *Brand) HasHost(host string) bool { return slices.Contains(b.hosts, host) }
