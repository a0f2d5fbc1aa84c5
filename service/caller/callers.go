package caller

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Identity is one way in which a caller is known: exactly one of its fields is set.
type Identity struct {
	// MTLSURI is a URI of the client certificate's subject alternative names, such as
	// a SPIFFE ID, compared as it stands. A certificate's common name is never looked at.
	MTLSURI string `yaml:"mtls_uri"`
	// MTLSDNS is a DNS name of the same, compared without regard to ASCII case
	// (RFC 4343). A wildcard in a certificate stands for nothing but itself.
	MTLSDNS string `yaml:"mtls_dns"`
	// JWT is what a bearer token must say.
	JWT *JWT `yaml:"jwt"`
	// APIKeySHA256 is [HashKey] of an API key.
	APIKeySHA256 string `yaml:"api_key_sha256"`
}

// JWT is what a verified token must say to be a caller's.
type JWT struct {
	// Issuer is the name of an [Issuer].
	Issuer string `yaml:"issuer"`
	// Subject is the claim sub; empty: any, where Claims tell the caller.
	Subject string `yaml:"subject"`
	// Claims are further ones, each with the text of its value: "true" and true are
	// one, as are "7" and 7. Only a single value equals another, no list or object.
	Claims map[string]any `yaml:"claims"`
}

// Callers are all callers of a configuration, by what they are known by. They are
// immutable, but for remembering tokens that they have verified, and implement [Authenticator].
type Callers struct {
	keys    map[[sha256.Size]byte]string
	uris    map[string]string
	names   map[string]string  // DNS names, in lower case
	issuers map[string]*issuer // by the claim iss
	memo    memo
}

// New makes the table of the callers' identities, each caller's under its name. The
// keys of the issuers are those that sets keeps; nil: sets of the table's own.
func New(callers map[string][]Identity, issuers []Issuer, sets *KeySets) (*Callers, error) {
	if sets == nil {
		sets = NewKeySets(KeySetOptions{})
	}
	c := &Callers{
		keys: make(map[[sha256.Size]byte]string), uris: make(map[string]string),
		names: make(map[string]string), issuers: make(map[string]*issuer),
	}
	byName := make(map[string]*issuer, len(issuers))
	for _, settings := range issuers {
		if c.issuers[settings.Issuer] != nil || byName[settings.Name] != nil {
			return nil, fmt.Errorf("issuer %s stands twice", settings.Name)
		}
		i := newIssuer(settings, sets)
		c.issuers[settings.Issuer], byName[settings.Name] = i, i
	}
	for _, name := range slices.Sorted(maps.Keys(callers)) {
		for _, id := range callers[name] {
			if err := c.add(name, id, byName); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *Callers) add(name string, id Identity, issuers map[string]*issuer) error {
	switch {
	case id.MTLSURI != "":
		return claim(c.uris, id.MTLSURI, name, "mtls_uri")
	case id.MTLSDNS != "":
		return claim(c.names, lower(id.MTLSDNS), name, "mtls_dns")
	case id.JWT != nil:
		i := issuers[id.JWT.Issuer]
		if i == nil {
			return fmt.Errorf("caller %s: there is no issuer %s", name, id.JWT.Issuer)
		}
		return i.add(name, *id.JWT)
	}
	sum, err := ParseHash(id.APIKeySHA256)
	if err != nil {
		return fmt.Errorf("caller %s: %w", name, err)
	}
	return claim(c.keys, sum, name, "API key")
}

// claim notes whose an identity is. That of two callers would make one of them, by
// the order of a map.
func claim[K comparable](of map[K]string, identity K, name, what string) error {
	if before, ok := of[identity]; ok && before != name {
		return fmt.Errorf("callers %s and %s have the same %s", min(before, name), max(before, name), what)
	}
	of[identity] = name
	return nil
}

// Authenticate implements [Authenticator]. It waits for the network only where a
// token names a key that its issuer wasn't known to have, and then as long as ctx
// and [KeySets] allow.
func (c *Callers) Authenticate(ctx context.Context, shown Credentials) (Caller, error) {
	certified, err := c.certified(shown.Certificate)
	certificate := err != nil || certified != Caller{}
	switch {
	case certificate && len(shown.Authorization) > 0:
		return Caller{}, ErrSeveral // even an empty or malformed one: something set it
	case certificate:
		return certified, err
	}
	bearer, err := Bearer(shown.Authorization)
	switch {
	case err != nil:
		return Caller{}, err
	case len(bearer) > maxToken:
		return Caller{}, ErrMalformed
	}
	// Looking up the hash of what was sent takes the same time whichever key it resembles.
	sum := sha256.Sum256([]byte(bearer))
	if name, ok := c.keys[sum]; ok {
		return Caller{Name: name, Method: MethodAPIKey}, nil
	}
	if len(c.issuers) == 0 || strings.HasPrefix(bearer, KeyPrefix) || strings.Count(bearer, ".") != 2 {
		return Caller{}, ErrUnknown
	}
	return c.tokened(ctx, bearer, sum)
}

// certified finds the caller that a certificate names; no caller and no error: none.
//
// A URI is compared as net/url writes it, which differs from what stands in the
// certificate at most in the case of the scheme and in an empty fragment.
func (c *Callers) certified(leaf *x509.Certificate) (Caller, error) {
	if leaf == nil {
		return Caller{}, nil
	}
	var found Caller
	for _, uri := range leaf.URIs {
		if name, ok := c.uris[uri.String()]; ok && !found.become(name, MethodMTLSURI) {
			return Caller{}, ErrAmbiguous
		}
	}
	for _, dns := range leaf.DNSNames {
		if name, ok := c.names[lower(dns)]; ok && !found.become(name, MethodMTLSDNS) {
			return Caller{}, ErrAmbiguous
		}
	}
	return found, nil
}

// become makes c the caller of that name, and is false where it is another already.
func (c *Caller) become(name, method string) bool {
	if c.Name == "" {
		*c = Caller{Name: name, Method: method}
	}
	return c.Name == name
}

// lower is ASCII's lower case alone: that of Unicode turns the Kelvin sign into k.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
