package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// keys are the credentials of the load.
type keys struct {
	apiKey string
	jwt    string
	ca     *x509.CertPool
	client tls.Certificate
}

const (
	callerURI = "spiffe://bench.internal/shop"
	issuer    = "https://issuer.bench.internal"
)

// newKeys generates all credentials, and writes the files that the servers read: server.crt,
// server.key, ca.crt and jwks.json.
func newKeys(dir string) (*keys, error) {
	k := &keys{apiKey: "dmk_" + rand.Text() + rand.Text()}
	authority, authorityKey, err := certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: "bench"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	k.ca = x509.NewCertPool()
	k.ca.AddCert(authority.Leaf)
	server, serverKey, err := certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority.Leaf, authorityKey)
	if err != nil {
		return nil, err
	}
	uri, err := url.Parse(callerURI)
	if err != nil {
		return nil, err
	}
	if k.client, _, err = certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: "shop"}, URIs: []*url.URL{uri},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority.Leaf, authorityKey); err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return nil, err
	}
	set, err := k.bearer()
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		"ca.crt":     block("CERTIFICATE", authority.Certificate[0]),
		"server.crt": block("CERTIFICATE", server.Certificate[0]),
		"server.key": block("PRIVATE KEY", private), "jwks.json": set,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func certificate(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (tls.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, key, err
}

// bearer generates a token such as a Kubernetes cluster issues to a service, signed with ES256. It
// returns the key set that verifies it.
func (k *keys) bearer() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": "system:serviceaccount:shop:storefront", "aud": []string{"deskmint"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(24 * time.Hour).Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      "shop",
			"serviceaccount": map[string]string{"name": "storefront", "uid": rand.Text()},
		},
	})
	if err != nil {
		return nil, err
	}
	input := encode([]byte(`{"alg":"ES256","kid":"k1","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	k.jwt = input + "." + encode(signature)
	point, err := key.PublicKey.Bytes() // 4, x, y (SEC 1, section 2.3.3)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "use": "sig", "x": encode(point[1:33]),
		"y": encode(point[33:]),
	}}})
}

func poolOf(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return pool, nil
}

// configuration writes deskmint.yaml and secrets.yaml for this many configurations and callers. The
// benchmark uses one of each. The limits are far above the load, but the service still counts
// requests.
func (k *keys) configuration(dir string, configurations, callers int, tls bool) (string, error) {
	var file, secrets bytes.Buffer
	if tls {
		fmt.Fprintln(&file, "tls: {certificate: server.crt, key: server.key, client_ca: ca.crt}")
	}
	fmt.Fprintf(&file, `secrets: {source: file, file: {path: secrets.yaml}}
audit: {output: audit.log, email_key_file: audit.key}
issuers: [{name: cluster, issuer: %q, audience: deskmint, jwks: jwks.json}]
configurations:
`, issuer)
	fmt.Fprintln(&secrets, "secrets:")
	for i := range configurations {
		fmt.Fprintf(&file, `  - name: acme-%[1]d
    secret: {path: sso/acme-%[1]d}
    user_rate: {per_minute: 60000, burst: 60000}
    zendesk_sso:
      audiences: [end_user]
      brands: [{id: "%[1]d", name: Acme, subdomain: acme-%[1]d, hosts: [help-%[1]d.acme.example]}]
`, i)
		fmt.Fprintf(&secrets, "  sso/acme-%d: {versions: {1: {shared_secret: %q, created: 2026-01-01T00:00:00Z}}}\n", i,
			rand.Text()+rand.Text())
	}
	fmt.Fprintln(&file, "callers:")
	for i := range callers {
		hash := sha256.Sum256([]byte(fmt.Sprintf("dmk_of-another-caller-%d", i)))
		more := ""
		if i == callers/2 {
			hash = sha256.Sum256([]byte(k.apiKey))
			more = fmt.Sprintf(", {mtls_uri: %q}, {jwt: {issuer: cluster, subject: "+
				"\"system:serviceaccount:shop:storefront\"}}", callerURI)
		}
		fmt.Fprintf(&file, `  - name: shop-%d
    identities: [{api_key_sha256: %s}%s]
    grants:
      - configurations: [acme-%d]
        brands: ["*"]
        actions: [sign_in, inspect, read]
        roles: [unset, end_user]
        claims: {external_id: {prefix: shop-}, tags: [vip, beta]}
        email_domains: {allow: ["*"], deny: [acme.com, "*.acme.com"]}
        return_to_hosts: ["*"]
        rate: {per_second: 1000000, burst: 1000000}
`, i, hex.EncodeToString(hash[:]), more, configurations/2)
	}
	for name, content := range map[string][]byte{
		"deskmint.yaml": file.Bytes(), "secrets.yaml": secrets.Bytes(), "audit.key": []byte(rand.Text() + rand.Text()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "deskmint.yaml"), nil
}
