package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/caller"
)

// certificate returns a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "deskmint"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth,
		},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: signed})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes}))
}

// tlsServer is a server with a self-signed certificate.
type tlsServer struct {
	*deskmint

	dir, key string
	roots    *x509.CertPool
}

// config returns a client's configuration. version is the highest version of TLS, or 0 for the
// default.
func (s *tlsServer) config(version uint16) *tls.Config {
	return &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12, MaxVersion: version}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	cert, private := certificate(t)
	other, _ := certificate(t)
	dir := folder(t, map[string]string{
		"deskmint.yaml": onFile(hash) + "tls: {certificate: tls.crt, key: tls.key}\n",
		"secrets.yaml":  secretsYAML(customersSecret),
		"tls.crt":       cert, "tls.key": private, "other.crt": other, "key": key,
	})
	d := serve(t, filepath.Join(dir, "deskmint.yaml"))
	s := &tlsServer{deskmint: d, dir: dir, key: key, roots: x509.NewCertPool()}
	s.roots.AppendCertsFromPEM([]byte(cert))
	t.Run("REST", s.testTLSRest)
	t.Run("gRPC", s.testTLSGRPC)
	t.Run("command", s.testTLSCommand)
	// Probes of the ops listener use plaintext.
	d.awaitState(t, "usable", 1, "")
	d.checkNoSecrets(t, key, customersSecret)
}

// testTLSRest checks the REST gateway over TLS.
func (s *tlsServer) testTLSRest(t *testing.T) {
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.config(0), ForceAttemptHTTP2: http2}}
		r, err := http.NewRequest(http.MethodPost, "https://"+s.http+"/v1/configurations/acme-customers:mintToken",
			strings.NewReader(anaJSON))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+s.key)
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got := readAnswer(t, response)
		if response.Proto != protocol || response.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%s over TLS %x, want %s", response.Proto, response.TLS.Version, protocol)
		}
		claims(t, got.token, customersSecret)
		client.CloseIdleConnections()
	}
	if conn, err := tls.Dial("tcp", s.http, s.config(tls.VersionTLS12)); err == nil {
		_ = conn.Close()
		t.Error("the server accepts TLS 1.2")
	}
	if got := s.post(t, s.key, "/v1/configurations/acme-customers:mintToken",
		anaJSON); got.status != http.StatusBadRequest || got.token != "" {
		t.Errorf("in plaintext: %d %s", got.status, got.body)
	}
}

// testTLSGRPC checks the gRPC server over TLS.
func (s *tlsServer) testTLSGRPC(t *testing.T) {
	mint := func(credential credentials.TransportCredentials) error {
		ctx, cancel := context.WithTimeout(withKey(t.Context(), s.key), longTimeout)
		defer cancel()
		minted, err := pb.NewTokenServiceClient(s.dial(t, grpc.WithTransportCredentials(credential))).MintToken(ctx,
			anaRequest("acme-customers"))
		if err == nil {
			claims(t, minted.GetToken(), customersSecret)
		}
		return err
	}
	if err := mint(credentials.NewTLS(s.config(0))); err != nil {
		t.Error(err)
	}
	if err := mint(credentials.NewTLS(s.config(tls.VersionTLS12))); err == nil {
		t.Error("the server accepts TLS 1.2")
	}
	if _, err := pb.NewTokenServiceClient(s.dial(t)).MintToken(withKey(t.Context(), s.key),
		anaRequest("acme-customers")); err == nil {
		t.Error("the server accepts plaintext")
	}
}

// testTLSCommand checks a client command over TLS.
func (s *tlsServer) testTLSCommand(t *testing.T) {
	args := []string{
		"mint", "--address", s.grpc, "--api-key-file", filepath.Join(s.dir, "key"),
		"--configuration", "acme-customers", "--email", "a@b.example", "--name", "A",
	}
	out, _, err := invoke(t, "", append(args, "--ca", filepath.Join(s.dir, "tls.crt"))...)
	var minted struct{ Token string }
	if err != nil || json.Unmarshal([]byte(out), &minted) != nil {
		t.Fatalf("%v %s", err, out)
	}
	claims(t, minted.Token, customersSecret)
	for name, flags := range map[string][]string{
		"another CA": {"--ca", filepath.Join(s.dir, "other.crt")},
		"plaintext":  nil,
	} {
		out, _, err := invoke(t, "", append(args, flags...)...)
		if err == nil || out != "" {
			t.Fatalf("%s: %v %s", name, err, out)
		}
		checkShown(t, false, err.Error(), s.key)
		if name == "another CA" && !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTLSFaults checks that a fault of the files is reported before the service listens.
func TestTLSFaults(t *testing.T) {
	t.Parallel()
	_, hash := caller.NewKey()
	cert, _ := certificate(t)
	_, otherKey := certificate(t)
	for name, c := range map[string]struct{ cert, key, want string }{
		"another's key":  {cert, otherKey, "tls.key"},
		"no certificate": {"nonsense", otherKey, "tls.certificate"},
		"no key":         {cert, "nonsense", "tls.key"},
	} {
		dir := folder(t, map[string]string{
			"deskmint.yaml": onFile(hash) + "tls: {certificate: tls.crt, key: tls.key}\n",
			"secrets.yaml":  secretsYAML(customersSecret),
			"tls.crt":       c.cert, "tls.key": c.key,
		})
		out, _, err := invoke(t, "",
			append([]string{"serve", "--config", filepath.Join(dir, "deskmint.yaml")}, anyPort...)...)
		if err == nil || out != "" || !strings.Contains(err.Error(), "deskmint.yaml:21: "+c.want) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}
