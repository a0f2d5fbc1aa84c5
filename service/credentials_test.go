package service_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/codes"
)

// credentialCase is a set of credentials and the caller that they identify.
type credentialCase struct {
	name       string
	bearers    []string // each in a separate authorization header
	caller     string   // "" if the request is refused
	method     string   // as records name it
	credential string   // in the metadata of a refusal
}

// tokenIssuer is an issuer whose keys are served on loopback.
type tokenIssuer struct {
	*httptest.Server

	key *ecdsa.PrivateKey
}

func newTokenIssuer(t *testing.T) *tokenIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(
		jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Use: "sig", Algorithm: "ES256"}}})
	if err != nil {
		t.Fatal(err)
	}
	i := &tokenIssuer{key: key}
	i.Server = httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	t.Cleanup(i.Close)
	return i
}

// token returns a token of the caller storefront with changes to its header and its claims. A nil
// value removes the field.
func (i *tokenIssuer) token(header, claims map[string]any) string {
	now := time.Now()
	all := map[string]any{
		"iss": i.URL,
		"sub": "shop",
		"aud": "deskmint",
		"iat": now.Unix(),
		"exp": now.Add(time.Hour).Unix(),
	}
	head := map[string]any{"typ": "JWT", "alg": "ES256", "kid": "k1"}
	maps.Copy(all, claims)
	maps.Copy(head, header)
	isNil := func(_ string, v any) bool { return v == nil }
	maps.DeleteFunc(all, isNil)
	maps.DeleteFunc(head, isNil)
	return i.sign(mustJSON(head), mustJSON(all))
}

// sign returns a token that is signed with ES256, even if the header names another algorithm.
func (i *tokenIssuer) sign(header, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(header)) + "." + encode([]byte(claims))
	signature, err := jwt.SigningMethodES256.Sign(text, i.key)
	if err != nil {
		panic(err)
	}
	return text + "." + encode(signature)
}

// withIssuer returns the configuration of the tests with this issuer and with another one whose
// keys can't be read. A token with the subject shop identifies the caller storefront. A token with
// the claim twin identifies the second caller.
func (i *tokenIssuer) withIssuer() string {
	const storefront = "  - name: storefront\n    identities: ["
	const nobody = "  - name: nobody\n    identities: ["
	text := strings.Replace(configuration, storefront,
		storefront+"{jwt: {issuer: cluster, subject: shop}}, {jwt: {issuer: away, subject: shop}}, ", 1)
	text = strings.Replace(text, nobody, nobody+"{jwt: {issuer: cluster, claims: {twin: yes}}}, ", 1)
	issuers := fmt.Sprintf(`
issuers:
  - {name: cluster, issuer: %q, audience: deskmint, jwks: %q}
  - {name: away, issuer: %q, audience: deskmint, jwks: /nonexistent/keys.json}
`, i.URL, i.URL+"/keys", i.URL+"/away")
	return issuers + text
}

// credentialCases returns the cases that don't need a client certificate. TestCertificates has the
// others.
func credentialCases(i *tokenIssuer) []credentialCase {
	otherKey := &tokenIssuer{Server: i.Server, key: mustKey()}
	public, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		panic(err)
	}
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	good := i.token(nil, nil)
	cut := strings.Split(good, ".")
	hmac := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{"iss": i.URL, "sub": "shop", "aud": "deskmint", "exp": in(time.Hour)})
	hmac.Header["kid"] = "k1"
	withPublic, err := hmac.SignedString(public)
	if err != nil {
		panic(err)
	}
	refused := func(name, credential string, bearers ...string) credentialCase {
		return credentialCase{name: name, bearers: bearers, credential: credential}
	}
	claims := func(pairs ...any) string {
		m := map[string]any{}
		for at := 0; at < len(pairs); at += 2 {
			m[fmt.Sprint(pairs[at])] = pairs[at+1]
		}
		return i.token(nil, m)
	}
	header := func(name string, value any) string { return i.token(map[string]any{name: value}, nil) }
	return []credentialCase{
		{name: "API key", bearers: []string{"dmk_storefront"}, caller: "storefront", method: "api_key"},
		{name: "JWT", bearers: []string{good}, caller: "storefront", method: "jwt"},
		{name: "JWT for several audiences", bearers: []string{claims("aud", []string{"x", "deskmint"})},
			caller: "storefront", method: "jwt"},
		{name: "JWT that names keys elsewhere",
			bearers: []string{i.token(map[string]any{"jku": i.URL + "/jku", "x5u": i.URL + "/x5u"}, nil)},
			caller:  "storefront", method: "jwt"},

		refused("nothing", "missing"),
		refused("unknown API key", "unknown", "dmk_other"),
		refused("two API keys", "several", "dmk_storefront", "dmk_everything"),
		refused("API key and JWT of one caller", "several", "dmk_storefront", good),
		refused("the same JWT twice", "several", good, good),
		refused("two JWTs in one value", "several", good+","+good),
		refused("two JWTs joined as headers are", "several", good+", Bearer "+good),
		refused("JWT of two callers", "ambiguous", claims("twin", "yes")),
		refused("unknown issuer", "unknown", claims("iss", "https://issuer.example")),
		refused("unknown subject", "unknown", claims("sub", "other")),
		refused("subject in another case", "unknown", claims("sub", "Shop")),
		refused("expired", "expired", claims("exp", in(-time.Minute))),
		refused("never expires", "malformed", claims("exp", nil)),
		refused("not yet valid", "not_yet_valid", claims("nbf", in(time.Minute))),
		refused("issued in the future", "not_yet_valid", claims("iat", in(time.Minute))),
		refused("wrong audience", "wrong_audience", claims("aud", "other")),
		refused("no audience", "malformed", claims("aud", nil)),
		refused("alg none", "unverified", header("alg", "none")),
		refused("alg none without signature", "unverified",
			strings.Join(strings.Split(header("alg", "none"), ".")[:2], ".")+"."),
		refused("HMAC with the public key", "unverified", withPublic),
		refused("another algorithm", "unverified", header("alg", "RS256")),
		refused("unknown kid", "unverified", header("kid", "k2")),
		refused("another's key", "unverified", otherKey.token(nil, nil)),
		refused("another's key, embedded", "unverified",
			otherKey.token(map[string]any{"jwk": jose.JSONWebKey{Key: otherKey.key.Public(), KeyID: "k1"}}, nil)),
		refused("another's key, by URL", "unverified",
			otherKey.token(map[string]any{"jku": i.URL + "/jku", "kid": "k3"}, nil)),
		refused("signature of something else", "unverified",
			cut[0]+"."+strings.Split(claims("sub", "x"), ".")[1]+"."+cut[2]),
		refused("crit", "malformed", header("crit", []string{"exp"})),
		refused("another typ", "malformed", header("typ", "secevent+jwt")),
		refused("malformed base64", "malformed", cut[0]+"."+cut[1]+"."+cut[2]+"="),
		refused(
			"duplicate claims",
			"malformed",
			i.sign(`{"alg":"ES256","kid":"k1"}`,
				fmt.Sprintf(`{"iss":%q,"aud":"deskmint","exp":%d,"sub":"x","sub":"shop"}`, i.URL, in(time.Hour))),
		),
		refused("oversized", "malformed", claims("pad", strings.Repeat("x", 6<<10))),
		refused("issuer away", "issuer_unavailable", claims("iss", i.URL+"/away")),
	}
}

func mustKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// TestCredentials checks that both transports identify the same caller by the same credentials, and
// that both give the same reason for a refusal.
func TestCredentials(t *testing.T) {
	issuer := newTokenIssuer(t)
	s := start(t, settings{configuration: issuer.withIssuer()})
	var tokens []string
	for _, c := range credentialCases(issuer) {
		tokens = append(tokens, c.bearers...)
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				records(t, s)
				r := tr.send(t.Context(), t, s, call{
					method: "ListConfigurations", keys: append([]string{}, c.bearers...),
				})
				if c.caller == "" {
					if r.code != codes.Unauthenticated || r.reason != "CALLER_UNAUTHENTICATED" ||
						r.info["credential"] != c.credential ||
						len(r.info) != 1 {
						t.Errorf("got %v %s %v, want credential %s", r.code, r.reason, r.info, c.credential)
					}
					// Only the keys of an issuer can become available without a change of the
					// request.
					if retry := c.credential == "issuer_unavailable"; (r.retry > 0) != retry {
						t.Errorf("got a retry after %v, want one: %v", r.retry, retry)
					}
					return
				}
				if r.code != codes.OK {
					t.Fatalf("got %v %s %v", r.code, r.reason, r.info)
				}
				if all := records(t, s); len(all) != 1 || all[0].Caller != c.caller ||
					all[0].Authenticated != c.method {
					t.Errorf("the records are %+v, want one of %s by %s", all, c.caller, c.method)
				}
			})
		})
	}
	written := s.Log.String() + s.Audit.String()
	for _, token := range tokens {
		if parts := strings.Split(token, "."); len(parts) > 2 &&
			(strings.Contains(written, parts[1]) || parts[2] != "" && strings.Contains(written, parts[2])) {
			t.Errorf("the token %s is in the log or the audit log", token)
		}
	}
}
