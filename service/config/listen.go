package config

import (
	"cmp"
	"net"
	"path/filepath"
	"strconv"

	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/loopback"
)

// Listen contains the addresses to listen on, each as host:port. Port 0 selects a free port.
type Listen struct {
	// GRPC and HTTP are the two transports of the public API.
	GRPC string `yaml:"grpc"`
	HTTP string `yaml:"http"`
	// Ops serves health, readiness and metrics. It never serves the public API.
	Ops string `yaml:"ops"`
	// ConnectionsPerAddress limits the connections that one address has open at each public
	// listener. 0 means no limit. Absent means 200 with TLS and no limit without, because a proxy
	// or mesh in front has all connections then.
	ConnectionsPerAddress *int `yaml:"connections_per_address"`
}

// defaultConnections is the default of connections_per_address with TLS. 200 connections with 100
// open requests each take some 35 MB of memory.
const defaultConnections = 200

// MaxConnections returns the limit of connections for each address. 0 means no limit.
func (l Listen) MaxConnections(t *TLS) int {
	switch {
	case l.ConnectionsPerAddress != nil:
		return *l.ConnectionsPerAddress
	case t.Enabled():
		return defaultConnections
	}
	return 0
}

// DefaultListen returns the default addresses.
func DefaultListen() Listen {
	return Listen{GRPC: "127.0.0.1:9090", HTTP: "127.0.0.1:8080", Ops: "127.0.0.1:9091"}
}

func (l *Listen) setDefaults() {
	d := DefaultListen()
	l.GRPC, l.HTTP, l.Ops = cmp.Or(l.GRPC, d.GRPC), cmp.Or(l.HTTP, d.HTTP), cmp.Or(l.Ops, d.Ops)
}

// TLS contains the settings of TLS for the public listeners.
type TLS struct {
	// Certificate and Key are PEM files. Both are empty if AllowPlaintext is set.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// ClientCA is a PEM file with the authorities that issue the callers' certificates. It may be
	// empty.
	ClientCA string `yaml:"client_ca"`
	// AllowPlaintext allows listeners without TLS on any address, because a mesh or proxy in front
	// of the service terminates TLS.
	AllowPlaintext bool `yaml:"allow_plaintext"`
}

// Check reports invalid and forbidden addresses by their keys: grpc, http and ops. t is nil if the
// file has no tls block.
//
// Without TLS, the public listeners must be on loopback, because API keys and tokens pass through
// them. The ops listener may have any address, because it carries neither, and because some probes
// support only plaintext.
func (l Listen) Check(t *TLS, report func(key, message string)) {
	if l.ConnectionsPerAddress != nil && *l.ConnectionsPerAddress < 0 {
		report("connections_per_address", "must be a number of connections, or 0 for no limit")
	}
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
			report(listener.key, "is the address of "+other+", too: each must be different")
		case listener.public && !t.isSecure() && !loopback.Host(host):
			report(listener.key, "would carry API keys and tokens in plaintext beyond this machine: "+
				"give tls.certificate and tls.key, "+
				"or tls.allow_plaintext: true where a mesh or proxy in front does TLS")
		}
		taken[listener.address] = listener.key
	}
}

// Enabled reports whether the public listeners use TLS.
func (t *TLS) Enabled() bool { return t != nil && t.Certificate != "" }

func (t *TLS) isSecure() bool { return t.Enabled() || t != nil && t.AllowPlaintext }

func (t *TLS) check(at yamlfile.Place) {
	switch {
	case t.Certificate != "" && t.Key == "":
		at.At("key").Problem("is required with certificate: the file with its private key")
	case t.Certificate == "" && t.Key != "":
		at.At("certificate").Problem("is required with key: the file with the certificate and its chain")
	case t.Certificate == "" && t.ClientCA != "":
		at.At("certificate").Problem("is required with client_ca: client certificates are a part of TLS")
	case t.Certificate == "" && !t.AllowPlaintext:
		at.At("certificate").Problem("is required, or allow_plaintext: true; " +
			"without the tls block the listeners must be on loopback")
	case t.Certificate != "" && t.AllowPlaintext:
		at.At("allow_plaintext").Problem("contradicts certificate: with one, the listeners accept only TLS")
	}
}

// Files returns the paths of the files.
func (t *TLS) Files() certs.Files {
	return certs.Files{Certificate: t.Certificate, Key: t.Key, ClientCA: t.ClientCA}
}

func (t *TLS) rebase(dir string) {
	for _, path := range []*string{&t.Certificate, &t.Key, &t.ClientCA} {
		*path = rebase(dir, *path)
	}
}

// rebase returns a relative path as one below dir.
func rebase(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
