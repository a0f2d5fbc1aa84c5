// Package secrets is what a rotated shared secret is: numbered versions of
// which one is active, kept in a store that can be slow, away or wrong.
//
// A [Source] answers for one store (see the packages vault, file and memory).
// A [Keyring] looks at a Source in the background and hands out what it holds,
// so that a request never waits for a store. Neither ever hands out a secret's
// bytes: a [Key] signs and verifies, and can't be printed.
//
// Active is not latest. A version that is newer than the active one is staged:
// it can be tried, and it signs for everybody only once the store's pointer
// has been moved to it.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A Version numbers the values that a secret has had, from 1. Zero means none,
// or, where one is asked for, the active one.
type Version uint32

// A Ref names one value in a store: the path of a secret and a field in it.
type Ref struct {
	Path  string // as the store has it, without the mount: sso/acme-customers
	Field string // shared_secret
}

// String is for logs and error texts.
func (r Ref) String() string { return r.Path + ":" + r.Field }

// Check says what is wrong with the reference as such; it asks no store.
// Dot segments are refused because an HTTP client would resolve them, and
// reach another secret, or something that isn't a secret at all.
func (r Ref) Check() error {
	if r.Path == "" || r.Field == "" {
		return errors.New("path and field must both be given")
	}
	if strings.ContainsFunc(r.Path+r.Field, unicode.IsControl) {
		return errors.New("path and field must not contain control characters")
	}
	if r.Field == MarkField {
		return fmt.Errorf("field %q is taken: Deskmint's commands keep a mark of their own there", MarkField)
	}
	for segment := range strings.SplitSeq(r.Path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("path %q must not begin or end with a slash, nor have an empty, \".\" or \"..\" segment", r.Path)
		}
	}
	return nil
}

// What a Source can know about a secret, other than a value. They are wrapped
// by errors that name the path and say what to do; compare with errors.Is.
var (
	// ErrNotFound: the store has no such path.
	ErrNotFound = errors.New("no such secret")
	// ErrDeleted: the version was deleted or destroyed.
	ErrDeleted = errors.New("deleted")
	// ErrUnusable: there is something, but nothing to sign with: too short, outer
	// white space, field missing, pointer malformed. An operator must act.
	ErrUnusable = errors.New("unusable")
	// ErrDenied: the store knows who asks, and refuses.
	ErrDenied = errors.New("permission denied")
)

// What only a Keyring says.
var (
	// ErrDisabled: an operator has switched the secret off.
	ErrDisabled = errors.New("disabled by an operator")
	// ErrUnavailable: the store is away, and what is held is too old to serve.
	// The error is then an [UnavailableError].
	ErrUnavailable = errors.New("unavailable")
)

// A Source is a store of secrets. Its methods are called from several
// goroutines at once.
//
// An error that is none of ErrNotFound, ErrDeleted, ErrUnusable and ErrDenied
// means that the store is away: nothing was learnt, and what is held goes on
// for a while. No error may contain a value, or an answer of the store.
type Source interface {
	// Status says which versions a secret has, without their values. Beside an error its
	// Disabled, DisabledBy and Serial still count: a kill switch works whatever else is wrong.
	Status(ctx context.Context, path string) (Status, error)
	// Key reads the value of one version, never "the current one": between a
	// look at the status and a look at the value the current one may change. Beside
	// ErrUnusable the key still tells its mark.
	Key(ctx context.Context, ref Ref, v Version) (Key, error)
}

// Status is what a store says about a secret's versions.
type Status struct {
	// Active is the version that signs: the one that the store's pointer names,
	// or without a pointer the latest.
	Active Version
	// Pinned says that Active comes from a pointer. A pointer that has been seen
	// and then vanishes is a fault: the latest must not become active by accident.
	Pinned bool
	// Latest is the highest number ever given, deleted or not.
	Latest Version
	// Previous was active before, or is the one below Active where the store
	// doesn't record that. Zero: none.
	Previous Version
	// Serial grows with every move of the pointer and every use of the kill switch. Zero: not
	// recorded.
	Serial uint64
	// Managed says that the store has some metadata of ours beside the versions: a pointer,
	// a previous version or a serial. Managed without Pinned means that the pointer is lost.
	Managed bool
	// Disabled says that an operator has switched the secret off.
	Disabled bool
	// DisabledBy tells one switch-off from another: see [ReadSwitch]. It may be empty.
	DisabledBy string
	// Revision is for stores that are one file or one map: it grows with every
	// change, and a version's value may change with it. Zero: versions are
	// immutable, and an answer may come from a replica that lags.
	Revision uint64
	// Versions, ascending, as far as the store still lists them.
	Versions []VersionStatus
}

// VersionStatus is what a store says about one version.
type VersionStatus struct {
	Version Version
	Created time.Time // zero: not recorded
	Gone    bool      // deleted or destroyed: it has no value to read
}

// Version finds what the store says about version v.
func (s Status) Version(v Version) (VersionStatus, bool) {
	for _, vs := range s.Versions {
		if vs.Version == v {
			return vs, true
		}
	}
	return VersionStatus{}, false
}

// Without returns a copy of the status in which version v counts as gone.
func (s Status) Without(v Version) Status {
	s.Versions = slices.Clone(s.Versions)
	for i := range s.Versions {
		if s.Versions[i].Version == v {
			s.Versions[i].Gone = true
		}
	}
	return s
}

// Staged is the newest version that is newer than the active one and still
// has a value; zero if there is none. After a roll-back that is the version
// which was rolled back from.
func (s Status) Staged() Version {
	for i := len(s.Versions) - 1; i >= 0 && s.Versions[i].Version > s.Active; i-- {
		if !s.Versions[i].Gone {
			return s.Versions[i].Version
		}
	}
	return 0
}

// Before is the newest version older than v that still has a value; zero if
// there is none. Sources that record no previous version report this one.
func (s Status) Before(v Version) Version {
	for i := len(s.Versions) - 1; i >= 0; i-- {
		if vs := s.Versions[i]; vs.Version < v && !vs.Gone {
			return vs.Version
		}
	}
	return 0
}

// NewestCreated returns the time at which the newest version was created. It is zero if the store
// records no times.
func (s Status) NewestCreated() time.Time {
	var newest time.Time
	for _, vs := range s.Versions {
		if vs.Created.After(newest) {
			newest = vs.Created
		}
	}
	return newest
}
