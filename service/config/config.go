// Package config turns the configuration file into one immutable, validated [Snapshot].
//
// A snapshot is complete: everything that a request needs is checked, linked and prepared, and
// every page is rendered. All problems of a file are reported at once, each [Problem] with its
// file, line and key. A file with a problem gives no snapshot, so that a failed reload changes
// nothing.
//
// A snapshot contains no secrets, because the file only names them. The package accesses neither
// the secret store nor the network.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/clock"
	"github.com/deskmint/deskmint/service/config/internal/changes"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/readfile"
)

// Options change how a file is read. The zero value is that of `deskmint serve`.
type Options struct {
	// Development accepts [DevKey], and doesn't read the files that the configuration names. It is
	// for `deskmint dev`, which uses neither certificates nor a secret store.
	Development bool
	// Rewrite, if not nil, may change the content of each file before it is checked. The main file
	// comes first. warn adds a warning about a key.
	Rewrite func(file *File, warn func(key, message string))
	// Now is the clock for warnings about expired identities. The default is time.Now.
	Now func() time.Time
	// Keys keeps the issuers' keys from one snapshot to the next. The default is a new set for each
	// snapshot. Keys are fetched when a request needs them, and never while a file is read.
	Keys *caller.KeySets
}

// DevKey is the API key of the caller of `deskmint dev`. The key is public, so a service must not
// accept it.
const DevKey = "dmk_dev"

// Snapshot is a complete configuration. It is immutable and safe for concurrent use.
type Snapshot struct {
	Listen  Listen
	TLS     *TLS // nil if the file has no tls block: plaintext on loopback
	Secrets Secrets
	Issuers []caller.Issuer
	Audit   audit.Settings
	Clock   clock.Settings
	// Callers authenticates callers, and Policy decides what they may do.
	Callers caller.Authenticator
	Policy  *policy.Policy
	// Identities are the identities of all callers, sorted by the callers' names. The identities of
	// one caller are in the order of the file.
	Identities []Identity
	// Digest identifies the content of the configuration files. It is the hexadecimal SHA-256 of
	// their SHA-256 digests, in the order in which they were read. The files that they name, such
	// as certificates or a file of secrets, aren't included.
	Digest string
	// Warnings are about settings that are valid but may not be intended.
	Warnings []Problem

	configurations map[string]*Configuration
	names          []string // of the configurations, sorted
	index          *index   // nil in a snapshot that a test makes
	digests        changes.Digests
	matched        map[string]bool // the patterns of include that match a file, or once did
}

// Identity is one identity of a caller.
type Identity struct {
	caller.Identity

	Caller string
}

// Configuration returns the configuration with a name.
func (s *Snapshot) Configuration(name string) (*Configuration, bool) {
	c, ok := s.configurations[name]
	return c, ok
}

// Names returns the sorted names of all configurations.
func (s *Snapshot) Names() []string { return slices.Clone(s.names) }

// Refs returns the secrets that the configurations sign with. Each is listed once, in the order of
// the configurations' names.
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

// StoreHosts returns the hosts of the secret store, each as host:port or as in its URL. A file has
// none.
func (s *Snapshot) StoreHosts() (hosts []string) {
	if s.Secrets.Source != "vault" {
		return nil
	}
	for _, address := range s.Secrets.Vault.Addresses {
		if u, err := url.Parse(address); err == nil {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// Load reads the file at path and the files that it includes. Relative paths in it are relative to
// its folder. The other files that it names, such as certificates, must exist and be valid. The
// secret store checks its own files.
//
// The error is a [*ProblemsError].
func Load(path string, o Options) (*Snapshot, error) {
	l := newLoader(path, o)
	if main, ok := l.read(path); ok {
		l.include(main)
	}
	return l.snapshot(!o.Development)
}

// Parse reads a configuration that is one text and not a file, for `deskmint dev` and for tests.
// name is the file name in problems, and relative paths are relative to its folder. The text must
// not include files, and the files that it names aren't read.
//
// The error is a [*ProblemsError].
func Parse(name string, yaml []byte, o Options) (*Snapshot, error) {
	l := newLoader(name, o)
	if main := l.add(name, yaml); len(main.Include) > 0 {
		main.Place("include").Problem("isn't supported here: this configuration must be one document")
	}
	return l.snapshot(false)
}

// loader reads files, and then makes a snapshot of them.
type loader struct {
	options Options
	dir     string
	sources []*source // the first one is the main file
	unknown bool      // the names of some configurations couldn't be read
	digest  []byte
	state   hash.Hash // see [Reader]
	running *Snapshot // the snapshot that a reload replaces; nil at the start
	matched map[string]bool

	matchers matchers
}

func newLoader(path string, o Options) *loader {
	return &loader{
		options: o, dir: filepath.Dir(path), matchers: matchers{}, matched: map[string]bool{}, state: sha256.New(),
	}
}

// source is one file with its problems.
type source struct {
	*yamlfile.Document
	File

	size int // of the text, in bytes
}

// read adds the file at path. It returns false if the file can't be read.
func (l *loader) read(path string) (*source, bool) {
	text, err := readfile.File(path, maxFile)
	addToState(l.state, path, text, err)
	if err != nil {
		s := &source{Document: yamlfile.New(path)}
		s.Place("").Unreadable(0, "can't be read: %s", cause(err))
		l.sources = append(l.sources, s)
		return s, false
	}
	return l.add(path, text), true
}

func (l *loader) add(name string, text []byte) *source {
	sum := sha256.Sum256(text)
	l.digest = append(l.digest, sum[:]...)
	s := &source{Document: yamlfile.New(name), size: len(text)}
	yamlfile.Decode(s.Document, text, &s.File)
	if l.options.Rewrite != nil {
		l.options.Rewrite(&s.File, s.Place("").ReportWarning)
	}
	l.sources = append(l.sources, s)
	return s
}

// cause returns the text of a file system's error without the path, which the problem names
// already.
func cause(err error) string {
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// snapshot checks all files, and makes a snapshot if there is no problem. files selects whether the
// files that the main file names are checked, too.
func (l *loader) snapshot(files bool) (*Snapshot, error) {
	main := l.sources[0]
	l.checkSettings(main)
	configurations := l.readConfigurations()
	callers := l.readCallers(configurations)
	l.checkExpect(main)
	if files {
		checkFiles(main)
	}
	if l.running != nil {
		l.running.checkRestartRequired(main)
	}
	var problems, warnings []Problem
	for _, source := range l.sources {
		problems = append(problems, source.Problems()...)
		warnings = append(warnings, source.Warnings()...)
	}
	if len(problems) > 0 {
		return nil, &ProblemsError{Problems: problems}
	}
	authenticator, rights, err := callers.build(main.Issuers, l.options.Keys)
	if err != nil {
		return nil, &ProblemsError{Problems: []Problem{
			{File: main.Name(), Key: "callers", Message: yamlfile.Redact(err.Error())},
		}}
	}
	digest := sha256.Sum256(l.digest)
	return &Snapshot{
		Listen:         main.Listen,
		TLS:            main.TLS,
		Secrets:        main.Secrets,
		Issuers:        main.Issuers,
		Audit:          main.Audit,
		Clock:          main.Clock,
		Callers:        authenticator,
		Policy:         rights,
		Identities:     callers.allIdentities(),
		Digest:         hex.EncodeToString(digest[:]),
		Warnings:       warnings,
		configurations: configurations.built,
		names:          sortedKeys(configurations.built),
		index:          newIndex(configurations.built, sortedKeys(callers.grants), rights),
		digests:        l.digests(),
		matched:        l.matched,
	}, nil
}
