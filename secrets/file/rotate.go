package file

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/readfile"
)

// Writer changes the file on behalf of an operator. It implements rotate.Writer. It changes single
// lines. All other lines and their order stay the same, including comments. It replaces the file by
// a rename, so that a reader reads either the old or the new file. A lock excludes other writers. A
// missing file is created.
//
// A file has no serial, because no replica of it can lag.
type Writer struct {
	path string
	// Now returns the creation time of a new version. If it is nil, time.Now is used. Set it before
	// use.
	Now func() time.Time
}

// NewWriter returns a Writer. It doesn't read the file yet.
func NewWriter(s Settings) *Writer { return &Writer{path: s.Path} }

// text is the content of the file at one moment.
type text struct {
	path    string // after symbolic links were resolved, because the file itself is replaced
	info    fs.FileInfo
	data    []byte
	root    *yaml.Node
	content content
	fault   error // a fault of the content; if there is one, only a switch-off may be written
}

// emptyFile is the content of a file that does not exist yet.
const emptyFile = "secrets: {}\n"

// load reads the file. It returns an error if the file isn't YAML. An operator must correct such a
// file before a change.
func (w *Writer) load() (text, error) {
	t := text{path: w.target()}
	f, info, err := readfile.Open(t.path)
	if err == nil {
		defer f.Close()
		t.info = info
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return text{}, unreadable(err)
	default:
		if t.data, err = io.ReadAll(io.LimitReader(f, maxBytes+1)); err != nil {
			return text{}, unreadable(err)
		}
	}
	if len(t.data) == 0 {
		t.data, t.content = []byte(emptyFile), content{}
	} else {
		t.content, t.fault = New(Settings{Path: w.path}).check(t.info, t.data)
	}
	var faults faults
	if t.root, faults = document(t.data); faults != nil {
		return text{}, fmt.Errorf("%w. Nothing can be written to the file until that is corrected. To switch a secret "+
			"off meanwhile, add a line `disabled: true` below its path by hand: replicas obey it in a faulty file too",
			t.fault)
	}
	return t, nil
}

// status returns the status of a secret, even if the file has a fault elsewhere.
func (t text) status(path string) secrets.Status {
	if t.fault == nil {
		return t.content[path].status
	}
	key, n := find(t.root, "secrets", path)
	if key == nil {
		return secrets.Status{}
	}
	var ignored faults
	status := ignored.secret(n, path).status
	status.DisabledBy = findSwitches(t.data).of(path)
	status.Disabled = status.DisabledBy != ""
	return status
}

// target returns the path after resolving symbolic links.
func (w *Writer) target() string {
	if path, err := filepath.EvalSymlinks(w.path); err == nil {
		return path
	}
	return w.path
}

// Observe implements rotate.Writer.
func (w *Writer) Observe(ctx context.Context, path string) (secrets.Observed, error) {
	if err := ctx.Err(); err != nil {
		return secrets.Observed{}, err
	}
	t, err := w.load()
	if err != nil {
		return secrets.Observed{}, err
	}
	o := secrets.Observed{
		Status: t.status(path), Place: w.path + ": " + path, ReadOnly: t.readOnly(),
		PointerFault: faultOf(t.fault, path),
	}
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
	store := &Store{path: w.path, command: true}
	if _, err := store.Status(ctx, ref.Path); err != nil {
		return secrets.Key{}, err
	}
	return store.Key(ctx, ref, v)
}

// Begins implements rotate.Writer.
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
		return false, fmt.Errorf("%s: %s version %d: %w: it has no field %s", w.path, ref.Path, v, secrets.ErrUnusable,
			ref.Field)
	}
	begin := n.Value[:min(len(prefix), len(n.Value))]
	return subtle.ConstantTimeCompare([]byte(begin), []byte(prefix)) == 1, nil
}

// Write implements rotate.Writer.
func (w *Writer) Write(ctx context.Context, ref secrets.Ref, o secrets.Observed, value []byte) error {
	return w.change(ctx, ref.Path, o, func(t text) ([]edit, error) {
		if t.fault != nil {
			return nil, faultOf(t.fault, ref.Path)
		}
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
		return []edit{{key: number(o.Latest + 1), version: version}}, nil
	})
}

// Change implements rotate.Writer.
func (w *Writer) Change(ctx context.Context, path string, o secrets.Observed, to secrets.Change) error {
	var edits []edit
	if to.Active != 0 {
		edits = append(edits, edit{key: "active", value: number(to.Active)})
		if to.Previous != 0 {
			edits = append(edits, edit{key: "previous", value: number(to.Previous)})
		}
	}
	switch {
	case to.Disabled != "":
		edits = append(edits, edit{key: "disabled", value: to.Disabled, quoted: true})
	case to.Enabled:
		edits = append(edits, edit{key: "disabled", value: "false"})
	}
	return w.change(ctx, path, o, func(t text) ([]edit, error) {
		if to.Disabled == "" {
			return edits, faultOf(t.fault, path)
		}
		return edits, nil
	})
}

// WriteMark implements rotate.Writer. A file needs no marks, because its pointers and values are
// always replaced together.
func (*Writer) WriteMark(context.Context, string, secrets.Observed, secrets.Mark) error { return nil }

// DeleteMark implements rotate.Writer.
func (*Writer) DeleteMark(context.Context, string, secrets.Version) error { return nil }

// Mark implements rotate.Writer.
func (*Writer) Mark(context.Context, string, secrets.Version) (secrets.Mark, error) {
	return secrets.Mark{}, nil
}

// change makes edits to one secret. It holds the lock on the folder from reading the file to
// replacing it.
func (w *Writer) change(ctx context.Context, path string, o secrets.Observed, decide func(text) ([]edit, error)) error {
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
	if err := t.readOnly(); err != nil {
		return fmt.Errorf("%s: %w", o.Place, err)
	}
	now := t.status(path)
	if now.Active != o.Active || now.Pinned != o.Pinned || now.Previous != o.Previous || now.Disabled != o.Disabled ||
		!slices.EqualFunc(now.Versions, o.Versions, equalVersions) {
		return fmt.Errorf("%s: %w: the secret has changed since it was read: check the status, then try again",
			o.Place, secrets.ErrConflict)
	}
	edits, err := decide(t)
	if err != nil {
		return err
	}
	changed, err := apply(t.data, path, edits)
	if err != nil {
		return fmt.Errorf("%s: %w", w.path, err)
	}
	if _, faults := parse(changed); faults != nil && t.fault == nil {
		return fmt.Errorf("with the change: %w", faults.in(w.path))
	}
	return t.replace(changed)
}

func equalVersions(a, b secrets.VersionStatus) bool {
	return a.Version == b.Version && a.Gone == b.Gone && a.Created.Equal(b.Created)
}

func (w *Writer) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}
