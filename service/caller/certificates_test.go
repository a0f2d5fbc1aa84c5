package caller_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// certificate returns a leaf certificate as the TLS stack provides it, parsed and verified. These
// tests don't cover the verification.
func certificate(uris, names []string, commonName string) *x509.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: commonName}, DNSNames: names}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return c
}

func TestCertificates(t *testing.T) {
	c := newCallers(t, map[string][]caller.Identity{
		"shop": {{MTLSURI: "spiffe://acme.internal/shop"}, {MTLSDNS: "shop.acme.internal"}},
		"cron": {{MTLSURI: "spiffe://acme.internal/cron"}, {MTLSDNS: "kiosk.acme.internal"}},
	}, nil)
	for _, test := range []struct {
		name        string
		uris, names []string
		commonName  string
		want        string
		err         error
	}{
		{"URI", []string{"spiffe://acme.internal/shop"}, nil, "", "shop/mtls_uri", nil},
		{"DNS name", nil, []string{"shop.acme.internal"}, "", "shop/mtls_dns", nil},
		{"DNS name in capitals", nil, []string{"SHOP.Acme.internal"}, "", "shop/mtls_dns", nil},
		{"URI and name of one caller", []string{"spiffe://acme.internal/shop"},
			[]string{"shop.acme.internal"}, "", "shop/mtls_uri", nil},
		{"among others", []string{"https://a.example/", "spiffe://acme.internal/shop"},
			[]string{"a.example"}, "x", "shop/mtls_uri", nil},
		{"URIs of two callers", []string{"spiffe://acme.internal/shop", "spiffe://acme.internal/cron"},
			nil, "", "", caller.ErrAmbiguous},
		{"names of two callers", nil, []string{"shop.acme.internal", "kiosk.acme.internal"},
			"", "", caller.ErrAmbiguous},
		{"URI of one, name of another", []string{"spiffe://acme.internal/cron"},
			[]string{"shop.acme.internal"}, "", "", caller.ErrAmbiguous},
		{"nothing", nil, nil, "", "", caller.ErrMissing},
		{"common name only", nil, nil, "shop.acme.internal", "", caller.ErrMissing},
		{"common name that is a URI", nil, nil, "spiffe://acme.internal/shop", "", caller.ErrMissing},
		{"caller's name", nil, []string{"shop"}, "shop", "", caller.ErrMissing},
		{"URI in another case", []string{"spiffe://acme.internal/Shop"}, nil, "", "", caller.ErrMissing},
		{"host in another case", []string{"spiffe://ACME.internal/shop"}, nil, "", "", caller.ErrMissing},
		{"URI with a slash", []string{"spiffe://acme.internal/shop/"}, nil, "", "", caller.ErrMissing},
		{"URI with more", []string{"spiffe://acme.internal/shop?x"}, nil, "", "", caller.ErrMissing},
		{"escaped URI", []string{"spiffe://acme.internal/sho%70"}, nil, "", "", caller.ErrMissing},
		{"dotted URI", []string{"spiffe://acme.internal/x/../shop"}, nil, "", "", caller.ErrMissing},
		{"wildcard", nil, []string{"*.acme.internal"}, "", "", caller.ErrMissing},
		{"subdomain", nil, []string{"a.shop.acme.internal"}, "", "", caller.ErrMissing},
		{"trailing dot", nil, []string{"shop.acme.internal."}, "", "", caller.ErrMissing},
		{"Kelvin sign", nil, []string{"\u212aiosk.acme.internal"}, "", "", caller.ErrMissing},
		{"URI as a name", nil, []string{"spiffe://acme.internal/shop"}, "", "", caller.ErrMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantCaller(t, c, caller.Credentials{Certificate: certificate(test.uris, test.names, test.commonName)},
				test.want, test.err)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	issuer := caller.Issuer{Name: "a", Issuer: "https://a.example", Audience: "x"}
	_, hash := caller.NewKey()
	for name, test := range map[string]struct {
		callers map[string][]caller.Identity
		issuers []caller.Issuer
		says    string
	}{
		"same URI": {map[string][]caller.Identity{"a": {{MTLSURI: "x://y"}}, "b": {{MTLSURI: "x://y"}}},
			nil, "callers a and b have the same mtls_uri"},
		"same name, other case": {map[string][]caller.Identity{"a": {{MTLSDNS: "x.y"}}, "b": {{MTLSDNS: "X.y"}}},
			nil, "callers a and b have the same mtls_dns"},
		"same key": {
			map[string][]caller.Identity{"a": {{APIKeySHA256: hash}}, "b": {{APIKeySHA256: strings.ToUpper(hash)}}},
			nil, "callers a and b have the same API key",
		},
		"identity of nothing": {map[string][]caller.Identity{"a": {{}}}, nil, "caller a"},
		"no such issuer": {map[string][]caller.Identity{"a": {{JWT: &caller.JWT{Issuer: "b", Subject: "x"}}}},
			[]caller.Issuer{issuer}, "no issuer b"},
		"every token": {map[string][]caller.Identity{"a": {{JWT: &caller.JWT{Issuer: "a"}}}},
			[]caller.Issuer{issuer}, "every token"},
		"claim that is not text": {
			map[string][]caller.Identity{
				"a": {{JWT: &caller.JWT{Issuer: "a", Claims: map[string]any{"x": []any{"y"}}}}},
			},
			[]caller.Issuer{issuer}, "claim x",
		},
		"two issuers of a name": {nil,
			[]caller.Issuer{issuer, {Name: "a", Issuer: "https://b.example"}}, "issuer a is defined twice"},
		"one issuer, two names": {nil,
			[]caller.Issuer{issuer, {Name: "b", Issuer: "https://a.example"}}, "issuer b is defined twice"},
	} {
		if c, err := caller.New(test.callers, test.issuers, nil); err == nil || c != nil ||
			!strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: New returned %v, %v; want an error that says %q", name, c, err, test.says)
		}
	}
}

func pemOf(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}) }
