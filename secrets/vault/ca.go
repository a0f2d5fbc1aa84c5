package vault

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskmint/deskmint/service/readfile"
)

// caTransport is a transport that trusts the authorities in a file, or those of the system. A
// change of the file takes effect with the next connection. While the file can't be used, the
// authorities before stay in use.
type caTransport struct {
	settings Settings
	timeout  time.Duration
	log      *slog.Logger

	current atomic.Pointer[http.Transport]

	mu   sync.Mutex // one reload at a time
	last digest     // of the file at the last reload, valid or not
}

func newCATransport(s Settings, timeout time.Duration, log *slog.Logger) (*caTransport, error) {
	c := &caTransport{settings: s, timeout: timeout, log: log}
	if s.CA == "" {
		c.current.Store(c.trusting(nil))
		return c, nil
	}
	text, err := readfile.Small(s.CA)
	if err != nil {
		return nil, fmt.Errorf("vault: ca: %w", err)
	}
	pool, err := authorities(text)
	if pool == nil {
		return nil, fmt.Errorf("vault: ca: %s %w", s.CA, err)
	}
	c.last = digestOfFile(text, nil)
	c.current.Store(c.trusting(pool))
	return c, nil
}

// RoundTrip implements http.RoundTripper.
func (c *caTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.current.Load().RoundTrip(r)
}

// reload reads the file. It reports whether other authorities are trusted from now on. It logs a
// file that can't be used once for each of its states.
func (c *caTransport) reload() bool {
	if c.settings.CA == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := readfile.Small(c.settings.CA)
	now := digestOfFile(text, err)
	if now == c.last {
		return false
	}
	c.last = now
	var pool *x509.CertPool
	if err == nil {
		pool, err = authorities(text)
	}
	if err != nil {
		c.log.Error("the authorities of secrets.vault.ca were not reloaded; the previous ones stay in use",
			"file", c.settings.CA, "cause", err.Error())
		return false
	}
	// Requests in flight go on. The connections of the transport before are not used again.
	before := c.current.Swap(c.trusting(pool))
	before.CloseIdleConnections()
	c.log.Info("the authorities of secrets.vault.ca were reloaded", "file", c.settings.CA)
	return true
}

func digestOfFile(text []byte, err error) digest {
	return sha256.Sum256(fmt.Appendf(nil, "%v\n%s", err, text))
}

// authorities returns the certificates in a file. If the file ends within a block, like one that is
// still being written, it returns the certificates before that and an error.
func authorities(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("has no certificate in PEM form")
	}
	begun := bytes.Count(text, []byte("-----BEGIN "))
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		begun--
	}
	if begun > 0 {
		return pool, errors.New("has a block that isn't PEM or is incomplete")
	}
	return pool, nil
}

// trusting returns a transport that uses only HTTP/1.1. With HTTP/1.1 a request that gets no answer
// in time closes its connection, so that a half-open connection fails one request. With HTTP/2 all
// requests share one connection, and every request would fail until TCP gives up.
func (c *caTransport) trusting(pool *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: c.timeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            pool,
			InsecureSkipVerify: c.settings.SkipVerify, //nolint:gosec // only for trials; New logs a warning
		},
		TLSHandshakeTimeout: c.timeout,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}
}
