package caller

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/deskmint/deskmint/service/loopback"
)

// Issuer is an issuer of bearer JWTs that callers may present.
type Issuer struct {
	// Name is the name that identities refer to.
	Name string `yaml:"name"`
	// Issuer is the required value of the claim iss. The claim aud must contain Audience.
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
	// JWKS is the location of the keys: an https URL, an http URL on loopback, or the path of a
	// file. If it is empty, the issuer's discovery document names the location (OpenID Connect
	// Discovery 1.0 section 4).
	JWKS string `yaml:"jwks"`
	// CA is a PEM file with the authorities for the issuer's certificate. Empty: those of the
	// system.
	CA string `yaml:"ca"`
	// TokenFile contains a bearer token that the issuer requires from clients that read its keys,
	// as a Kubernetes API server does. The file is read before each fetch. Empty: no token.
	TokenFile string `yaml:"token_file"`
}

// Check reports what is wrong with the settings, with the keys at fault. It doesn't check Name,
// which depends on the other issuers.
func (i Issuer) Check(report func(key, message string)) {
	const need = "must be an https URL; http is for loopback hosts only"
	u, err := url.Parse(i.Issuer)
	switch {
	case err != nil || !secure(u):
		report("issuer", need)
	case i.JWKS == "" && (u.RawQuery != "" || u.Fragment != ""):
		report("issuer", "has a query or fragment, so that it has no discovery document: give jwks")
	}
	if i.Audience == "" {
		report("audience", "is required: what the claim aud must hold")
	}
	if u, err := url.Parse(i.JWKS); i.byURL() && (err != nil || !secure(u)) {
		report("jwks", need+", or the path of a file")
	}
	for _, other := range []struct{ key, value string }{{"ca", i.CA}, {"token_file", i.TokenFile}} {
		if other.value != "" && i.byFile() {
			report(other.key, "has no use if jwks is a file, because the keys are not fetched")
		}
	}
}

// Rebase resolves relative paths against dir.
func (i *Issuer) Rebase(dir string) {
	paths := []*string{&i.CA, &i.TokenFile}
	if i.byFile() {
		paths = append(paths, &i.JWKS)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// KeyFile returns the path of the file that contains the keys. It returns "" if they are fetched.
func (i Issuer) KeyFile() string {
	if i.byFile() {
		return i.JWKS
	}
	return ""
}

func (i Issuer) byURL() bool  { return strings.Contains(i.JWKS, "://") }
func (i Issuer) byFile() bool { return i.JWKS != "" && !i.byURL() }

// secure reports whether a response from the URL can come only from the host in it. Plain http is
// secure only on loopback.
func secure(u *url.URL) bool {
	return u.Hostname() != "" && u.User == nil &&
		(u.Scheme == "https" || u.Scheme == "http" && loopback.Host(u.Hostname()))
}

// issuer verifies the tokens of an Issuer and holds the callers that they identify.
type issuer struct {
	parser *jwt.Parser
	keys   *keySet
	// subjects maps subjects to identities. Those without a subject are under "".
	subjects map[string][]tokenIdentity
}

type tokenIdentity struct {
	match

	claims map[string]string
}

// newIssuer configures the library to check the signature, issuer, audience and times. readToken
// has already checked what the library would accept.
func newIssuer(settings Issuer, sets *KeySets) *issuer {
	return &issuer{
		parser: jwt.NewParser(
			jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
			jwt.WithIssuer(settings.Issuer), jwt.WithAudience(settings.Audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(sets.now),
		),
		keys:     sets.of(settings),
		subjects: make(map[string][]tokenIdentity),
	}
}

func (i *issuer) add(k match, id JWT) error {
	t := tokenIdentity{match: k, claims: make(map[string]string, len(id.Claims))}
	for claim, value := range id.Claims {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("caller %s: claim %s is not text", k.Name, claim)
		}
		t.claims[claim] = text
	}
	if id.Subject == "" && len(t.claims) == 0 {
		return fmt.Errorf("caller %s: every token of issuer %s would match", k.Name, id.Issuer)
	}
	i.subjects[id.Subject] = append(i.subjects[id.Subject], t)
	return nil
}

// verify checks that the issuer has signed the token, and that it is for this service and valid
// now. It doesn't identify the caller.
func (i *issuer) verify(ctx context.Context, t token) (verified, error) {
	key, among, err := i.keys.key(ctx, t)
	if err != nil {
		return verified{}, err
	}
	if !hasHashLongSalt(t, key) {
		return verified{}, ErrUnverified
	}
	parsed, err := i.parser.Parse(t.raw, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		return verified{}, unverified(err)
	}
	v := verified{issuer: i, keys: among}
	v.from, v.until, err = validity(parsed.Claims)
	return v, err
}

// hasHashLongSalt reports whether the signature of a token with a PS algorithm has a salt that is
// as long as the hash, as RFC 7518 section 3.5 requires. golang-jwt accepts a salt of any length.
// It returns true for other algorithms.
func hasHashLongSalt(t token, key crypto.PublicKey) bool {
	method, ok := jwt.GetSigningMethod(t.algorithm).(*jwt.SigningMethodRSAPSS)
	if !ok {
		return true
	}
	exact := *method
	exact.VerifyOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	end := strings.LastIndexByte(t.raw, '.')
	signature, err := base64url(t.raw[end+1:])
	return err == nil && exact.Verify(t.raw[:end], signature, key) == nil
}

// unverified converts an error of the library to one of this package.
func unverified(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return ErrUnverified
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return ErrAudience
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return ErrNotYetValid
	}
	return ErrMalformed // a claim that is missing, or of the wrong type
}

// find returns the one caller that a verified token's claims identify.
func (i *issuer) find(claims map[string]any, now time.Time) (match, error) {
	subject, _ := claims["sub"].(string)
	candidates := i.subjects[""]
	if subject != "" {
		candidates = append(candidates[:len(candidates):len(candidates)], i.subjects[subject]...)
	}
	var found match
	for _, c := range candidates {
		if c.matches(claims) && !found.add(c.match, now) {
			return match{}, ErrAmbiguous
		}
	}
	if found.Name == "" {
		return match{}, ErrUnknown
	}
	return found, nil
}

func (t tokenIdentity) matches(claims map[string]any) bool {
	for name, want := range t.claims {
		if got, ok := textOf(claims[name]); !ok || got != want {
			return false
		}
	}
	return true
}
