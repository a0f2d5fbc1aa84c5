// Package certs holds a server's certificate, its key and the certificate authorities of its
// clients, and reloads them when their files change.
//
// The three form one immutable set. They are read together, checked together and replaced together.
// A handshake uses one set from start to end, so it never combines a certificate with the client
// authorities of another set. If the files on disk are invalid, the previous set stays in use.
//
// Connections use TLS 1.3 (RFC 8446) and resume no sessions. A session ticket would keep a client
// certificate valid after the removal of the authority that issued it. A change takes effect with
// the next handshake. Open connections stay as they are, and the server that owns them limits how
// long they last.
package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskmint/deskmint/service/filewatch"
)

// expiryWarning is how long before its end a certificate causes a warning.
const expiryWarning = 7 * 24 * time.Hour

// Options configure a Store. All are optional.
type Options struct {
	// Log receives messages about reloads, invalid files and certificates that are about to expire.
	// If it is nil, nothing is logged.
	Log *slog.Logger
	// Now is the clock for warnings; nil means time.Now. Handshakes always use the real time.
	Now func() time.Time
	// PollInterval is how often the files are read when no event reports a change. Some network
	// filesystems report none. 0 means one minute.
	PollInterval time.Duration
}

// Store holds the current set. It is safe for concurrent use.
type Store struct {
	files   Files
	options Options
	set     atomic.Pointer[set]

	mu         sync.Mutex        // one reload at a time
	lastDigest [sha256.Size]byte // of the files at the last reload, valid or not
	warned     time.Time
}

// set is one state of the files. It is never changed.
type set struct {
	pair    tls.Certificate
	leaf    *x509.Certificate // of pair
	clients *x509.CertPool    // nil: no client certificate is requested
	all     []fileCertificate // of both files, for warnings about their dates
	digest  [sha256.Size]byte
}

// fileCertificate is a certificate with the path of its file.
type fileCertificate struct {
	path        string
	certificate *x509.Certificate
}

func (s *set) addCertificates(path string, certificates []*x509.Certificate) {
	for _, c := range certificates {
		s.all = append(s.all, fileCertificate{path, c})
	}
}

// Load reads the files. If they are invalid, its error names each file and what is wrong with it.
func Load(files Files, o Options) (*Store, error) {
	if files.Certificate == "" || files.Key == "" {
		return nil, errors.New("tls: certificate and key are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PollInterval == 0 {
		o.PollInterval = time.Minute
	}
	first, faults := files.read().parse()
	if len(faults) > 0 {
		return nil, joinErrors(faults)
	}
	s := &Store{files: files, options: o, lastDigest: first.digest}
	s.set.Store(first)
	s.warn()
	return s, nil
}

// Reload reads the files now, even if they don't seem to have changed. If they are invalid, the
// previous set stays in use and the log says what is wrong.
func (s *Store) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(s.files.read())
}

// reloadIfChanged reloads the files if they have changed since the last reload. It therefore logs a
// problem once, and not again at every check until an operator has fixed it.
func (s *Store) reloadIfChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch read := s.files.read(); {
	case read.digest() != s.lastDigest:
		s.apply(read)
	case s.options.Now().Sub(s.warned) >= 24*time.Hour:
		s.warn()
	}
}

// apply replaces the set with the one that was read, if that one is valid.
func (s *Store) apply(read contents) {
	next, faults := read.parse()
	changed := next.digest != s.lastDigest
	s.lastDigest = next.digest
	switch {
	case len(faults) > 0:
		s.options.Log.Error("the TLS certificates were not reloaded; the previous ones stay in use",
			slog.String("cause", joinErrors(faults).Error()))
	case changed:
		s.set.Store(next)
		s.options.Log.Info("the TLS certificates were reloaded",
			slog.String("subject", next.leaf.Subject.String()), slog.Time("not_after", next.leaf.NotAfter))
		s.warn()
	}
}

// warn logs the certificates that have expired, are not valid yet, or expire soon.
func (s *Store) warn() {
	now := s.options.Now()
	s.warned = now
	for _, d := range s.set.Load().all {
		message := ""
		switch c := d.certificate; {
		case now.After(c.NotAfter):
			message = "a TLS certificate has expired"
		case now.Before(c.NotBefore):
			message = "a TLS certificate isn't valid yet"
		case c.NotAfter.Sub(now) < expiryWarning:
			message = "a TLS certificate expires soon"
		default:
			continue
		}
		s.options.Log.Warn(message, slog.String("file", d.path), slog.String("subject", d.certificate.Subject.String()),
			slog.Time("not_before", d.certificate.NotBefore), slog.Time("not_after", d.certificate.NotAfter))
	}
}

// NotAfter returns the time at which the server's certificate expires.
func (s *Store) NotAfter() time.Time { return s.set.Load().leaf.NotAfter }

// TLS returns the configuration of a listener that speaks these protocols (ALPN, RFC 7301), the
// preferred one first. Each handshake gets a new configuration from the current set.
//
// If there are client authorities, a client may present a certificate. The handshake fails if the
// authorities didn't issue it for clients, or if it isn't valid now. A client that presents no
// certificate is also served, because it may send another credential.
func (s *Store) TLS(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := s.set.Load()
			c := &tls.Config{
				MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, NextProtos: protocols,
				Certificates: []tls.Certificate{now.pair},
			}
			if now.clients != nil {
				c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, now.clients
				c.VerifyConnection = checkChain
			}
			return c, nil
		},
	}
}

// Run reloads the files when they change, until ctx ends.
func (s *Store) Run(ctx context.Context) {
	var paths []string
	for _, path := range []string{s.files.Certificate, s.files.Key, s.files.ClientCA} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	filewatch.Watch(ctx, filewatch.Options{
		Name:         "the TLS certificates",
		Log:          s.options.Log,
		PollInterval: s.options.PollInterval,
	},
		func() []string { return paths }, s.reloadIfChanged)
}
