// Package config turns the configuration file into one immutable, validated
// [Snapshot].
//
// A snapshot that exists is whole: everything that a request looks up has been
// checked, linked and prepared, and every page rendered. Whatever is wrong is
// reported at once, each [Problem] with its file, line and key, in the operator's
// words; a file with a single problem gives no snapshot, so that a reload that fails
// changes nothing. A snapshot holds no secret: those appear in the file by name
// only, and neither the secret store nor the network is asked anything here.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/policy"
)

// Options change how a file is read. The zero value is that of `deskmint serve`.
type Options struct {
	// Development accepts [DevKey], and doesn't read the files that the configuration names. It is
	// for `deskmint dev`, which uses neither certificates nor a secret store.
	Development bool
	// Rewrite, if not nil, may change the content of each file before it is checked. The main file
	// comes first. warn adds a warning about a key.
	Rewrite func(file *File, warn func(key, message string))
	// Now is the clock that warnings of identities that have ended are judged by; nil: time.Now.
	Now func() time.Time
	// Keys keeps the issuers' keys from one snapshot to the next; nil: the snapshot has
	// its own. They are asked for when a request needs them, never while a file is read.
	Keys *caller.KeySets
}

// DevKey is the API key of `deskmint dev`'s caller. It is in every copy of this
// source, so a service that took it would be open to all.
const DevKey = "dmk_dev"

// Snapshot is a whole configuration. It is immutable and safe for concurrent use.
type Snapshot struct {
	Listen  Listen
	TLS     *TLS // nil: nothing is said about it, so plaintext on loopback
	Secrets Secrets
	Issuers []caller.Issuer
	Audit   audit.Settings
	// Callers tells who calls, and Policy what they may do.
	Callers caller.Authenticator
	Policy  *policy.Policy
	// Identities are the identities of all callers, sorted by the callers' names and
	// then in the order of the files.
	Identities []Identity
	// Digest tells one configuration from another: hexadecimal SHA-256 over those of
	// the configuration files, in the order in which they were read. What these name
	// (certificates, a file of secrets) isn't part of it.
	Digest string
	// Warnings are what was accepted, but isn't or may not be what was meant.
	Warnings []Problem

	configurations map[string]*Configuration
	names          []string // theirs, sorted
	parts          parts
}

// Identity is one identity of a caller.
type Identity struct {
	caller.Identity

	Caller string
}

// Configuration finds a configuration by its name.
func (s *Snapshot) Configuration(name string) (*Configuration, bool) {
	c, ok := s.configurations[name]
	return c, ok
}

// Names are those of all configurations, sorted.
func (s *Snapshot) Names() []string { return slices.Clone(s.names) }

// Refs are all secrets that the configurations sign with, each once, in the order
// of the configurations' names.
func (s *Snapshot) Refs() []secrets.Ref {
	var refs []secrets.Ref
	seen := make(map[secrets.Ref]bool, len(s.names))
	for _, name := range s.names {
		if ref := s.configurations[name].Secret; !seen[ref] {
			seen[ref] = true
			refs = append(refs, ref)
		}
	}
	return refs
}

// Load reads the file at path and those that it includes. Relative paths in it are
// relative to its folder. The files that it names must exist and be readable as what
// they should be; the secret store's own are the store's business.
//
// The error is a [*ProblemsError].
func Load(path string, o Options) (*Snapshot, error) {
	l := newLoader(path, o)
	if main, ok := l.read(path); ok {
		l.include(main)
	}
	return l.snapshot(!o.Development)
}

// Parse reads a configuration of one document, for what has no file: `deskmint dev`
// and tests. name stands for the file in problems, and relative paths are relative to
// its folder; include is refused, and files that the document names aren't read.
//
// The error is a [*ProblemsError].
func Parse(name string, yaml []byte, o Options) (*Snapshot, error) {
	l := newLoader(name, o)
	if main := l.add(name, yaml); len(main.Include) > 0 {
		main.place("include").problem("can't be followed: this configuration has to be one document")
	}
	return l.snapshot(false)
}

// loader gathers files, then makes a snapshot of them.
type loader struct {
	options Options
	dir     string
	sources []*source // the first one is the main file
	unknown bool      // there are configurations whose names couldn't be read
	digest  []byte
	state   hash.Hash // see Reader
	running *Snapshot // what a reload is to replace; nil: it is none

	matchers matchers
}

func newLoader(path string, o Options) *loader {
	return &loader{options: o, dir: filepath.Dir(path), matchers: matchers{}, state: sha256.New()}
}

// source is one file: what it holds, and what is wrong with it.
type source struct {
	*document
	File

	size int // of the text, in bytes
}

// read adds the file at path. It is false where the file can't be read.
func (l *loader) read(path string) (*source, bool) {
	text, err := os.ReadFile(path)
	note(l.state, path, text, err)
	if err != nil {
		s := &source{document: newDocument(path)}
		s.place("").misread(0, "can't be read: %s", cause(err))
		l.sources = append(l.sources, s)
		return s, false
	}
	return l.add(path, text), true
}

func (l *loader) add(name string, text []byte) *source {
	sum := sha256.Sum256(text)
	l.digest = append(l.digest, sum[:]...)
	s := &source{document: newDocument(name), size: len(text)}
	decode(s.document, text, &s.File)
	if l.options.Rewrite != nil {
		l.options.Rewrite(&s.File, s.place("").warning)
	}
	l.sources = append(l.sources, s)
	return s
}

// cause is an error of the file system without the path, which stands beside it.
func cause(err error) string {
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// snapshot checks everything, and makes a snapshot where nothing is wrong.
func (l *loader) snapshot(files bool) (*Snapshot, error) {
	main := l.sources[0]
	l.checkSettings(main)
	configurations := l.readConfigurations()
	callers := l.readCallers(configurations)
	if files {
		checkFiles(main)
	}
	if l.running != nil {
		l.running.checkRestartRequired(main)
	}
	var problems, warnings []Problem
	for _, source := range l.sources {
		problems = append(problems, byLine(source.problems)...)
		warnings = append(warnings, byLine(source.warnings)...)
	}
	if len(problems) > 0 {
		return nil, &ProblemsError{Problems: problems}
	}
	authenticator, rights, err := callers.build(main.Issuers, l.options.Keys)
	if err != nil {
		return nil, &ProblemsError{Problems: []Problem{{File: main.name, Key: "callers", Message: redact(err.Error())}}}
	}
	digest := sha256.Sum256(l.digest)
	return &Snapshot{
		Listen:         main.Listen,
		TLS:            main.TLS,
		Secrets:        main.Secrets,
		Issuers:        main.Issuers,
		Audit:          main.Audit,
		Callers:        authenticator,
		Policy:         rights,
		Identities:     callers.allIdentities(),
		Digest:         hex.EncodeToString(digest[:]),
		Warnings:       warnings,
		configurations: configurations.built,
		names:          sortedKeys(configurations.built),
		parts:          l.parts(),
	}, nil
}
