// Package certs keeps a server's certificate, its key and the authorities of its
// clients as they stand on disk, and follows them when they change.
//
// The three are one immutable set: read together, checked together, and swapped
// whole. A handshake uses the set of its moment from start to end, so that the
// certificate of one day never meets the client authorities of another. While what
// stands on disk can't be served with, the set before goes on.
//
// Connections are TLS 1.3 (RFC 8446) and resume no sessions: a ticket would carry
// a client's certificate past the removal of the authority that issued it. What has
// changed counts from the next handshake on; connections that are open stay as they
// are, and whoever serves them bounds how long.
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

// soon is how long before its end a certificate is warned of.
const soon = 7 * 24 * time.Hour

// Options of a Store. All may be left out.
type Options struct {
	// Log is told of swaps, of faults and of certificates near their end; nil: nobody is.
	Log *slog.Logger
	// Now is the clock for warnings; nil: time.Now. Handshakes have the real one.
	Now func() time.Time
	// Poll is how often the files are read where nothing has told of a change, as
	// nothing does on some network filesystems; 0: a minute.
	Poll time.Duration
}

// Store holds the present set. It is safe for concurrent use.
type Store struct {
	files   Files
	options Options
	set     atomic.Pointer[set]

	mu     sync.Mutex        // one reload at a time
	seen   [sha256.Size]byte // at the last reload, whether it could be served with or not
	warned time.Time
}

// set is one state of the files. It is never changed.
type set struct {
	pair    tls.Certificate
	leaf    *x509.Certificate // of pair
	clients *x509.CertPool    // nil: clients are asked for no certificate
	dated   []dated
	digest  [sha256.Size]byte
}

// dated is a certificate with the file that it stands in.
type dated struct {
	path        string
	certificate *x509.Certificate
}

func (s *set) note(path string, certificates []*x509.Certificate) {
	for _, c := range certificates {
		s.dated = append(s.dated, dated{path, c})
	}
}

// Load reads the files. It fails where they can't be served with, and says each
// file and what is wrong with it.
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
	if o.Poll == 0 {
		o.Poll = time.Minute
	}
	first, faults := files.read().parse()
	if len(faults) > 0 {
		return nil, joined(faults)
	}
	s := &Store{files: files, options: o, seen: first.digest}
	s.set.Store(first)
	s.warn()
	return s, nil
}

// Reload reads the files now, whether they seem to have changed or not. Where they
// can't be served with, the set before goes on, and the log says what is wrong.
func (s *Store) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(s.files.read())
}

// follow reloads where something has changed since the last reload. What is wrong is
// logged then, and not at every reload until somebody has mended it.
func (s *Store) follow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch read := s.files.read(); {
	case read.digest() != s.seen:
		s.take(read)
	case s.options.Now().Sub(s.warned) >= 24*time.Hour:
		s.warn()
	}
}

// take swaps the set for what was read, unless that can't be served with.
func (s *Store) take(read contents) {
	next, faults := read.parse()
	changed := next.digest != s.seen
	s.seen = next.digest
	switch {
	case len(faults) > 0:
		s.options.Log.Error("the TLS certificates were not reloaded; those before go on",
			slog.String("cause", joined(faults).Error()))
	case changed:
		s.set.Store(next)
		s.options.Log.Info("the TLS certificates were reloaded",
			slog.String("subject", next.leaf.Subject.String()), slog.Time("not_after", next.leaf.NotAfter))
		s.warn()
	}
}

// warn tells of certificates that have ended, haven't begun, or end soon.
func (s *Store) warn() {
	now := s.options.Now()
	s.warned = now
	for _, d := range s.set.Load().dated {
		message := ""
		switch c := d.certificate; {
		case now.After(c.NotAfter):
			message = "a TLS certificate has expired"
		case now.Before(c.NotBefore):
			message = "a TLS certificate isn't valid yet"
		case c.NotAfter.Sub(now) < soon:
			message = "a TLS certificate expires soon"
		default:
			continue
		}
		s.options.Log.Warn(message, slog.String("file", d.path), slog.String("subject", d.certificate.Subject.String()),
			slog.Time("not_before", d.certificate.NotBefore), slog.Time("not_after", d.certificate.NotAfter))
	}
}

// NotAfter is when the server's certificate expires.
func (s *Store) NotAfter() time.Time { return s.set.Load().leaf.NotAfter }

// TLS is for a listener that speaks these protocols (ALPN, RFC 7301), the preferred
// one first. Each handshake gets a configuration of its own from the present set.
//
// Where there are client authorities, a client may show a certificate: one that they
// didn't issue for clients, or that isn't valid now, ends the handshake. One that
// shows none is served too, since it may bring another credential.
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
			}
			return c, nil
		},
	}
}

// Run follows the files until ctx ends.
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
		PollInterval: s.options.Poll,
	},
		func() []string { return paths }, s.follow)
}
