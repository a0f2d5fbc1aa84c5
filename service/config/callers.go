package config

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/policy"
)

// callers are those of all files.
type callers struct {
	keys   map[string]string // api_key_sha256 → caller
	grants map[string][]policy.Settings
	places map[string][]string // where a caller's grants stand
}

func (l *loader) readCallers(all *slots) *callers {
	c := &callers{keys: map[string]string{}, grants: map[string][]policy.Settings{}, places: map[string][]string{}}
	names, identities := unique{}, unique{}
	for _, source := range l.sources {
		for i, entry := range source.Callers {
			at := source.place("callers").index(i)
			checkName(at.at("name"), entry.Name, names)
			if len(entry.Identities) == 0 {
				at.at("identities").fault("is required: how the caller is known, such as api_key_sha256")
			}
			for j, id := range entry.Identities {
				l.checkIdentity(at.at("identities").index(j), id, identities)
				if id.APIKeySHA256 != "" {
					c.keys[id.APIKeySHA256] = entry.Name
				}
			}
			if len(entry.Grants) == 0 {
				at.warn("has no grants, so everything is denied to it")
				c.grants[entry.Name] = nil // known all the same
			}
			for j, grant := range entry.Grants {
				l.checkGrant(at.at("grants").index(j), grant, all)
				c.grants[entry.Name] = append(c.grants[entry.Name], all.serving(grant))
				c.places[entry.Name] = append(c.places[entry.Name], l.name(at.at("grants").index(j)))
			}
		}
	}
	if l.options.Dev {
		c.addDev()
	}
	if len(c.keys) == 0 && len(names) == 0 && !l.unknown {
		l.sources[0].place("callers").warn("names nobody, here or in an included file, so every request is refused")
	}
	return c
}

// addDev lets DevKey do everything, where the file doesn't say what it may do.
func (c *callers) addDev() {
	const name = "deskmint dev" // no caller in a file can be called so
	hash := caller.HashKey(DevKey)
	for given := range c.keys {
		if strings.EqualFold(given, hash) {
			return
		}
	}
	c.keys[hash] = name
	c.grants[name] = []policy.Settings{policy.Everything()}
	c.places[name] = []string{name}
}

// name is how audit records and denials refer to a grant. The main file needs no mention.
func (l *loader) name(at place) string {
	if at.doc == l.sources[0].document {
		return at.key
	}
	return at.doc.name + ": " + at.key
}

// build makes what tells callers and their rights. It fails on nothing that hasn't
// been reported as a fault before.
func (c *callers) build() (caller.Authenticator, *policy.Policy, error) {
	keys, err := caller.NewAPIKeys(c.keys)
	if err != nil {
		return nil, nil, err
	}
	rights, err := policy.New(c.grants, func(name string, grant int) string { return c.places[name][grant] })
	return keys, rights, err
}

func (l *loader) checkIdentity(at place, id identity, identities unique) {
	var kinds []string
	for _, kind := range []struct {
		key   string
		given bool
	}{{"mtls_uri", id.MTLSURI != ""}, {"mtls_dns", id.MTLSDNS != ""}, {"jwt", id.JWT != nil}, {"api_key_sha256", id.APIKeySHA256 != ""}} {
		if kind.given {
			kinds = append(kinds, kind.key)
		}
	}
	if len(kinds) != 1 {
		at.fault("must have exactly one of mtls_uri, mtls_dns, jwt, api_key_sha256: one way of being known an item")
		return
	}
	at = at.at(kinds[0])
	switch kinds[0] {
	case "mtls_uri":
		if u, err := url.Parse(id.MTLSURI); err != nil || u.Scheme == "" || u.Host == "" {
			at.fault("is no URI of a certificate, such as spiffe://acme.internal/storefront")
		}
		identities.add(at, "uri "+id.MTLSURI, "identity")
	case "mtls_dns":
		if !hostName.MatchString(id.MTLSDNS) {
			at.fault("is no DNS name in lower case, such as storefront.acme.internal")
		}
		identities.add(at, "dns "+id.MTLSDNS, "identity")
	case "jwt":
		l.checkJWT(at, *id.JWT)
		identities.add(at, fmt.Sprintf("jwt %q %q %v", id.JWT.Issuer, id.JWT.Subject, id.JWT.Claims), "identity")
	default:
		l.checkKey(at, id.APIKeySHA256, identities)
		return
	}
	at.warn("has no effect in this version: the caller can't be known by it yet, only by API keys")
}

func (l *loader) checkJWT(at place, id jwtIdentity) {
	names := func(i Issuer) bool { return i.Name == id.Issuer }
	switch {
	case id.Issuer == "":
		at.at("issuer").fault("is required: the name of one of issuers")
	case !slices.ContainsFunc(l.sources[0].Issuers, names) && !l.sources[0].place("issuers").unread():
		at.at("issuer").fault("names none of issuers")
	}
	if id.Subject == "" && len(id.Claims) == 0 {
		at.at("subject").fault("is required, or claims: without either, everybody whom the issuer knows would be this caller")
	}
	for _, name := range sortedKeys(id.Claims) {
		if _, ok := id.Claims[name].(string); !ok {
			at.at("claims").at(segment(name)).fault("must be a single value")
		}
	}
}

// checkKey checks the hash of an API key. Nothing here may print it: what stands in
// its place is often the key itself.
func (l *loader) checkKey(at place, hash string, identities unique) {
	sum, err := caller.ParseHash(hash)
	switch {
	case strings.HasPrefix(strings.TrimSpace(hash), caller.KeyPrefix):
		at.fault("is an API key, where its SHA-256 belongs: now that it has been written down, make another with `deskmint key new` and put that one's hash here")
	case err != nil:
		at.fault("%v", err)
	case sum == sha256.Sum256([]byte(DevKey)) && !l.options.Dev:
		at.fault("is the hash of the key of `deskmint dev`, which everybody knows: make another with `deskmint key new`")
	default:
		identities.add(at, "key "+string(sum[:]), "API key")
	}
}
