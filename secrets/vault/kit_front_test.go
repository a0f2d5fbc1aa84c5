package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// frontProxy forwards requests to a Vault, like a load balancer or an agent.
type frontProxy struct {
	*httptest.Server

	certificate atomic.Pointer[tls.Certificate]
	failing     atomic.Pointer[failing]
}

type failing struct {
	path   string // without /v1/
	status int    // zero: the connection breaks
}

// newFrontProxy returns a proxy. Call start or startTLS to start it.
func newFrontProxy(t *testing.T, upstream string) *frontProxy {
	t.Helper()
	to, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	f := &frontProxy{}
	f.fail("", 0)
	quiet := log.New(io.Discard, "", 0)
	pass := httputil.NewSingleHostReverseProxy(to)
	pass.ErrorLog = quiet
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch failing := f.failing.Load(); {
		case r.URL.Path != "/v1/"+failing.path:
			pass.ServeHTTP(w, r)
		case failing.status == 0:
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, `{"errors":["`+canary+`"]}`, failing.status)
		}
	}))
	f.Config.ErrorLog = quiet
	t.Cleanup(f.Close)
	return f
}

// fail makes the proxy answer requests for path with status. If status is zero, the proxy breaks
// the connection. An empty path ends this.
func (f *frontProxy) fail(path string, status int) { f.failing.Store(&failing{path, status}) }

func (f *frontProxy) start(t *testing.T) string {
	t.Helper()
	f.Start()
	return f.URL
}

func (f *frontProxy) startTLS(t *testing.T, c tls.Certificate) string {
	t.Helper()
	f.certificate.Store(&c)
	f.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*f.certificate.Load()}}, nil
	}}
	f.StartTLS()
	return f.URL
}

// present sets the certificate for new connections, and closes the open ones.
func (f *frontProxy) present(c tls.Certificate) {
	f.certificate.Store(&c)
	f.CloseClientConnections()
}

// port returns the port of the proxy's address.
func (f *frontProxy) port() string { return f.URL[strings.LastIndex(f.URL, ":")+1:] }

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

// pem returns the authority's own certificate in PEM form.
func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

// issue returns a certificate for 127.0.0.1 and vault.test that expires after lasts. If lasts is
// negative, the certificate has expired.
func (a authority) issue(t *testing.T, lasts time.Duration, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"vault.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{
			usage,
		}, NotBefore: time.Now().Add(-12 * time.Hour), NotAfter: time.Now().Add(lasts),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
