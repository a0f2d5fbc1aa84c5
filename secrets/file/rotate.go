package file

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets"
)

// Writer is the file as an operator has it: a secrets.Writer that changes single
// lines of it and leaves all others as they are, comments and order too. The file
// is replaced as a whole, by a rename, so that a reader sees the one or the
// other; writers exclude each other. A file that isn't there is made.
//
// A file has no serial: nobody reads it from a replica that lags.
type Writer struct {
	path string
	// Now dates new versions; nil: time.Now. Set it before use.
	Now func() time.Time
}

// NewWriter makes a Writer. It reads nothing yet.
func NewWriter(s Settings) *Writer { return &Writer{path: s.Path} }

// text is the file at one moment.
type text struct {
	path    string // with symbolic links followed: what is replaced is the file itself
	info    fs.FileInfo
	data    []byte
	root    *yaml.Node
	content content
}

// none is what a file that isn't there yet is taken for.
const none = "secrets: {}\n"

// load reads the file and refuses one with a fault: it must be mended first.
func (w *Writer) load() (text, error) {
	t := text{path: w.target()}
	f, err := os.Open(t.path)
	if err == nil {
		defer f.Close()
		t.info, err = f.Stat()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return text{}, unreadable(err)
	case !t.info.Mode().IsRegular():
		return text{}, fmt.Errorf("%s: %w: it is not a regular file", t.path, secrets.ErrUnusable)
	default:
		if t.data, err = io.ReadAll(io.LimitReader(f, maxBytes+1)); err != nil {
			return text{}, unreadable(err)
		}
	}
	if len(t.data) == 0 {
		t.data, t.content = []byte(none), content{}
	} else if t.content, err = New(Settings{Path: w.path}).check(t.info.Mode().Perm(), t.data); err != nil {
		return text{}, err
	}
	t.root, _ = document(t.data) // no fault was found
	return t, nil
}

// target is the file with symbolic links followed.
func (w *Writer) target() string {
	if path, err := filepath.EvalSymlinks(w.path); err == nil {
		return path
	}
	return w.path
}

// Observe implements secrets.Writer.
func (w *Writer) Observe(ctx context.Context, path string) (secrets.Observed, error) {
	if err := ctx.Err(); err != nil {
		return secrets.Observed{}, err
	}
	t, err := w.load()
	if err != nil {
		return secrets.Observed{}, err
	}
	o := secrets.Observed{Status: t.content[path].status, Place: w.path + ": " + path, Barred: t.barred()}
	if key, _ := find(t.root, "secrets", path); key != nil {
		o.Place = fmt.Sprintf("%s:%d: %s", w.path, key.Line, path)
	}
	o.Revision = 1
	return o, nil
}

// Status implements secrets.Source.
func (w *Writer) Status(ctx context.Context, path string) (secrets.Status, error) {
	o, err := w.Observe(ctx, path)
	if err == nil && o.Latest == 0 {
		err = fmt.Errorf("%s: %w", o.Place, secrets.ErrNotFound)
	}
	return o.Status, err
}

// Key implements secrets.Source.
func (w *Writer) Key(ctx context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	store := New(Settings{Path: w.path})
	if _, err := store.Status(ctx, ref.Path); err != nil {
		return secrets.Key{}, err
	}
	return store.Key(ctx, ref, v)
}

// Begins implements secrets.Writer.
func (w *Writer) Begins(ctx context.Context, ref secrets.Ref, v secrets.Version, prefix string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	t, err := w.load()
	if err != nil {
		return false, err
	}
	_, n := find(t.root, "secrets", ref.Path, "versions", number(v), ref.Field)
	if n == nil {
		return false, fmt.Errorf("%s: %s version %d: %w: it has no field %s", w.path, ref.Path, v, secrets.ErrUnusable, ref.Field)
	}
	begin := n.Value[:min(len(prefix), len(n.Value))]
	return subtle.ConstantTimeCompare([]byte(begin), []byte(prefix)) == 1, nil
}

// Write implements secrets.Writer.
func (w *Writer) Write(ctx context.Context, ref secrets.Ref, o secrets.Observed, value []byte) error {
	return w.change(ctx, ref.Path, o, func(t text) []edit {
		version := []edit{{key: ref.Field, value: string(value), quoted: true}}
		if base := o.Before(o.Latest + 1); base != 0 {
			_, fields := find(t.root, "secrets", ref.Path, "versions", number(base))
			for i := 0; i+1 < len(fields.Content); i += 2 {
				if key := fields.Content[i].Value; key != "created" && key != ref.Field {
					version = append(version, edit{key: key, value: fields.Content[i+1].Value, quoted: true})
				}
			}
		}
		version = append(version, edit{key: "created", value: w.now().UTC().Format(time.RFC3339)})
		return []edit{{key: number(o.Latest + 1), version: version}}
	})
}

// Point implements secrets.Writer.
func (w *Writer) Point(ctx context.Context, path string, o secrets.Observed, to secrets.Pointer) error {
	return w.change(ctx, path, o, func(text) []edit {
		edits := []edit{{key: "active", value: number(to.Active)}}
		if to.Previous != 0 {
			edits = append(edits, edit{key: "previous", value: number(to.Previous)})
		}
		return edits
	})
}

// Switch implements secrets.Writer.
func (w *Writer) Switch(ctx context.Context, path string, o secrets.Observed, off bool) error {
	return w.change(ctx, path, o, func(text) []edit { return []edit{{key: "disabled", value: fmt.Sprint(off)}} })
}

// change makes edits to one secret, alone with the file from the first look at it
// to its replacement.
func (w *Writer) change(ctx context.Context, path string, o secrets.Observed, decide func(text) []edit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	unlock, err := lock(filepath.Dir(w.target()))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w: another command is writing the file: try again", o.Place, secrets.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("%s: locking its folder: %w", o.Place, err)
	}
	defer unlock()
	t, err := w.load()
	if err != nil {
		return err
	}
	if err := t.barred(); err != nil {
		return fmt.Errorf("%s: %w", o.Place, err)
	}
	now := t.content[path].status
	if now.Active != o.Active || now.Pinned != o.Pinned || now.Previous != o.Previous || now.Disabled != o.Disabled ||
		!slices.EqualFunc(now.Versions, o.Versions, sameVersion) {
		return fmt.Errorf("%s: %w: the secret was changed since it was looked at: look at the status, then try again", o.Place, secrets.ErrConflict)
	}
	changed, err := apply(t.data, path, decide(t))
	if err != nil {
		return fmt.Errorf("%s: %w", w.path, err)
	}
	if _, faults := parse(changed); faults != nil {
		return fmt.Errorf("%w: with the change: %w", secrets.ErrUnusable, faults.in(w.path))
	}
	return t.replace(changed)
}

func sameVersion(a, b secrets.VersionStatus) bool {
	return a.Version == b.Version && a.Gone == b.Gone && a.Created.Equal(b.Created)
}

func (w *Writer) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}
