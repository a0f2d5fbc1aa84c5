// Package certstest makes certificates for tests.
package certstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	Certificate *x509.Certificate
	// PEM is the certificate as a file holds it.
	PEM string
	key crypto.Signer
}

// Pair is a certificate with its key.
type Pair struct {
	Certificate, Key string // PEM
	TLS              *tls.Certificate
}

// New returns a self-signed authority with this name.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	return newAuthority(t, name, nil, newKey(t))
}

// NewWithKey is like New, but the authority has this key.
func NewWithKey(t testing.TB, name string, key crypto.Signer) *Authority {
	t.Helper()
	return newAuthority(t, name, nil, key)
}

// Intermediate returns an authority with this name. Its certificate is signed by a.
func (a *Authority) Intermediate(t testing.TB, name string) *Authority {
	t.Helper()
	return newAuthority(t, name, a, newKey(t))
}

// IntermediateWithKey is like Intermediate, but the authority has this key.
func (a *Authority) IntermediateWithKey(t testing.TB, name string, key crypto.Signer) *Authority {
	t.Helper()
	return newAuthority(t, name, a, key)
}

func newAuthority(t testing.TB, name string, by *Authority, key crypto.Signer) *Authority {
	t.Helper()
	template := withDefaults(t, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	if by == nil {
		by = &Authority{Certificate: template, key: key}
	}
	der, certificate := sign(t, template, by.Certificate, key, by.key)
	return &Authority{certificate, encodePEM("CERTIFICATE", der), key}
}

// Issue signs a certificate from the template. Without dates in the template, the certificate began
// an hour ago and is valid for another 30 days.
func (a *Authority) Issue(t testing.TB, template x509.Certificate) Pair {
	t.Helper()
	return a.IssueForKey(t, template, newKey(t))
}

// IssueForKey is like Issue, but the certificate has this key.
func (a *Authority) IssueForKey(t testing.TB, template x509.Certificate, key crypto.Signer) Pair {
	t.Helper()
	der, leaf := sign(t, withDefaults(t, template), a.Certificate, key, a.key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{
		Certificate: encodePEM("CERTIFICATE", der), Key: encodePEM("PRIVATE KEY", private),
		TLS: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
	}
}

// Server issues a server certificate for 127.0.0.1 and localhost.
func (a *Authority) Server(t testing.TB) Pair {
	t.Helper()
	return a.Issue(t, x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Client issues a client certificate with these subject alternative names. A name with a scheme is
// a URI, and any other is a DNS name.
func (a *Authority) Client(t testing.TB, names ...string) Pair {
	t.Helper()
	return a.Issue(t, Client(t, names...))
}

// Client returns the template of a client certificate, for changes before it is issued.
func Client(t testing.TB, names ...string) x509.Certificate {
	t.Helper()
	template := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if !strings.Contains(name, "://") {
			template.DNSNames = append(template.DNSNames, name)
			continue
		}
		uri, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	return template
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func withDefaults(t testing.TB, template x509.Certificate) *x509.Certificate {
	t.Helper()
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = number
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(0, 0, 30)
	}
	if template.KeyUsage == 0 {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	return &template
}

func sign(
	t testing.TB, template, parent *x509.Certificate, subject, issuer crypto.Signer,
) ([]byte, *x509.Certificate) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, subject.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return der, certificate
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
