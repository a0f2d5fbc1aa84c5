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

// Callers holds all callers of a configuration, indexed by their credentials. Only its cache of
// verified tokens changes. It implements [Authenticator].
type Callers struct {
	keys    map[[sha256.Size]byte]match
	uris    map[string]match
	names   map[string]match   // DNS names, in lower case
	issuers map[string]*issuer // by the claim iss
	now     func() time.Time
	cache   tokenCache
}

// New returns the callers with their identities, by caller name. sets provides the keys of the
// issuers. If it is nil, New creates new sets.
func New(callers map[string][]Identity, issuers []Issuer, sets *KeySets) (*Callers, error) {
	if sets == nil {
		sets = NewKeySets(KeySetOptions{})
	}
	c := &Callers{
		keys: make(map[[sha256.Size]byte]match), uris: make(map[string]match),
		names: make(map[string]match), issuers: make(map[string]*issuer), now: sets.now,
	}
	byName := make(map[string]*issuer, len(issuers))
	for _, settings := range issuers {
		if c.issuers[settings.Issuer] != nil || byName[settings.Name] != nil {
			return nil, fmt.Errorf("issuer %s is defined twice", settings.Name)
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
		return register(c.uris, id.MTLSURI, id.match(name, MethodMTLSURI), "mtls_uri")
	case id.MTLSDNS != "":
		return register(c.names, lower(id.MTLSDNS), id.match(name, MethodMTLSDNS), "mtls_dns")
	case id.JWT != nil:
		i := issuers[id.JWT.Issuer]
		if i == nil {
			return fmt.Errorf("caller %s: there is no issuer %s", name, id.JWT.Issuer)
		}
		return i.add(id.match(name, MethodJWT), *id.JWT)
	}
	sum, err := ParseHash(id.APIKeySHA256)
	if err != nil {
		return fmt.Errorf("caller %s: %w", name, err)
	}
	return register(c.keys, sum, id.match(name, MethodAPIKey), "API key")
}

// register records the caller of a credential. It refuses a credential of two callers, because the
// order of a map would then decide which of them it identifies.
func register[K comparable](of map[K]match, credential K, k match, what string) error {
	if before, ok := of[credential]; ok && before.Name != k.Name {
		return fmt.Errorf("callers %s and %s have the same %s",
			min(before.Name, k.Name), max(before.Name, k.Name), what)
	}
	of[credential] = k
	return nil
}

// Authenticate implements [Authenticator]. It uses the network only if a token names a key that its
// issuer isn't known to have. It then waits as long as ctx and [KeySets] allow.
func (c *Callers) Authenticate(ctx context.Context, presented Credentials) (Caller, error) {
	byCertificate, err := c.byCertificate(presented.Certificate)
	hasCertificate := err != nil || byCertificate.Name != ""
	switch {
	case hasCertificate && len(presented.Authorization) > 0:
		return Caller{}, ErrSeveral // also for an empty or malformed authorization, which the client has set
	case hasCertificate:
		return byCertificate, err
	}
	bearer, err := Bearer(presented.Authorization)
	switch {
	case err != nil:
		return Caller{}, err
	case len(bearer) > maxToken:
		return Caller{}, ErrMalformed
	}
	// A lookup by hash takes the same time for every key, however similar to a real one.
	sum := sha256.Sum256([]byte(bearer))
	if k, ok := c.keys[sum]; ok {
		return k.caller(c.now())
	}
	if len(c.issuers) == 0 || strings.HasPrefix(bearer, KeyPrefix) || strings.Count(bearer, ".") != 2 {
		return Caller{}, ErrUnknown
	}
	return c.byToken(ctx, bearer, sum)
}

// byCertificate returns the caller that a certificate names. It returns no caller and no error if
// the certificate names none. It refuses weak RSA keys, as in key sets.
//
// A URI is compared as net/url writes it. That differs from the certificate at most in the case of
// the scheme and in an empty fragment.
func (c *Callers) byCertificate(leaf *x509.Certificate) (Caller, error) {
	if leaf == nil {
		return Caller{}, nil
	}
	var (
		found match
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
	if found.Name != "" && certificateKeyFault(leaf.PublicKey) != "" {
		return Caller{}, ErrWeakKey
	}
	return found.caller(now)
}

// lower converts only ASCII letters to lower case. The Unicode conversion would turn the Kelvin
// sign into k.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
