// Package secrets reads rotated shared secrets: numbered versions, one of them active, in a store
// that can be slow, away or wrong. Package rotate, which only commands import, writes them.
//
// A [Source] reads from one store; see the packages vault, file and memory. A [Keyring] refreshes
// what it holds from a Source in the background, so that a request never waits for a store. Neither
// ever reveals the bytes of a secret: a [Key] signs and verifies, and can't be printed.
//
// The active version is not the latest version. A version that is newer than the active one is
// staged. A request can name it to try it. It signs for everybody once the store's pointer has been
// moved to it.
//
// The package has its own rate limiter, because golang.org/x/time/rate lets more than max_rate
// reads go in a second after the process didn't run for a moment; see rateLimiter.
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

// A Version is the number of a value that a secret has had. The first is 1. Zero means none, or the
// active version where a version is asked for.
type Version uint32

// A Ref names one value in a store: the path of a secret and a field in it.
type Ref struct {
	Path  string // as in the store, without the mount: sso/acme-customers
	Field string // shared_secret
}

// String returns the path and the field, for logs and errors.
func (r Ref) String() string { return r.Path + ":" + r.Field }

// Check returns what is wrong with the reference. It asks no store. It refuses dot segments,
// because an HTTP client would resolve them and reach another secret or something that isn't a
// secret.
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
			return fmt.Errorf("path %q must not begin or end with a slash, nor have an empty, \".\" or \"..\" segment",
				r.Path)
		}
	}
	return nil
}

// The errors of a [Source] that say something about the secret. Errors that wrap them name the path
// and say what to do. Compare with errors.Is.
var (
	// ErrNotFound says that the store has no such path.
	ErrNotFound = errors.New("no such secret")
	// ErrDeleted says that the version was deleted or destroyed.
	ErrDeleted = errors.New("deleted")
	// ErrUnusable says that there is something, but nothing to sign with: a value that is too short
	// or has outer white space, a missing field, a malformed pointer. An operator must act.
	ErrUnusable = errors.New("unusable")
	// ErrDenied says that the store knows the client and refuses.
	ErrDenied = errors.New("permission denied")
)

// The errors that only a [Keyring] returns.
var (
	// ErrDisabled says that an operator has switched the secret off.
	ErrDisabled = errors.New("disabled by an operator")
	// ErrUnavailable says that the store is away, and that what is held is too old to serve. The
	// error is then an [UnavailableError].
	ErrUnavailable = errors.New("unavailable")
)

// A Source is a store of secrets. Its methods are called concurrently.
//
// An error that wraps none of ErrNotFound, ErrDeleted, ErrUnusable and ErrDenied means that the
// store is away. It says nothing about the secret, and what is held serves for a while. No error
// may contain a value or an answer of the store.
type Source interface {
	// Status returns which versions a secret has, without their values. Even if it returns an
	// error, the Disabled, DisabledBy and Serial of the status count, because a kill switch must
	// work whatever else is wrong.
	Status(ctx context.Context, path string) (Status, error)
	// Key returns the key of one version. It never reads "the current version", which may change
	// between the reading of the status and the reading of the value. If it returns ErrUnusable,
	// the key still has its mark.
	Key(ctx context.Context, ref Ref, v Version) (Key, error)
}

// Status is what a store says about a secret's versions.
type Status struct {
	// Active is the version that signs: the one that the store's pointer names, or the latest if
	// there is no pointer.
	Active Version
	// Pinned says that Active comes from a pointer. A pointer that vanishes is a fault, because
	// the latest version must not become active by accident.
	Pinned bool
	// Latest is the highest number ever given, deleted or not.
	Latest Version
	// Previous was active before. If the store doesn't record that, it is the version below
	// Active. Zero means none.
	Previous Version
	// Serial grows with every move of the pointer and every use of the kill switch. Zero means
	// that it isn't recorded.
	Serial uint64
	// Managed says that the store has some of Deskmint's metadata: a pointer, a previous version or
	// a serial. Managed without Pinned means that the pointer is lost.
	Managed bool
	// Disabled says that an operator has switched the secret off.
	Disabled bool
	// DisabledBy distinguishes one switch-off from another; see [ReadSwitch]. It may be empty.
	DisabledBy string
	// Revision is for stores that are one file or one map. It grows with every change, and the
	// value of a version may change with it. Zero means that versions are immutable, and that an
	// answer may come from a replica that lags.
	Revision uint64
	// Versions are those that the store still lists, in ascending order.
	Versions []VersionStatus
}

// VersionStatus is what a store says about one version.
type VersionStatus struct {
	Version Version
	Created time.Time // zero: not recorded
	Gone    bool      // deleted or destroyed: it has no value to read
}

// Version returns what the store says about version v. It returns false if the store doesn't list
// it.
func (s Status) Version(v Version) (VersionStatus, bool) {
	for _, vs := range s.Versions {
		if vs.Version == v {
			return vs, true
		}
	}
	return VersionStatus{}, false
}

// Without returns a copy of the status in which version v is gone.
func (s Status) Without(v Version) Status {
	s.Versions = slices.Clone(s.Versions)
	for i := range s.Versions {
		if s.Versions[i].Version == v {
			s.Versions[i].Gone = true
		}
	}
	return s
}

// Staged returns the newest version that is newer than the active one and still has a value. It
// returns zero if there is none. After a roll-back it is the version that was active before.
func (s Status) Staged() Version {
	for i := len(s.Versions) - 1; i >= 0 && s.Versions[i].Version > s.Active; i-- {
		if !s.Versions[i].Gone {
			return s.Versions[i].Version
		}
	}
	return 0
}

// Before returns the newest version older than v that still has a value. It returns zero if there
// is none. Sources that record no previous version report this one.
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

// IsUnusable reports whether err says that a secret can't be used until an operator acts.
func IsUnusable(err error) bool {
	return errors.Is(err, ErrUnusable) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrDeleted) || errors.Is(err, ErrDenied)
}
