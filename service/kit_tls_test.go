package service_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

// withCertificateCallers adds callers with certificates to a configuration.
func withCertificateCallers(configuration string) string {
	const grants = `
    grants: [{configurations: [acme-customers], brands: ["*"], actions: [read]}]`
	return configuration + `
  - name: by-uri
    identities: [{mtls_uri: "spiffe://acme.internal/shop"}]` + grants + `
  - name: by-dns
    identities: [{mtls_dns: shop.acme.internal}]` + grants + `
  - name: by-all
    identities:
      - mtls_dns: all.acme.internal
      - mtls_uri: "spiffe://acme.internal/all"
      - api_key_sha256: ` + caller.HashKey("dmk_all") + grants + `
`
}

// tlsServer is a server with TLS whose certificate files a test can change.
type tlsServer struct {
	*server

	Certs     *certs.Store
	Authority *certstest.Authority // of the server and of the clients
	Issuer    *tokenIssuer
	files     certs.Files
}

func startTLS(t *testing.T) *tlsServer {
	t.Helper()
	dir, ours := t.TempDir(), certstest.New(t, "ours")
	h := &tlsServer{Authority: ours, Issuer: newTokenIssuer(t), files: certs.Files{
		Certificate: filepath.Join(dir, "tls.crt"),
		Key:         filepath.Join(dir, "tls.key"),
		ClientCA:    filepath.Join(dir, "clients.pem"),
	}}
	h.write(t, ours.Server(t), ours)
	var err error
	if h.Certs, err = certs.Load(h.files, certs.Options{}); err != nil {
		t.Fatal(err)
	}
	h.server = start(t, settings{configuration: withCertificateCallers(h.Issuer.withIssuer()), certificates: h.Certs})
	return h
}

func (h *tlsServer) write(t *testing.T, server certstest.Pair, clients *certstest.Authority) {
	t.Helper()
	for path, text := range map[string]string{
		h.files.Certificate: server.Certificate,
		h.files.Key:         server.Key,
		h.files.ClientCA:    clients.PEM,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// withCertificate returns the server with a client that presents the certificate, even if the
// server doesn't accept its authority. Nil means a client without a certificate.
func (h *tlsServer) withCertificate(t *testing.T, own *tls.Certificate, protocols ...string) *server {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(h.Authority.Certificate)
	out := *h.server
	out.client = &tls.Config{RootCAs: roots, NextProtos: protocols}
	if own != nil {
		out.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own, nil
		}
	}
	conn, err := grpc.NewClient(h.listeners[0].Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(out.client)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	out.GRPC = conn
	return &out
}

// clientCertificate returns the certificate of the client from [tlsServer.withCertificate].
func (s *server) clientCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	certificate, err := s.client.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
