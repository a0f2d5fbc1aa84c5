package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

// limit is the timeout for events that must happen, even on a busy machine.
const limit = 2 * time.Minute

// logLines receives what a store logs, in order.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// next waits for a line and checks that it contains all parts.
func (l logLines) next(t *testing.T, parts ...string) (line string) {
	t.Helper()
	select {
	case line = <-l:
		for _, part := range parts {
			if !strings.Contains(line, part) {
				t.Fatalf("logged %s, want %q in it", line, part)
			}
		}
	case <-time.After(limit):
		t.Fatalf("nothing was logged, want %q", parts)
	}
	return line
}

// none checks that no further line was logged.
func (l logLines) none(t *testing.T) {
	t.Helper()
	select {
	case line := <-l:
		t.Errorf("logged %s", line)
	default:
	}
}

// folder is the path of a folder with the three files.
type folder string

func newFolder(t *testing.T, server certstest.Pair, clients ...*certstest.Authority) folder {
	t.Helper()
	f := folder(t.TempDir())
	f.writeAll(t, server, clients...)
	return f
}

func (f folder) writeAll(t *testing.T, server certstest.Pair, clients ...*certstest.Authority) {
	t.Helper()
	bundle := ""
	for _, c := range clients {
		bundle += c.PEM
	}
	f.write(t, "clients.pem", bundle)
	f.write(t, "tls.crt", server.Certificate)
	f.write(t, "tls.key", server.Key)
}

// write writes a file in place, as `cat >` does.
func (f folder) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(f.at(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f folder) at(name string) string { return filepath.Join(string(f), name) }

// moveFrom moves the files of another folder to this one, one by one.
func (f folder) moveFrom(t *testing.T, from folder) {
	t.Helper()
	for _, name := range []string{"clients.pem", "tls.crt", "tls.key"} {
		if err := os.Rename(from.at(name), f.at(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// linkTo makes f a symbolic link to another folder, in one step.
func (f folder) linkTo(to folder) error {
	if err := os.Symlink(string(to), string(f)+".new"); err != nil {
		return err
	}
	return os.Rename(string(f)+".new", string(f))
}

func (f folder) files() certs.Files {
	return certs.Files{Certificate: f.at("tls.crt"), Key: f.at("tls.key"), ClientCA: f.at("clients.pem")}
}

// load loads a store that doesn't follow changes.
func load(t *testing.T, files certs.Files, o certs.Options) (*certs.Store, logLines) {
	t.Helper()
	log := make(logLines, 100)
	o.Log = slog.New(slog.NewJSONHandler(log, nil))
	s, err := certs.Load(files, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// run runs a store until the test ends.
func run(t *testing.T, s *certs.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// echoServer starts a server with the store's TLS configuration. It returns what a client writes.
func echoServer(t *testing.T, s *certs.Store, protocols ...string) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS(protocols...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	return l.Addr().String()
}

// client returns the configuration of a client that trusts an authority and presents a certificate.
// The default selection of crypto/tls would not present a certificate from an authority that the
// server doesn't name.
func client(server *certstest.Authority, own ...certstest.Pair) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate)
	c := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if len(own) > 0 {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own[0].TLS, nil }
	}
	return c
}

// connect dials and sends a byte to the server and back. A client of TLS 1.3 doesn't learn earlier
// whether the server has accepted its certificate.
func connect(address string, config *tls.Config) (*tls.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: limit}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	if err := ping(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func ping(conn *tls.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// wantHandshake checks whether the server accepts a handshake.
func wantHandshake(t *testing.T, address string, config *tls.Config, want bool) {
	t.Helper()
	conn, err := connect(address, config)
	if err == nil {
		_ = conn.Close()
	}
	if (err == nil) != want {
		t.Errorf("the handshake ended with %v, want success: %v", err, want)
	}
}
