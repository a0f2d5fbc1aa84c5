package caller_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// BenchmarkAuthenticate measures Authenticate with 500 callers of each kind.
func BenchmarkAuthenticate(b *testing.B) {
	const many = 500
	site := newSite(b)
	sets := caller.NewKeySets(caller.KeySetOptions{})
	issuer := site.issuer("cluster", published("r1", rsaKey()), published("e1", ecKey()), published("d1", edKey()))
	callers := make(map[string][]caller.Identity, many)
	var key string
	for i := range many {
		var hash string
		key, hash = caller.NewKey()
		name := fmt.Sprintf("caller-%d", i)
		callers[name] = []caller.Identity{
			{APIKeySHA256: hash}, {MTLSURI: "spiffe://acme.internal/" + name}, {MTLSDNS: name + ".acme.internal"},
			{JWT: &caller.JWT{Issuer: "cluster", Subject: name}},
		}
	}
	c := newCallers(b, callers, sets, issuer)
	sets.Warm(b.Context(), issuer)
	payload := claims(site.URL, time.Now(), "sub", `"caller-7"`)
	for _, bench := range []struct {
		name      string
		presented caller.Credentials
		err       error
	}{
		{"api_key", bearer(key), nil},
		{"mtls_uri",
			caller.Credentials{Certificate: certificate([]string{"spiffe://acme.internal/caller-7"}, nil, "")}, nil},
		{"mtls_dns", caller.Credentials{Certificate: certificate(nil, []string{"caller-7.acme.internal"}, "")}, nil},
		{"jwt_RS256", bearer(signed("RS256", header("RS256", "r1"), payload, rsaKey())), nil},
		{"jwt_ES256", bearer(signed("ES256", header("ES256", "e1"), payload, ecKey())), nil},
		{"jwt_EdDSA", bearer(signed("EdDSA", header("EdDSA", "d1"), payload, edKey())), nil},
		{"unknown_key", bearer("dmk_other"), caller.ErrUnknown},
		{"unknown_kid", bearer(signed("ES256", header("ES256", "e9"), payload, ecKey())), caller.ErrUnverified},
		{"hostile", bearer(unsigned("none", payload) + "."), caller.ErrUnverified},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := c.Authenticate(b.Context(), bench.presented)
				if err != bench.err { //nolint:errorlint // Authenticate returns these errors unwrapped
					b.Fatal(err)
				}
			}
		})
	}
}
