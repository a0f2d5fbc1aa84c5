package config

import (
	"cmp"
	"net"
	"path/filepath"
	"strconv"

	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/loopback"
)

// Listen holds the addresses to listen on, each as host:port. Port 0 is any free one.
type Listen struct {
	// GRPC and HTTP are the two transports of the public API.
	GRPC string `yaml:"grpc"`
	HTTP string `yaml:"http"`
	// Ops has health, readiness and metrics, never the public API.
	Ops string `yaml:"ops"`
}

// DefaultListen is where a service listens that isn't told where.
func DefaultListen() Listen {
	return Listen{GRPC: "127.0.0.1:9090", HTTP: "127.0.0.1:8080", Ops: "127.0.0.1:9091"}
}

func (l *Listen) fill() {
	d := DefaultListen()
	l.GRPC, l.HTTP, l.Ops = cmp.Or(l.GRPC, d.GRPC), cmp.Or(l.HTTP, d.HTTP), cmp.Or(l.Ops, d.Ops)
}

// TLS is how the public listeners speak TLS, or why they needn't.
type TLS struct {
	// Certificate and Key are PEM files; both empty where AllowPlaintext is set.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// ClientCA is a PEM file with those who issue callers' certificates; may be empty.
	ClientCA string `yaml:"client_ca"`
	// AllowPlaintext says that something in front does TLS.
	AllowPlaintext bool `yaml:"allow_plaintext"`
}

// Check reports, by the keys grpc, http and ops, the addresses that can't be
// listened on as they stand. t is nil where nothing is said about TLS.
//
// Without TLS the public listeners stay on loopback: API keys and tokens pass
// through them. The ops listener carries neither and is asked by probes that speak
// plaintext only, so it may listen anywhere.
func (l Listen) Check(t *TLS, report func(key, message string)) {
	taken := map[string]string{}
	for _, listener := range []struct {
		key, address string
		public       bool
	}{{"grpc", l.GRPC, true}, {"http", l.HTTP, true}, {"ops", l.Ops, false}} {
		host, port, err := net.SplitHostPort(listener.address)
		number, portErr := strconv.ParseUint(port, 10, 16)
		switch other, used := taken[listener.address]; {
		case err != nil || portErr != nil:
			report(listener.key, "is no address to listen on: give host:port, such as 127.0.0.1:9090")
		case used && number != 0:
			report(listener.key, "is the address of "+other+" too: each needs its own")
		case listener.public && !t.secures() && !loopback.Host(host):
			report(listener.key, "would carry API keys and tokens in plaintext beyond this machine: give tls.certificate and tls.key, "+
				"or tls.allow_plaintext: true where a mesh or proxy in front does TLS")
		}
		taken[listener.address] = listener.key
	}
}

// Enabled is true where the public listeners speak TLS themselves.
func (t *TLS) Enabled() bool { return t != nil && t.Certificate != "" }

func (t *TLS) secures() bool { return t.Enabled() || t != nil && t.AllowPlaintext }

func (t *TLS) check(at place) {
	switch {
	case t.Certificate != "" && t.Key == "":
		at.at("key").problem("is required beside certificate: the file with its private key")
	case t.Certificate == "" && t.Key != "":
		at.at("certificate").problem("is required beside key: the file with the certificate and its chain")
	case t.Certificate == "" && t.ClientCA != "":
		at.at("certificate").problem("is required beside client_ca: client certificates are a part of TLS")
	case t.Certificate == "" && !t.AllowPlaintext:
		at.at("certificate").problem("is required, or allow_plaintext: true; without the tls block the listeners stay on loopback")
	case t.Certificate != "" && t.AllowPlaintext:
		at.at("allow_plaintext").problem("contradicts certificate: with one, the listeners speak TLS only")
	}
}

// Files are those that the listeners' TLS is made of.
func (t *TLS) Files() certs.Files {
	return certs.Files{Certificate: t.Certificate, Key: t.Key, ClientCA: t.ClientCA}
}

func (t *TLS) rebase(dir string) {
	for _, path := range []*string{&t.Certificate, &t.Key, &t.ClientCA} {
		*path = rebase(dir, *path)
	}
}

// rebase makes a relative path one below dir.
func rebase(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
