// Package memory implements a store of secrets in the memory of the process. `deskmint dev` uses
// it, and so do tests that need a [secrets.Source].
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// A Store is a secrets.Source with methods that write to it. The zero Store is empty and ready for
// use. All methods may be called concurrently.
type Store struct {
	// Now returns the creation time of a new version. If it is nil, time.Now is used. Set it before
	// use.
	Now func() time.Time

	mu       sync.Mutex
	paths    map[string]*secret
	revision uint64
	err      error
}

// secret is one path. Put makes the keys, so that the store keeps no bytes of a secret that could
// be printed.
type secret struct {
	latest, pointer, previous secrets.Version

	serial   uint64
	disabled bool
	versions []version // version n has index n-1
}

type version struct {
	number  secrets.Version
	created time.Time
	gone    bool
	fields  map[string]func() (secrets.Key, error)
}

// Put writes value as the next version of path, with field as its only field, and returns its
// number. The version becomes active at once if there is no pointer. Put also stores a value that
// can't be used. Key then returns the error.
func (s *Store) Put(path, field string, value []byte) secrets.Version {
	return s.PutFields(path, map[string][]byte{field: value})
}

// PutFields is like Put, but writes a version with several fields. As in Vault, the version has no
// other fields.
func (s *Store) PutFields(path string, values map[string][]byte) secrets.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	if s.paths == nil {
		s.paths = map[string]*secret{}
	}
	sec := s.paths[path]
	if sec == nil {
		sec = &secret{}
		s.paths[path] = sec
	}
	sec.latest++
	v := version{number: sec.latest, created: s.now(), fields: map[string]func() (secrets.Key, error){}}
	for field, value := range values {
		key, err := secrets.NewKey(v.number, value)
		v.fields[field] = func() (secrets.Key, error) { return key, err }
	}
	sec.versions = append(sec.versions, v)
	return v.number
}

// Activate moves the pointer of path to version v, which need not exist.
func (s *Store) Activate(path string, v secrets.Version) error {
	return s.edit(path, func(sec *secret) {
		sec.previous = sec.status(0).Active
		sec.pointer = v
		sec.serial++
	})
}

// Delete deletes the value of version v.
func (s *Store) Delete(path string, v secrets.Version) error {
	return s.edit(path, func(sec *secret) {
		if v > 0 && v <= sec.latest {
			sec.versions[v-1].gone = true
		}
	})
}

// Disable switches path off if off is true, and on otherwise.
func (s *Store) Disable(path string, off bool) error {
	return s.edit(path, func(sec *secret) { sec.disabled = off })
}

// Remove removes path with all its versions.
func (s *Store) Remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	delete(s.paths, path)
}

// SetError makes every read fail with err, as if the store were unavailable. A nil err ends that.
func (s *Store) SetError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *Store) edit(path string, change func(*secret)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, ok := s.paths[path]
	if !ok {
		return fmt.Errorf("memory: %s: %w", path, secrets.ErrNotFound)
	}
	s.revision++
	change(sec)
	return nil
}

// Status implements secrets.Source.
func (s *Store) Status(ctx context.Context, path string) (secrets.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.find(ctx, path)
	if err != nil {
		return secrets.Status{}, err
	}
	return sec.status(s.revision), nil
}

// Key implements secrets.Source.
func (s *Store) Key(ctx context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.find(ctx, ref.Path)
	if err != nil {
		return secrets.Key{}, err
	}
	if v == 0 || v > sec.latest {
		return secrets.Key{}, fmt.Errorf("memory: %s version %d: %w", ref.Path, v, secrets.ErrNotFound)
	}
	if sec.versions[v-1].gone {
		return secrets.Key{}, fmt.Errorf("memory: %s version %d: %w", ref.Path, v, secrets.ErrDeleted)
	}
	read, ok := sec.versions[v-1].fields[ref.Field]
	if !ok {
		return secrets.Key{}, fmt.Errorf("memory: %s version %d: %w: it has no field %s", ref.Path, v,
			secrets.ErrUnusable, ref.Field)
	}
	key, err := read()
	if err != nil {
		return secrets.Key{}, fmt.Errorf("memory: %s: %w", ref, err)
	}
	return key, nil
}

func (s *Store) find(ctx context.Context, path string) (*secret, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	sec, ok := s.paths[path]
	if !ok {
		return nil, fmt.Errorf("memory: %s: %w", path, secrets.ErrNotFound)
	}
	return sec, nil
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (sec *secret) status(revision uint64) secrets.Status {
	st := secrets.Status{
		Active:   sec.pointer,
		Pinned:   sec.pointer != 0,
		Latest:   sec.latest,
		Previous: sec.previous,
		Serial:   sec.serial,
		Disabled: sec.disabled,
		Revision: revision,
	}
	for _, v := range sec.versions {
		st.Versions = append(st.Versions, secrets.VersionStatus{Version: v.number, Created: v.created, Gone: v.gone})
	}
	if !st.Pinned {
		st.Active = st.Latest
	}
	if st.Previous == 0 {
		st.Previous = st.Before(st.Active)
	}
	return st
}
