package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

// mintWithCertificate mints through both transports, on new connections. The certificate is the
// only credential.
func (d *deskmint) mintWithCertificate(t *testing.T, server *certstest.Authority, client certstest.Pair) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate)
	config := &tls.Config{
		RootCAs:              roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client.TLS, nil },
	}

	conn, err := grpc.NewClient(d.grpc, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	minted, overGRPC := pb.NewTokenServiceClient(conn).MintToken(t.Context(), anaRequest("acme-customers"))
	if overGRPC == nil {
		claims(t, minted.GetToken(), customersSecret)
	}
	web := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config, ForceAttemptHTTP2: true},
	}
	response, overHTTP := web.Post("https://"+d.http+"/v1/configurations/acme-customers:mintToken", "application/json",
		strings.NewReader(anaJSON))
	if overHTTP == nil {
		got := readAnswer(t, response)
		if got.token == "" {
			overHTTP = fmt.Errorf("HTTP %d: %s", got.status, got.body)
		} else {
			claims(t, got.token, customersSecret)
		}
	}
	if (overGRPC == nil) != (overHTTP == nil) {
		t.Errorf("gRPC: %v; REST: %v", overGRPC, overHTTP)
	}
	return errors.Join(overGRPC, overHTTP)
}

// checkCommandWithCertificate runs the command mint with a client certificate.
func (d *deskmint) checkCommandWithCertificate(t *testing.T, authority *certstest.Authority, client certstest.Pair) {
	t.Helper()
	pair := folder(t, map[string]string{
		"ca.pem":     authority.PEM,
		"client.crt": client.Certificate,
		"client.key": client.Key,
	})
	if out, _, err := invoke(t, "", "mint", "--address", d.grpc, "--ca", filepath.Join(pair, "ca.pem"),
		"--cert", filepath.Join(pair, "client.crt"),
		"--key", filepath.Join(pair, "client.key"), "--configuration", "acme-customers",
		"--email", "ana@customer.example", "--name", "Ana"); err != nil || !strings.Contains(out, tokenStart) {
		t.Errorf("the command, with a certificate: %v\n%s", err, out)
	}
}

// certificateFiles writes the files of a service that accepts client certificates, and returns
// their folder.
func certificateFiles(t *testing.T, authority *certstest.Authority, server certstest.Pair) string {
	t.Helper()
	_, hash := caller.NewKey()
	return folder(t, map[string]string{
		"deskmint.yaml": strings.Replace(onFile(hash), "      - api_key_sha256:",
			"      - mtls_dns: shop.acme.internal\n      - api_key_sha256:", 1) +
			"tls: {certificate: tls.crt, key: tls.key, client_ca: clients.pem}\n",
		"secrets.yaml": secretsYAML(customersSecret), "tls.crt": server.Certificate, "tls.key": server.Key,
		"clients.pem": authority.PEM,
	})
}

// testCertificates checks that callers authenticate with their certificates, and that a replaced
// file applies to the next connection.
func testCertificates(t *testing.T, binary string) {
	ours, next := certstest.New(t, "ours"), certstest.New(t, "next")
	server := ours.Server(t)
	dir := certificateFiles(t, ours, server)
	d := spawn(t, binary, serveArgs(filepath.Join(dir, "deskmint.yaml"), "--drain", "0s")...)
	d.awaitStart(t)
	client := ours.Client(t, "shop.acme.internal")
	if err := d.mintWithCertificate(t, ours, client); err != nil {
		t.Fatal(err)
	}
	d.checkCommandWithCertificate(t, ours, client)
	if err := d.mintWithCertificate(t, ours, ours.Client(t, "other.acme.internal")); err == nil ||
		!strings.Contains(err.Error(), "CALLER_UNAUTHENTICATED") {
		t.Errorf("with the certificate of no caller: %v", err)
	}
	if err := d.mintWithCertificate(t, ours, next.Client(t, "shop.acme.internal")); err == nil ||
		strings.Contains(err.Error(), "CALLER_UNAUTHENTICATED") {
		t.Errorf("with another authority's certificate: %v, want no connection", err)
	}
	d.checkExpiry(t, server)

	// A certificate without its private key changes nothing. A SIGHUP repeats the error.
	template := x509.Certificate{
		DNSNames:    []string{"localhost"},
		IPAddresses: server.TLS.Leaf.IPAddresses,
		NotAfter:    time.Now().AddDate(0, 0, 60),
	}
	renewed := next.Issue(t, template)
	write(t, filepath.Join(dir, "clients.pem"), next.PEM)
	write(t, filepath.Join(dir, "tls.crt"), renewed.Certificate)
	const kept = "the TLS certificates were not reloaded; the previous ones stay in use"
	if text, ok := d.err.await(kept, d.ended); !ok ||
		!strings.Contains(text, "tls.key isn't the private key of certificate") {
		t.Fatalf("standard error:\n%s", text)
	}
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.err.await("the configuration was not reloaded", d.ended)
	if n := strings.Count(d.err.String(), kept); n != 2 {
		t.Errorf("the fault was logged %d times, want once for the change and once for the signal:\n%s", n, &d.err)
	}
	d.checkExpiry(t, server)

	write(t, filepath.Join(dir, "tls.key"), renewed.Key)
	if text, ok := d.err.await(renewed.TLS.Leaf.NotAfter.Format(`"not_after":"`+time.RFC3339), d.ended); !ok {
		t.Fatalf("standard error:\n%s", text)
	}
	if err := d.mintWithCertificate(t, next, next.Client(t, "shop.acme.internal")); err != nil {
		t.Error(err)
	}
	if err := d.mintWithCertificate(t, next, client); err == nil {
		t.Error("a certificate of the previous authority is accepted")
	}
	d.checkExpiry(t, renewed)
	if err := d.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	d.checkNoSecrets(t, customersSecret, server.Key[40:100], renewed.Key[40:100])
}

// checkExpiry checks that the metric has the expiry of the pair's certificate.
func (d *deskmint) checkExpiry(t *testing.T, p certstest.Pair) {
	t.Helper()
	response, err := http.Get("http://" + d.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	const name = "\ndeskmint_tls_certificate_not_after_timestamp_seconds "
	_, after, _ := strings.Cut(readAnswer(t, response).body, name)
	var got float64
	if _, err := fmt.Sscan(after, &got); err != nil || int64(got) != p.TLS.Leaf.NotAfter.Unix() {
		t.Errorf("the certificate expires at %v (%v), want %d", got, err, p.TLS.Leaf.NotAfter.Unix())
	}
}
