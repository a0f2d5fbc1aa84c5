package config

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
)

func (l *loader) checkIdentity(at yamlfile.Place, id caller.Identity, identities unique) {
	var kinds []string
	for _, kind := range []struct {
		key   string
		given bool
	}{
		{"mtls_uri", id.MTLSURI != ""},
		{"mtls_dns", id.MTLSDNS != ""},
		{"jwt", id.JWT != nil},
		{"api_key_sha256", id.APIKeySHA256 != ""},
	} {
		if kind.given {
			kinds = append(kinds, kind.key)
		}
	}
	if len(kinds) != 1 {
		at.Problem("must have exactly one of mtls_uri, mtls_dns, jwt, api_key_sha256: " +
			"write a list item for each identity")
		return
	}
	at = at.At(kinds[0])
	switch kinds[0] {
	case "mtls_uri":
		// URIs are compared as text, so this must be the form in which a certificate's URI is read.
		if u, err := url.Parse(id.MTLSURI); err != nil || u.Scheme == "" || u.Host == "" || u.String() != id.MTLSURI {
			at.Problem("is no URI of a certificate, such as spiffe://acme.internal/storefront")
		}
		identities.add(at, "uri "+id.MTLSURI, "identity")
		l.checkClientCA(at)
	case "mtls_dns":
		if !hostName.MatchString(id.MTLSDNS) {
			at.Problem("is no DNS name in lower case, such as storefront.acme.internal")
		}
		identities.add(at, "dns "+id.MTLSDNS, "identity")
		l.checkClientCA(at)
	case "jwt":
		l.checkJWT(at, *id.JWT)
		identities.add(at, fmt.Sprintf("jwt %q %q %q", id.JWT.Issuer, id.JWT.Subject, id.JWT.Claims), "identity")
	default:
		l.checkKey(at, id.APIKeySHA256, identities)
	}
}

// maxOwner is the maximum length of an identity's owner, in characters.
const maxOwner = 100

// checkIdentityMetadata checks the name, owner and not_after of an identity.
func (l *loader) checkIdentityMetadata(at yamlfile.Place, id caller.Identity, names unique) {
	if at.At("name").IsSet() {
		checkName(at.At("name"), id.Name, names)
	}
	if utf8.RuneCountInString(id.Owner) > maxOwner {
		at.At("owner").Problem("has more than %d characters", maxOwner)
	}
	if id.EndedAt(l.now()) {
		at.At("not_after").Warn("has passed, so this identity is refused: " +
			"remove the identity, or give a later not_after")
	}
}

func (l *loader) now() time.Time {
	if l.options.Now == nil {
		return time.Now()
	}
	return l.options.Now()
}

// checkClientCA warns of an identity that needs tls.client_ca if that isn't set. This is no
// problem, because `deskmint dev` has no certificates, and several deployments may share a file of
// callers.
func (l *loader) checkClientCA(at yamlfile.Place) {
	main := l.sources[0]
	if main.TLS == nil && !main.Place("tls").HasUnreadable() || main.TLS != nil && main.TLS.ClientCA == "" {
		at.Warn("can't be used: without tls.client_ca, the service requests no client certificates")
	}
}

func (l *loader) checkJWT(at yamlfile.Place, id caller.JWT) {
	names := func(i caller.Issuer) bool { return i.Name == id.Issuer }
	switch {
	case id.Issuer == "":
		at.At("issuer").Problem("is required: the name of one of issuers")
	case !slices.ContainsFunc(l.sources[0].Issuers, names) && !l.sources[0].Place("issuers").HasUnreadable():
		at.At("issuer").Problem("is the name of no issuer")
	}
	if id.Subject == "" && len(id.Claims) == 0 {
		at.At("subject").Problem("is required, or claims: " +
			"without either, every token of the issuer would match this caller")
	}
	for _, name := range sortedKeys(id.Claims) {
		if _, ok := id.Claims[name].(string); !ok {
			at.At("claims").At(yamlfile.Segment(name)).Problem("must be a single value")
		}
	}
}

// tokenIdentity is a caller's identity by JWT with its place.
type tokenIdentity struct {
	at     yamlfile.Place
	caller string
	id     caller.JWT
}

// warnOverlaps warns of two callers that the same token can match, because such a token is refused.
// It is no problem, because tokens that match only one of them are accepted.
func warnOverlaps(tokens []tokenIdentity) {
	for i, later := range tokens {
		for _, earlier := range tokens[:i] {
			if earlier.caller == later.caller || !overlap(earlier.id, later.id) {
				continue
			}
			later.at.Warn("may match a token that matches caller %s, too (%s), and such a token is refused: "+
				"distinguish the callers by the value of one claim", earlier.caller, later.at.Reference(earlier.at))
			break
		}
	}
}

// overlap reports whether one token can match both identities. This is so if they require different
// values of no claim.
func overlap(a, b caller.JWT) bool {
	if a.Issuer != b.Issuer || a.Subject != "" && b.Subject != "" && a.Subject != b.Subject {
		return false
	}
	for name, value := range a.Claims {
		if other, ok := b.Claims[name]; ok && fmt.Sprint(other) != fmt.Sprint(value) {
			return false
		}
	}
	return true
}

// checkKey checks the hash of an API key. Its messages must not quote the value, which is often the
// key itself.
func (l *loader) checkKey(at yamlfile.Place, hash string, identities unique) {
	sum, err := caller.ParseHash(hash)
	switch {
	case strings.HasPrefix(strings.TrimSpace(hash), caller.KeyPrefix):
		at.Problem("is an API key, where its SHA-256 belongs: now that it has been written down, " +
			"make another with `deskmint key new` and put that one's hash here")
	case err != nil:
		at.Problem("%v", err)
	case sum == sha256.Sum256([]byte(DevKey)) && !l.options.Development:
		at.Problem("is the hash of the key of `deskmint dev`, which is public: " +
			"make another with `deskmint key new`")
	default:
		identities.add(at, "key "+string(sum[:]), "API key")
	}
}
