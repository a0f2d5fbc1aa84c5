package caller_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskmint/deskmint/service/caller"
)

// TestTokens contains good and hostile bearer JWTs. One table of callers authenticates all of them.
// A separate server counts the requests to URLs in the tokens.
func TestTokens(t *testing.T) {
	now := newClock()
	a, b, attacker := newSite(t), newSite(t), newSite(t)
	attacker.put("/keys", setOf(published("e1", unrelated()), published("attacker", unrelated())))
	sets := caller.NewKeySets(caller.KeySetOptions{Now: now.Now})
	cluster := a.issuer("cluster",
		published("r1", rsaKey()), published("e1", ecKey()), published("d1", edKey()), published("e384", ecKey384()),
		published("rs256-only", rsaKey2(), func(k *jose.JSONWebKey) { k.Algorithm = "RS256" }),
		published("enc", unrelated(), func(k *jose.JSONWebKey) { k.Use = "enc" }),
		published("same", ecKey()), published("same", foreign()),
	)
	other := b.issuer("other", published("o1", foreign()), published("r1", foreign2()))
	callers := tokenCallers("cluster")
	callers["other"] = []caller.Identity{{JWT: &caller.JWT{Issuer: "other", Subject: "shop"}}}
	callers["team"] = []caller.Identity{
		{JWT: &caller.JWT{Issuer: "cluster", Claims: map[string]any{"team": "7", "on": "true"}}},
	}
	callers["crew"] = []caller.Identity{
		{JWT: &caller.JWT{Issuer: "cluster", Claims: map[string]any{"team": "7", "crew": "x"}}},
	}
	key, hash := caller.NewKey()
	callers["keyed"] = []caller.Identity{{APIKeySHA256: hash}}
	c := newCallers(t, callers, sets, cluster, other)
	sets.Warm(t.Context(), cluster, other)

	good := claims(a.URL, now.Now())
	with := func(change ...string) string { return es256("e1", ecKey(), claims(a.URL, now.Now(), change...)) }
	withHeader := func(change ...string) string {
		return signed("ES256", header("ES256", "e1", change...), good, ecKey())
	}
	after := func(d time.Duration) string { return fmt.Sprint(now.Now().Add(d).Unix()) }
	raw := func(header, payload string) string { return signed("ES256", header, payload, ecKey()) }
	publicDER, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := published("e1", unrelated()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(with(), ".")
	long := with("pad", `"`+strings.Repeat("x", 8<<10)+`"`)

	for _, test := range []struct {
		name, token, want string
		err               error
	}{
		{"ES256", with(), "shop/jwt", nil},
		{"RS256", signed("RS256", header("RS256", "r1"), good, rsaKey()), "shop/jwt", nil},
		{"RS384", signed("RS384", header("RS384", "r1"), good, rsaKey()), "shop/jwt", nil},
		{"RS512", signed("RS512", header("RS512", "r1"), good, rsaKey()), "shop/jwt", nil},
		{"PS256", signed("PS256", header("PS256", "r1"), good, rsaKey()), "shop/jwt", nil},
		{"ES384", signed("ES384", header("ES384", "e384"), good, ecKey384()), "shop/jwt", nil},
		{"EdDSA", signed("EdDSA", header("EdDSA", "d1"), good, edKey()), "shop/jwt", nil},
		{"no kid, one usable key", signed("EdDSA", header("EdDSA", ""), good, edKey()), "shop/jwt", nil},
		{"key's own algorithm", signed("RS256", header("RS256", "rs256-only"), good, rsaKey2()), "shop/jwt", nil},
		{"no typ", withHeader("typ", ""), "shop/jwt", nil},
		{"typ of an access token", withHeader("typ", `"AT+jwt"`), "shop/jwt", nil},
		{"typ in lower case", withHeader("typ", `"jwt"`), "shop/jwt", nil},
		{"audience in a list", with("aud", `["a","deskmint"]`), "shop/jwt", nil},
		{"another issuer's", es256("o1", foreign(), claims(b.URL, now.Now())), "other/jwt", nil},
		{"claims and subject", with("sub", `"cron"`, "env", `"prod"`), "cron/jwt", nil},
		{"claims alone, number and bool", with("sub", `"x"`, "team", `7`, "on", `true`), "team/jwt", nil},
		{"claims alone, as text", with("sub", "", "team", `"7"`, "on", `"true"`), "team/jwt", nil},
		{"an API key", key, "keyed/api_key", nil},

		{"expired within leeway", with("exp", after(-29*time.Second)), "shop/jwt", nil},
		{"expired", with("exp", after(-30*time.Second)), "", caller.ErrExpired},
		{"expired long ago", with("exp", "0"), "", caller.ErrExpired},
		{"not before within leeway", with("nbf", after(30*time.Second)), "shop/jwt", nil},
		{"not yet valid", with("nbf", after(31*time.Second)), "", caller.ErrNotYetValid},
		{"issued in the future", with("iat", after(31*time.Second)), "", caller.ErrNotYetValid},
		{"no exp", with("exp", ""), "", caller.ErrMalformed},
		{"no iat", with("iat", ""), "shop/jwt", nil},
		{"exp is text", with("exp", `"`+after(time.Hour)+`"`), "", caller.ErrMalformed},
		{"exp is null", with("exp", `null`), "", caller.ErrMalformed},
		{"exp beyond dates", with("exp", `1e300`), "", caller.ErrMalformed},
		{"exp beyond floats", with("exp", `1e999`), "", caller.ErrMalformed},
		{"exp before dates", with("exp", `-1`), "", caller.ErrMalformed},
		{"nbf is a list", with("nbf", `[1]`), "", caller.ErrMalformed},

		{"wrong audience", with("aud", `"other"`), "", caller.ErrAudience},
		{"audience in another case", with("aud", `"Deskmint"`), "", caller.ErrAudience},
		{"audience as a part", with("aud", `"deskmint2"`), "", caller.ErrAudience},
		{"several wrong audiences", with("aud", `["a","b"]`), "", caller.ErrAudience},
		{"no audience", with("aud", ""), "", caller.ErrMalformed},
		{"audience is a number", with("aud", `[1,"deskmint"]`), "", caller.ErrMalformed},
		{"wrong audience and expired", with("aud", `"other"`, "exp", "0"), "", caller.ErrAudience},

		{"unknown issuer", es256("e1", ecKey(), claims("https://issuer.example", now.Now())), "", caller.ErrUnknown},
		{"issuer with a slash more", with("iss", string(quoted(a.URL+"/"))), "", caller.ErrUnknown},
		{"issuer is a list", with("iss", `["`+a.URL+`"]`), "", caller.ErrUnknown},
		{"no issuer", with("iss", ""), "", caller.ErrUnknown},
		{"another issuer's kid", es256("o1", foreign(), good), "", caller.ErrUnverified},
		{"another issuer's key under the same kid",
			signed("RS256", header("RS256", "r1"), good, foreign2()), "", caller.ErrUnverified},
		{"another issuer's name", es256("e1", ecKey(), claims(b.URL, now.Now())), "", caller.ErrUnverified},

		{"unknown subject", with("sub", `"unknown"`), "", caller.ErrUnknown},
		{"subject in another case", with("sub", `"Shop"`), "", caller.ErrUnknown},
		{"subject is a list", with("sub", `["shop"]`), "", caller.ErrUnknown},
		{"no subject", with("sub", ""), "", caller.ErrUnknown},
		{"claim of another value", with("sub", `"cron"`, "env", `"test"`), "", caller.ErrUnknown},
		{"claim missing", with("sub", `"cron"`), "", caller.ErrUnknown},
		{"claim in a list", with("sub", `"cron"`, "env", `["prod"]`), "", caller.ErrUnknown},
		{"claim in another case", with("sub", `"cron"`, "Env", `"prod"`), "", caller.ErrUnknown},
		{"one claim of two", with("sub", `"x"`, "team", `7`), "", caller.ErrUnknown},
		{"two callers by claims", with("sub", `"x"`, "team", `7`, "on", `true`, "crew", `"x"`),
			"", caller.ErrAmbiguous},
		{"two callers by subject and claims", with("team", `7`, "on", `true`), "", caller.ErrAmbiguous},

		{"alg none", unsigned("none", good) + ".", "", caller.ErrUnverified},
		{"alg None with a signature", unsigned("None", good) + "." + parts[2], "", caller.ErrUnverified},
		{"HMAC with the public key, PEM", hmacToken("r1", good, pemOf(publicDER)), "", caller.ErrUnverified},
		{"HMAC with the public key, DER", hmacToken("r1", good, publicDER), "", caller.ErrUnverified},
		{"HMAC with nothing", hmacToken("e1", good, nil), "", caller.ErrUnverified},
		{"no alg", withHeader("alg", ""), "", caller.ErrUnverified},
		{"alg is a number", withHeader("alg", "256"), "", caller.ErrUnverified},
		{"alg in lower case", withHeader("alg", `"es256"`), "", caller.ErrUnverified},
		{"unknown kid", es256("e9", ecKey(), good), "", caller.ErrUnverified},
		{"empty kid", withHeader("kid", `""`), "", caller.ErrUnverified},
		{"kid is a number", withHeader("kid", `1`), "", caller.ErrMalformed},
		{"kid is null", withHeader("kid", `null`), "", caller.ErrMalformed},
		{"kid of a key of another type", es256("r1", ecKey(), good), "", caller.ErrUnverified},
		{"key of another curve", es256("e384", ecKey(), good), "", caller.ErrUnverified},
		{"key for encryption", es256("enc", unrelated(), good), "", caller.ErrUnverified},
		{"algorithm that the key isn't for",
			signed("PS256", header("PS256", "rs256-only"), good, rsaKey2()), "", caller.ErrUnverified},
		{"two keys of one kid", es256("same", ecKey(), good), "", caller.ErrUnverified},
		{"two keys of one kid, the other", es256("same", foreign(), good), "", caller.ErrUnverified},
		{"no kid, several usable keys, the last", es256("", foreign(), good), "", caller.ErrUnverified},
		{"no kid, several usable keys", es256("", ecKey(), good), "", caller.ErrUnverified},
		{"wrong key", es256("e1", unrelated(), good), "", caller.ErrUnverified},
		{"another payload", parts[0] + "." + enc(claims(a.URL, now.Now(), "sub", `"cron"`)) + "." + parts[2],
			"", caller.ErrUnverified},
		{"another header", enc(header("ES256", "e1", "x", "1")) + "." + parts[1] + "." + parts[2],
			"", caller.ErrUnverified},
		{"no signature", parts[0] + "." + parts[1] + ".", "", caller.ErrUnverified},
		{"half a signature", parts[0] + "." + parts[1] + "." + parts[2][:40], "", caller.ErrUnverified},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + enc(string(make([]byte, 64))),
			"", caller.ErrUnverified},

		{"embedded jwk", signed("ES256", header("ES256", "e1", "jwk", string(embedded)), good, unrelated()),
			"", caller.ErrUnverified},
		{"embedded jwk without kid", signed("ES256", header("ES256", "", "jwk", string(embedded)), good, unrelated()),
			"", caller.ErrUnverified},
		{"jku", signed("ES256", header("ES256", "attacker", "jku", `"`+attacker.URL+`/keys"`), good, unrelated()),
			"", caller.ErrUnverified},
		{
			"jku with a known kid",
			signed("ES256", header("ES256", "e1", "jku", `"`+attacker.URL+`/keys"`), good, unrelated()), "",
			caller.ErrUnverified,
		},
		{"x5u", signed("ES256", header("ES256", "e1", "x5u", `"`+attacker.URL+`/keys"`), good, unrelated()),
			"", caller.ErrUnverified},
		{"x5c", signed("ES256", header("ES256", "e1", "x5c", `["MIIB"]`), good, unrelated()), "", caller.ErrUnverified},
		{"kid that is a URL", es256(attacker.URL+"/keys", unrelated(), good), "", caller.ErrUnverified},
		{"a good token that names others",
			withHeader("jku", `"`+attacker.URL+`/keys"`, "jwk", string(embedded)), "shop/jwt", nil},

		{"crit", withHeader("crit", `["b64"]`, "b64", "false"), "", caller.ErrMalformed},
		{"unencoded payload", withHeader("b64", "false"), "", caller.ErrMalformed},
		{"crit of nothing", withHeader("crit", `[]`), "", caller.ErrMalformed},
		{"crit is null", withHeader("crit", `null`), "", caller.ErrMalformed},
		{"typ of another kind", withHeader("typ", `"logout+jwt"`), "", caller.ErrMalformed},
		{"typ JOSE", withHeader("typ", `"JOSE"`), "", caller.ErrMalformed},
		{"typ is null", withHeader("typ", `null`), "", caller.ErrMalformed},
		{"typ with a space", withHeader("typ", `"\u006awt "`), "", caller.ErrMalformed},

		{"header is no base64", "!." + parts[1] + "." + parts[2], "", caller.ErrMalformed},
		{"payload is no base64", parts[0] + ".a=b." + parts[2], "", caller.ErrMalformed},
		{"signature is no base64", parts[0] + "." + parts[1] + ".$", "", caller.ErrMalformed},
		{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "==", "", caller.ErrMalformed},
		{"standard base64", parts[0] + "." + parts[1] + ".+/+/", "", caller.ErrMalformed},
		{"a newline inside", parts[0] + "\n." + parts[1] + "." + parts[2], "", caller.ErrMalformed},
		{"a newline in the signature",
			parts[0] + "." + parts[1] + "." + parts[2][:10] + "\r\n" + parts[2][10:], "", caller.ErrMalformed},
		{"unused bits set", parts[0] + "." + parts[1] + "." + changeUnusedBits(parts[2]), "", caller.ErrMalformed},
		{"something like a key with dots", "dmk_a.b.c", "", caller.ErrUnknown},
		{"dots alone", "..", "", caller.ErrMalformed},
		{"two parts", parts[0] + "." + parts[1], "", caller.ErrUnknown},
		{"four parts", with() + ".x", "", caller.ErrUnknown},
		{"five parts, as encrypted ones have", "a.b.c.d.e", "", caller.ErrUnknown},
		{"header is a list", raw(`["ES256"]`, good), "", caller.ErrMalformed},
		{"header is text", raw(`"ES256"`, good), "", caller.ErrMalformed},
		{"header is null", raw(`null`, good), "", caller.ErrMalformed},
		{"payload is null", raw(header("ES256", "e1"), `null`), "", caller.ErrMalformed},
		{"payload is a list", raw(header("ES256", "e1"), `[]`), "", caller.ErrMalformed},
		{"payload is cut", raw(header("ES256", "e1"), good[:len(good)-1]), "", caller.ErrMalformed},
		{"something behind the payload", raw(header("ES256", "e1"), good+"{}"), "", caller.ErrMalformed},
		{"white space behind the payload", raw(header("ES256", "e1"), good+" \n"), "shop/jwt", nil},
		{"bytes that are no UTF-8", raw(header("ES256", "e1"), strings.Replace(good, "shop", "sh\xffop", 1)),
			"", caller.ErrMalformed},
		{"duplicate claim", raw(header("ES256", "e1"), `{"sub":"cron",`+good[1:]), "", caller.ErrMalformed},
		{"duplicate claim, same value", raw(header("ES256", "e1"), `{"sub":"shop",`+good[1:]), "", caller.ErrMalformed},
		{"duplicate claim, escaped", raw(header("ES256", "e1"), `{"s\u0075b":"cron",`+good[1:]),
			"", caller.ErrMalformed},
		{"duplicate key inside", with("x", `{"a":1,"a":2}`), "", caller.ErrMalformed},
		{"duplicate key inside a list", with("x", `[[{"a":1,"a":2}]]`), "", caller.ErrMalformed},
		{"duplicate header", raw(`{"alg":"none",`+header("ES256", "e1")[1:], good), "", caller.ErrMalformed},
		{"the same key in two objects", with("x", `[{"a":1},{"a":2}]`), "shop/jwt", nil},
		{"nested deeply", with("x", strings.Repeat("[", 2500)+strings.Repeat("]", 2500)), "shop/jwt", nil},
		{"oversized", long, "", caller.ErrMalformed},
		{"oversized and nothing else", strings.Repeat("a", 8<<10+1), "", caller.ErrMalformed},
		{"as long as may be", with("pad", `"`+strings.Repeat("x", 5<<10)+`"`), "shop/jwt", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantCaller(t, c, bearer(test.token), test.want, test.err)
		})
	}
	if n := attacker.count(); n != 0 {
		t.Errorf("%d requests to URLs in tokens", n)
	}
	// The tokens with unknown kids arrived in the pause after the first fetch, so none of them
	// caused another fetch.
	if a.count() != 1 || b.count() != 1 {
		t.Errorf("%d and %d fetches from the issuers, want one each", a.count(), b.count())
	}
}

// TestTokensWithTwoCredentials checks that a good token is refused together with another
// credential.
func TestTokensWithTwoCredentials(t *testing.T) {
	now, a := newClock(), newSite(t)
	key, hash := caller.NewKey()
	callers := tokenCallers("cluster")
	callers["shop"] = append(callers["shop"], caller.Identity{APIKeySHA256: hash},
		caller.Identity{MTLSURI: "spiffe://acme/shop"})
	c := newCallers(t, callers, caller.NewKeySets(caller.KeySetOptions{Now: now.Now}),
		a.issuer("cluster", published("e1", ecKey())))
	token := es256("e1", ecKey(), claims(a.URL, now.Now()))
	shop := certificate([]string{"spiffe://acme/shop"}, nil, "")
	stranger := certificate([]string{"spiffe://acme/x"}, []string{"x"}, "shop")
	for _, test := range []struct {
		name          string
		authorization []string
		certificate   *x509.Certificate
		want          string
		err           error
	}{
		{"token and key of the same caller", []string{"Bearer " + token, "Bearer " + key}, nil, "", caller.ErrSeveral},
		{"joined", []string{"Bearer " + token + ", Bearer " + key}, nil, "", caller.ErrSeveral},
		{"the same token twice", []string{"Bearer " + token, "Bearer " + token}, nil, "", caller.ErrSeveral},
		{"token and certificate of the same caller", []string{"Bearer " + token}, shop, "", caller.ErrSeveral},
		{"key and certificate of the same caller", []string{"Bearer " + key}, shop, "", caller.ErrSeveral},
		{"certificate and an unknown key", []string{"Bearer x"}, shop, "", caller.ErrSeveral},
		{"certificate and another scheme", []string{"Basic x"}, shop, "", caller.ErrSeveral},
		{"certificate and an empty header", []string{""}, shop, "", caller.ErrSeveral},
		{"certificate alone", nil, shop, "shop/mtls_uri", nil},
		{"stranger's certificate and a token", []string{"Bearer " + token}, stranger, "shop/jwt", nil},
		{"stranger's certificate and a key", []string{"Bearer " + key}, stranger, "shop/api_key", nil},
		{"stranger's certificate and an unknown key", []string{"Bearer x"}, stranger, "", caller.ErrUnknown},
		{"stranger's certificate alone", nil, stranger, "", caller.ErrMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantCaller(t, c, caller.Credentials{Authorization: test.authorization, Certificate: test.certificate},
				test.want, test.err)
		})
	}
}

func enc(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// unsigned returns a token with this algorithm and without a signature.
func unsigned(alg, payload string) string { return enc(header(alg, "e1")) + "." + enc(payload) }

func hmacToken(kid, payload string, secret []byte) string {
	return signed("HS256", header("HS256", kid), payload, secret)
}

// changeUnusedBits changes the unused bits of a signature's last character. For 64 bytes, the last
// character encodes only two bits.
func changeUnusedBits(signature string) string {
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
		signature[len(signature)-1])
	return signature[:len(signature)-1] +
		string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
}
