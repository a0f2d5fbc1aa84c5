// Package secrets reads shared secrets that are rotated. A secret has numbered versions, and one of
// them is active. The store of the secrets can be slow, unavailable or wrong. Package rotate writes
// secrets. Only commands import it.
//
// A [Source] reads from one store. The packages vault, file and memory implement it. A [Keyring]
// refreshes its keys from a Source in the background, so that a request never waits for a store.
// Neither ever reveals the bytes of a secret. A [Key] signs and verifies, and can't be printed.
//
// The active version need not be the latest version. A version that is newer than the active one is
// staged. A request can name the staged version to try it. Every other request signs with it once
// the store's pointer has been moved to it.
//
// The package has its own rate limiter, because golang.org/x/time/rate can exceed max_rate after
// the process was paused for a moment. See rateLimiter.
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

// A Version is the number of a value of a secret. The first is 1. Zero means no version, or the
// active version if it is the argument of a lookup.
type Version uint32

// A Ref names one value in a store: the path of a secret and a field in it.
type Ref struct {
	Path  string // as in the store, without the mount: sso/acme-customers
	Field string // shared_secret
}

// String returns the path and the field, for logs and errors.
func (r Ref) String() string { return r.Path + ":" + r.Field }

// Check returns an error if the reference is malformed. It doesn't access a store. It refuses dot
// segments, because an HTTP client would resolve them and read another secret, or something that
// isn't a secret.
func (r Ref) Check() error {
	if r.Path == "" || r.Field == "" {
		return errors.New("path and field must both be given")
	}
	if strings.ContainsFunc(r.Path+r.Field, unicode.IsControl) {
		return errors.New("path and field must not contain control characters")
	}
	if r.Field == MarkField {
		return fmt.Errorf("field %q is reserved: Deskmint's commands keep their mark there", MarkField)
	}
	for segment := range strings.SplitSeq(r.Path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("path %q must not begin or end with a slash, nor have an empty, \".\" or \"..\" segment",
				r.Path)
		}
	}
	return nil
}

// The errors of a [Source] that describe the state of the secret. Errors that wrap them name the
// path and say what to do. Compare them with errors.Is.
var (
	// ErrNotFound says that the store has no such path.
	ErrNotFound = errors.New("no such secret")
	// ErrDeleted says that the version was deleted or destroyed.
	ErrDeleted = errors.New("deleted")
	// ErrUnusable says that the secret exists, but that nothing can be signed with it. Its value
	// may be too short or have white space at an end, its field may be missing, or its pointer may
	// be malformed. An operator must act.
	ErrUnusable = errors.New("unusable")
	// ErrDenied says that the store has authenticated the client and refuses to let it read.
	ErrDenied = errors.New("permission denied")
)

// The errors that only a [Keyring] returns.
var (
	// ErrDisabled says that an operator has switched the secret off.
	ErrDisabled = errors.New("disabled by an operator")
	// ErrUnavailable says that the store is unavailable, and that the held keys are too old to use.
	// The error is then an [UnavailableError].
	ErrUnavailable = errors.New("unavailable")
)

// A Source is a store of secrets. Its methods are called concurrently.
//
// An error that wraps none of ErrNotFound, ErrDeleted, ErrUnusable and ErrDenied means that the
// store is unavailable. It says nothing about the secret, so the held keys are still used for a
// while. No error may contain a value or an answer of the store.
type Source interface {
	// Status returns the versions of a secret, without their values. The Disabled, DisabledBy and
	// Serial of the status are valid even if it returns an error, because a kill switch must work
	// in spite of any other fault.
	Status(ctx context.Context, path string) (Status, error)
	// Key returns the key of one version. It never reads "the current version", because that may
	// change after the status was read and before the value is read. The key has its mark even if
	// Key returns ErrUnusable.
	Key(ctx context.Context, ref Ref, v Version) (Key, error)
}

// Status describes the versions of a secret in a store.
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
	// that the store doesn't record it.
	Serial uint64
	// Managed says that the store has metadata of Deskmint: a pointer, a previous version or a
	// serial. Managed without Pinned means that the pointer is lost.
	Managed bool
	// Disabled says that an operator has switched the secret off.
	Disabled bool
	// DisabledBy distinguishes one switch-off from another. It may be empty. See [ReadSwitch].
	DisabledBy string
	// Revision is used by stores that are one file or one map. It grows with every change. The
	// value of a version may change with it. Zero means that versions are immutable, and that an
	// answer may come from a replica that lags.
	Revision uint64
	// Versions are the versions that the store still lists, in ascending order.
	Versions []VersionStatus
}

// VersionStatus describes one version of a secret in a store.
type VersionStatus struct {
	Version Version
	Created time.Time // zero: not recorded
	Gone    bool      // deleted or destroyed: it has no value to read
}

// Version returns the status of version v. It returns false if the store doesn't list it.
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
	return errors.Is(err, ErrUnusable) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrDeleted) ||
		errors.Is(err, ErrDenied)
}
