// Package certstest makes certificates for tests.
package certstest

import (
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
	key *ecdsa.PrivateKey
}

// Pair is a certificate with its key.
type Pair struct {
	Certificate, Key string // PEM
	TLS              *tls.Certificate
}

// New makes an authority of that name, which vouches for itself.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	return issued(t, name, nil)
}

// Below makes an authority of that name that a vouches for.
func (a *Authority) Below(t testing.TB, name string) *Authority {
	t.Helper()
	return issued(t, name, a)
}

func issued(t testing.TB, name string, by *Authority) *Authority {
	t.Helper()
	key := newKey(t)
	template := filled(t, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	if by == nil {
		by = &Authority{Certificate: template, key: key}
	}
	der, certificate := sign(t, template, by.Certificate, key, by.key)
	return &Authority{certificate, encoded("CERTIFICATE", der), key}
}

// Issue signs what the template says. Where it leaves its dates out, the certificate
// began an hour ago and has 30 days left.
func (a *Authority) Issue(t testing.TB, template x509.Certificate) Pair {
	t.Helper()
	key := newKey(t)
	der, leaf := sign(t, filled(t, template), a.Certificate, key, a.key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{
		Certificate: encoded("CERTIFICATE", der), Key: encoded("PRIVATE KEY", private),
		TLS: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
	}
}

// Server is a certificate for 127.0.0.1 and localhost.
func (a *Authority) Server(t testing.TB) Pair {
	t.Helper()
	return a.Issue(t, x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Client is a client's certificate with these subject alternative names: what has a
// scheme is a URI, and all else a DNS name.
func (a *Authority) Client(t testing.TB, names ...string) Pair {
	t.Helper()
	return a.Issue(t, Client(t, names...))
}

// Client is the template of a client's certificate, to be changed before it is issued.
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

func filled(t testing.TB, template x509.Certificate) *x509.Certificate {
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
	t testing.TB, template, parent *x509.Certificate, subject, issuer *ecdsa.PrivateKey,
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

func encoded(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
