package caller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer is one whose bearer JWTs callers may bring along.
type Issuer struct {
	// Name is what identities refer to it by.
	Name string `yaml:"name"`
	// Issuer and Audience are what the claim iss must be and the claim aud must hold.
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
	// JWKS is where its keys are: an https URL, or http on loopback, or the path of a
	// file. Empty: where the issuer's discovery document says (OpenID Connect
	// Discovery 1.0 section 4).
	JWKS string `yaml:"jwks"`
	// CA is a PEM file with those whom the issuer's certificate may be from; empty:
	// the system's.
	CA string `yaml:"ca"`
	// TokenFile holds a bearer token that the issuer wants to see from whoever asks for
	// its keys, as a Kubernetes API server does; it is read anew each time. Empty: none.
	TokenFile string `yaml:"token_file"`
}

// Check reports, by its keys, what is wrong with the settings. Name is left to
// whoever knows the others'.
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
			report(other.key, "has no use where jwks is a file: nobody is asked for it")
		}
	}
}

// Rebase makes relative paths ones below dir.
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

// KeyFile is the file that holds the keys; empty where they are asked for.
func (i Issuer) KeyFile() string {
	if i.byFile() {
		return i.JWKS
	}
	return ""
}

func (i Issuer) byURL() bool  { return strings.Contains(i.JWKS, "://") }
func (i Issuer) byFile() bool { return i.JWKS != "" && !i.byURL() }

// secure is true of a URL whose answer is that of the host in it: plain http is, on
// loopback only.
func secure(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && a.IsLoopback()
	return u.Hostname() != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && loopback)
}

// issuer is an Issuer at work, with the callers that its tokens can be.
type issuer struct {
	parser *jwt.Parser
	keys   *keySet
	// subjects has the identities by their subject; those without one under "".
	subjects map[string][]tokenIdentity
}

type tokenIdentity struct {
	known

	claims map[string]string
}

// newIssuer leaves to the library what it checks well: signature, issuer, audience
// and times. What it would pass over is checked in readToken before.
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

func (i *issuer) add(k known, id JWT) error {
	t := tokenIdentity{known: k, claims: make(map[string]string, len(id.Claims))}
	for claim, value := range id.Claims {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("caller %s: claim %s is no text", k.Name, claim)
		}
		t.claims[claim] = text
	}
	if id.Subject == "" && len(t.claims) == 0 {
		return fmt.Errorf("caller %s: everybody whom issuer %s knows would be it", k.Name, id.Issuer)
	}
	i.subjects[id.Subject] = append(i.subjects[id.Subject], t)
	return nil
}

// verify succeeds for a token that the issuer has signed, for us and for now. Whose it
// is isn't known yet.
func (i *issuer) verify(ctx context.Context, t token) (verified, error) {
	key, among, err := i.keys.key(ctx, t)
	if err != nil {
		return verified{}, err
	}
	parsed, err := i.parser.Parse(t.raw, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		return verified{}, unverified(err)
	}
	v := verified{issuer: i, keys: among}
	v.from, v.until, err = times(parsed.Claims)
	return v, err
}

// unverified says what the library has found.
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

// match finds the one caller that a verified token's claims describe.
func (i *issuer) match(claims map[string]any, now time.Time) (known, error) {
	subject, _ := claims["sub"].(string)
	candidates := i.subjects[""]
	if subject != "" {
		candidates = append(candidates[:len(candidates):len(candidates)], i.subjects[subject]...)
	}
	var found known
	for _, c := range candidates {
		if c.fits(claims) && !found.add(c.known, now) {
			return known{}, ErrAmbiguous
		}
	}
	if found.Name == "" {
		return known{}, ErrUnknown
	}
	return found, nil
}

func (t tokenIdentity) fits(claims map[string]any) bool {
	for name, want := range t.claims {
		if got, ok := textOf(claims[name]); !ok || got != want {
			return false
		}
	}
	return true
}
