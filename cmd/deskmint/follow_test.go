package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

// tlsFront is a TLS server whose certificate changes while it runs.
type tlsFront struct {
	*httptest.Server

	certificate atomic.Pointer[tls.Certificate]
}

func newTLSFront(t *testing.T, handler http.Handler, by *certstest.Authority) *tlsFront {
	t.Helper()
	f := &tlsFront{Server: httptest.NewUnstartedServer(handler)}
	f.present(t, by)
	f.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*f.certificate.Load()}}, nil
	}}
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

// present sets the authority that issues the certificate of new connections, and closes the open
// connections.
func (f *tlsFront) present(t *testing.T, by *certstest.Authority) {
	t.Helper()
	certificate := by.Server(t).TLS
	f.certificate.Store(certificate)
	f.CloseClientConnections()
}

// TestVaultCAFollowed checks that the authorities of Vault's certificate can be replaced while the
// service runs.
func TestVaultCAFollowed(t *testing.T) {
	t.Parallel()
	before, after := certstest.New(t, "before"), certstest.New(t, "after")
	vault := vaulttest.Start(t)
	var front *tlsFront
	s := serveOnVault(t, vault, "refresh: 1s", func(s *vaultServer) {
		s.put(t, firstSecret)
		front = newTLSFront(t, s.proxy, before)
		config := filepath.Join(s.dir, "deskmint.yaml")
		text := readFile(t, config)
		from := strings.Index(text, "addresses: [")
		to := from + strings.Index(text[from:], "]")
		write(t, config, text[:from]+fmt.Sprintf("ca: vault-ca.pem, addresses: [%q", front.URL)+text[to:])
		write(t, filepath.Join(s.dir, "vault-ca.pem"), before.PEM)
	})
	s.expectSigned(t, 1, firstSecret)

	front.present(t, after)
	s.awaitState(t, "stale", 1, "unknown authority: check ca")
	write(t, filepath.Join(s.dir, "vault-ca.pem"), "half of a file")
	if text, ok := s.err.await("the authorities of secrets.vault.ca were not reloaded", s.ended); !ok {
		t.Fatalf("standard error:\n%s", text)
	}
	s.put(t, secondSecret)
	write(t, filepath.Join(s.dir, "vault-ca.pem"), after.PEM)
	s.awaitState(t, "usable", 2, "")
	s.expectSigned(t, 2, secondSecret)
	s.checkNoLeaks(t)
}

// TestIssuerCAFollowed checks that an issuer's keys are fetched when the file of its authorities
// has changed, and not at the next interval, which is ten minutes.
func TestIssuerCAFollowed(t *testing.T) {
	t.Parallel()
	_, hash := caller.NewKey()
	before, after := certstest.New(t, "before"), certstest.New(t, "after")
	issuer := newIssuer(t)
	front := newTLSFront(t, issuer.Config.Handler, before)
	dir := folder(t, map[string]string{
		"deskmint.yaml": strings.Replace(onFile(hash), "      - api_key_sha256:",
			"      - jwt: {issuer: cluster, subject: shop}\n      - api_key_sha256:", 1) +
			"issuers: [{name: cluster, issuer: " + front.URL + ", audience: deskmint, jwks: " + front.URL + "/keys, " +
			"ca: ca.pem}]\n",
		"secrets.yaml": secretsYAML(customersSecret), "ca.pem": before.PEM,
	})
	d := serve(t, filepath.Join(dir, "deskmint.yaml"))
	if n := issuer.requests.Load(); n != 1 {
		t.Fatalf("the issuer got %d requests at the start", n)
	}
	front.present(t, after) // not in the loop, because it would cut off a fetch that is in progress
	for i, ca := range []string{before.PEM + after.PEM, after.PEM} {
		write(t, filepath.Join(dir, "ca.pem"), ca)
		eventually(t, func() error {
			if n := issuer.requests.Load(); n < int64(i)+2 {
				return fmt.Errorf("%d requests after change %d", n, i+1)
			}
			return nil
		})
	}
	if got := d.mint(t, issuer.token(t, front.URL), "acme-customers"); got.token == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if log := d.err.String(); strings.Contains(log, "can't be refreshed") {
		t.Errorf("a fetch failed:\n%s", log)
	}
}
