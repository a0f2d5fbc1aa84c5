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

// certificate makes one that vouches for itself, for 127.0.0.1.
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
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes}))
}

func TestTLS(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	cert, private := certificate(t)
	other, _ := certificate(t)
	dir := folder(t, map[string]string{
		"deskmint.yaml": onFile(hash) + "tls: {certificate: tls.crt, key: tls.key}\n", "secrets.yaml": secretsYAML(customersSecret),
		"tls.crt": cert, "tls.key": private, "other.crt": other, "key": key,
	})
	d := serve(t, filepath.Join(dir, "deskmint.yaml"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	config := func(version uint16) *tls.Config {
		return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, MaxVersion: version}
	}

	t.Run("REST", func(t *testing.T) {
		for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config(0), ForceAttemptHTTP2: http2}}
			r, err := http.NewRequest(http.MethodPost, "https://"+d.http+"/v1/configurations/acme-customers:mintToken", strings.NewReader(anaJSON))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+key)
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
		if conn, err := tls.Dial("tcp", d.http, config(tls.VersionTLS12)); err == nil {
			_ = conn.Close()
			t.Error("it speaks TLS 1.2")
		}
		if got := d.post(t, key, "/v1/configurations/acme-customers:mintToken", anaJSON); got.status != http.StatusBadRequest || got.token != "" {
			t.Errorf("in plaintext: %d %s", got.status, got.body)
		}
	})
	t.Run("gRPC", func(t *testing.T) {
		mint := func(credential credentials.TransportCredentials) error {
			ctx, cancel := context.WithTimeout(as(t.Context(), key), soon)
			defer cancel()
			minted, err := pb.NewTokenServiceClient(d.dial(t, grpc.WithTransportCredentials(credential))).MintToken(ctx, ana("acme-customers"))
			if err == nil {
				claims(t, minted.GetToken(), customersSecret)
			}
			return err
		}
		if err := mint(credentials.NewTLS(config(0))); err != nil {
			t.Error(err)
		}
		if err := mint(credentials.NewTLS(config(tls.VersionTLS12))); err == nil {
			t.Error("it speaks TLS 1.2")
		}
		if _, err := pb.NewTokenServiceClient(d.dial(t)).MintToken(as(t.Context(), key), ana("acme-customers")); err == nil {
			t.Error("it speaks plaintext")
		}
	})
	t.Run("command", func(t *testing.T) {
		args := []string{"mint", "--address", d.grpc, "--api-key-file", filepath.Join(dir, "key"), "--configuration", "acme-customers", "--email", "a@b.example", "--name", "A"}
		out, _, err := invoke(t, "", append(args, "--ca", filepath.Join(dir, "tls.crt"))...)
		var minted struct{ Token string }
		if err != nil || json.Unmarshal([]byte(out), &minted) != nil {
			t.Fatalf("%v %s", err, out)
		}
		claims(t, minted.Token, customersSecret)
		for name, flags := range map[string][]string{"another CA": {"--ca", filepath.Join(dir, "other.crt")}, "plaintext": nil} {
			out, _, err := invoke(t, "", append(args, flags...)...)
			if err == nil || out != "" {
				t.Fatalf("%s: %v %s", name, err, out)
			}
			shows(t, false, err.Error(), key)
			if name == "another CA" && !strings.Contains(err.Error(), "certificate") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	// Probes speak plaintext.
	d.stands(t, "usable", 1, "")
	d.silent(t, key, customersSecret)
}

// TestTLSFaults: what is wrong with the files is told before anything listens.
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
			"deskmint.yaml": onFile(hash) + "tls: {certificate: tls.crt, key: tls.key}\n", "secrets.yaml": secretsYAML(customersSecret),
			"tls.crt": c.cert, "tls.key": c.key,
		})
		out, _, err := invoke(t, "", append([]string{"serve", "--config", filepath.Join(dir, "deskmint.yaml")}, anyPort...)...)
		if err == nil || out != "" || !strings.Contains(err.Error(), "deskmint.yaml:20: "+c.want) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}
