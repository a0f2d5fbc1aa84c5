// Package file implements a store of secrets in one YAML file. Use it on a single machine that
// doesn't need Vault.
//
//	secrets:
//	  sso/acme-customers:
//	    active: 2         # absent: the highest number
//	    previous: 1       # absent: the highest number below the active one
//	    disabled: false   # any value except "false", "no", "0" and "" switches the secret off
//	    versions:
//	      1: {shared_secret: "…", created: 2026-01-10T09:00:00Z}
//	      2: {shared_secret: "…", created: 2026-06-01T09:00:00Z}
//
// The file must not be readable by others, nor writable by its group or others. Only root and the
// user of the process may be able to replace it, as [readfile.CheckOwners] says. The store reads it
// again when it has changed, and accepts it as a whole or not at all. After a faulty change the
// last good content stays in use, and every refresh returns the first faults of the secret and of
// the rest of the new content. The kill switch is an exception: `disabled` also takes effect in a
// faulty file.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/readfile"
)

// maxBytes is the maximum size of the file. That is enough for a hundred thousand versions.
const maxBytes = 16 << 20

// Settings is the block `secrets.file` of the configuration file.
type Settings struct {
	// Path of the file. Required.
	Path string `yaml:"path"`
}

// Check reports every fault of the settings, by its key relative to the block. It doesn't open the
// file.
func (s Settings) Check(report func(key, message string)) {
	if s.Path == "" {
		report("path", "is required: the YAML file that holds the secrets")
	}
}

// Rebase makes a relative path relative to dir, the folder of the configuration file.
func (s *Settings) Rebase(dir string) {
	if s.Path != "" && !filepath.IsAbs(s.Path) {
		s.Path = filepath.Join(dir, s.Path)
	}
}

// Store is a secrets.Source that reads a file.
type Store struct {
	path string
	// command is true in a command of an operator, who may be another user than the service's. The
	// owners aren't checked then, because the service checks them.
	command bool

	mu       sync.Mutex
	seen     fs.FileInfo // of the last file that was read, good or faulty
	settled  bool        // seen is so old that every later change has another modification time
	fault    error       // of the last read
	replaced error       // who else can replace the last file that was read; nil: no other user can
	off      switches    // of the last file that was read, if it was faulty
	content  content     // of the last good file
	revision uint64      // incremented with each good file
}

// New returns a Store. It doesn't read the file yet. Every refresh returns an error while the file
// is missing or faulty. An operator can correct the file without a restart.
func New(s Settings) *Store { return &Store{path: s.Path} }

// Status implements secrets.Source.
func (s *Store) Status(ctx context.Context, path string) (secrets.Status, error) {
	if err := ctx.Err(); err != nil {
		return secrets.Status{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil {
		by := s.off.of(path)
		return secrets.Status{Disabled: by != "", DisabledBy: by}, faultOf(err, path)
	}
	e, ok := s.content[path]
	if !ok {
		return secrets.Status{}, fmt.Errorf("%s: %s: %w", s.path, path, secrets.ErrNotFound)
	}
	status := e.status
	status.Revision = s.revision
	return status, nil
}

// Key implements secrets.Source. It reads from the content that the last Status described, so that
// the status and the key are consistent.
func (s *Store) Key(ctx context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	if err := ctx.Err(); err != nil {
		return secrets.Key{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fields, ok := s.content[ref.Path].fields[v]
	if !ok {
		return secrets.Key{}, fmt.Errorf("%s: %s version %d: %w", s.path, ref.Path, v, secrets.ErrNotFound)
	}
	value, ok := fields[ref.Field]
	if !ok {
		return secrets.Key{}, fmt.Errorf("%s: %s version %d: %w: it has no field %s", s.path, ref.Path, v,
			secrets.ErrUnusable, ref.Field)
	}
	if value.err != nil {
		return secrets.Key{}, fmt.Errorf("%s:%d: %s: %w", s.path, value.line, ref, value.err)
	}
	return value.key, nil
}

// refresh reads the file if it has changed since the last time. A fault of the file is ErrUnusable,
// because an operator must correct it.
func (s *Store) refresh() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return unreadable(err)
	}
	if s.settled && unchanged(s.seen, info) && (s.replaced == nil || s.checkOwners() != nil) {
		return s.fault
	}
	f, info, err := readfile.Open(s.path)
	if err != nil {
		return unreadable(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return unreadable(err)
	}
	// Two writes within one tick of the file system's clock can have the same modification time. A
	// later change is certain to have another time only if this one is older than a tick.
	s.seen, s.settled = info, time.Since(info.ModTime()) > 2*time.Second

	s.replaced = s.checkOwners()
	parsed, err := s.check(info, data)
	if err == nil && s.replaced != nil {
		err = s.replaced
	}
	if s.fault = err; err != nil {
		s.off = findSwitches(data)
		return err
	}
	s.content, s.off = parsed, switches{}
	s.revision++
	return nil
}

func (s *Store) check(info fs.FileInfo, data []byte) (content, error) {
	if mode := info.Mode().Perm(); mode&readfile.TooOpen != 0 {
		return nil, fmt.Errorf("%s: %w: its permissions (%#o) let others read or change it: %s", s.path,
			secrets.ErrUnusable, mode, readfile.Narrow(s.path, info))
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s: %w: it is larger than %d MiB", s.path, secrets.ErrUnusable, maxBytes>>20)
	}
	parsed, faults := parse(data)
	if faults != nil {
		return nil, faults.in(s.path)
	}
	return parsed, nil
}

// checkOwners returns an error if another user than root and this process's can replace the file.
func (s *Store) checkOwners() error {
	if s.command {
		return nil
	}
	err := readfile.CheckOwners(s.path)
	if pathError := (*fs.PathError)(nil); err == nil || errors.As(err, &pathError) {
		return unreadable(err)
	}
	return fmt.Errorf("%s: %w: %w", s.path, secrets.ErrUnusable, err)
}

// unreadable distinguishes a fault that an operator must correct from a temporary I/O error, such
// as that of a network file system that is unavailable.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || readfile.IsIrregular(err) {
		return fmt.Errorf("%w: %w", secrets.ErrUnusable, err)
	}
	return err
}

func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}
