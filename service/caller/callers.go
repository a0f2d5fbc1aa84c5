package caller

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Callers are all callers of a configuration, by what they are known by. They are
// immutable, but for remembering tokens that they have verified, and implement [Authenticator].
type Callers struct {
	keys    map[[sha256.Size]byte]known
	uris    map[string]known
	names   map[string]known   // DNS names, in lower case
	issuers map[string]*issuer // by the claim iss
	now     func() time.Time
	memo    memo
}

// New makes the table of the callers' identities, each caller's under its name. The
// keys of the issuers are those that sets keeps; nil: sets of the table's own.
func New(callers map[string][]Identity, issuers []Issuer, sets *KeySets) (*Callers, error) {
	if sets == nil {
		sets = NewKeySets(KeySetOptions{})
	}
	c := &Callers{
		keys: make(map[[sha256.Size]byte]known), uris: make(map[string]known),
		names: make(map[string]known), issuers: make(map[string]*issuer), now: sets.now,
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
		return claim(c.uris, id.MTLSURI, id.known(name, MethodMTLSURI), "mtls_uri")
	case id.MTLSDNS != "":
		return claim(c.names, lower(id.MTLSDNS), id.known(name, MethodMTLSDNS), "mtls_dns")
	case id.JWT != nil:
		i := issuers[id.JWT.Issuer]
		if i == nil {
			return fmt.Errorf("caller %s: there is no issuer %s", name, id.JWT.Issuer)
		}
		return i.add(id.known(name, MethodJWT), *id.JWT)
	}
	sum, err := ParseHash(id.APIKeySHA256)
	if err != nil {
		return fmt.Errorf("caller %s: %w", name, err)
	}
	return claim(c.keys, sum, id.known(name, MethodAPIKey), "API key")
}

// claim notes whose an identity is. That of two callers would make one of them, by
// the order of a map.
func claim[K comparable](of map[K]known, credential K, k known, what string) error {
	if before, ok := of[credential]; ok && before.Name != k.Name {
		return fmt.Errorf("callers %s and %s have the same %s",
			min(before.Name, k.Name), max(before.Name, k.Name), what)
	}
	of[credential] = k
	return nil
}

// Authenticate implements [Authenticator]. It waits for the network only where a
// token names a key that its issuer wasn't known to have, and then as long as ctx
// and [KeySets] allow.
func (c *Callers) Authenticate(ctx context.Context, shown Credentials) (Caller, error) {
	certified, err := c.certified(shown.Certificate)
	certificate := err != nil || certified.Name != ""
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
	if k, ok := c.keys[sum]; ok {
		return k.authenticated(c.now())
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
	var (
		found known
		now   = c.now()
	)
	for _, uri := range leaf.URIs {
		if k, ok := c.uris[uri.String()]; ok && !found.add(k, now) {
			return Caller{}, ErrAmbiguous
		}
	}
	for _, dns := range leaf.DNSNames {
		if k, ok := c.names[lower(dns)]; ok && !found.add(k, now) {
			return Caller{}, ErrAmbiguous
		}
	}
	return found.authenticated(now)
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
