package file_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

func TestReads(t *testing.T) {
	store := newStore(write(t, good, 0o640))
	status, err := store.Status(t.Context(), acme.Path)
	if err != nil {
		t.Fatal(err)
	}
	if status.Active != 1 || !status.Pinned || status.Latest != 2 || status.Staged() != 2 || status.Previous != 0 ||
		status.Disabled || status.Revision == 0 {
		t.Errorf("status %+v", status)
	}
	want := time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
	if len(status.Versions) != 2 || !status.Versions[1].Created.Equal(want) {
		t.Errorf("versions %+v", status.Versions)
	}
	for v, secret := range map[secrets.Version]string{1: one, 2: two} {
		key, err := store.Key(t.Context(), acme, v)
		if err != nil || key.Version() != v {
			t.Fatalf("version %d: %v, %v", v, key, err)
		}
		secretstest.CheckKey(t, key, secret)
	}

	status, err = store.Status(t.Context(), "sso/acme-staff")
	if err != nil || status.Active != 7 || status.Pinned || status.Previous != 3 || status.Staged() != 0 {
		t.Errorf("without a pointer: %+v, %v", status, err)
	}
}

func TestReadingFails(t *testing.T) {
	store := newStore(write(t, good, 0o600))
	_, err := store.Status(t.Context(), "sso/other")
	if !errors.Is(err, secrets.ErrNotFound) || !strings.Contains(err.Error(), "sso/other") {
		t.Errorf("unknown path: %v", err)
	}
	if _, err := store.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		ref  secrets.Ref
		v    secrets.Version
		want error
		says string
	}{
		{secrets.Ref{Path: "sso/other", Field: "shared_secret"}, 1, secrets.ErrNotFound, "sso/other version 1"},
		{acme, 9, secrets.ErrNotFound, "version 9"},
		{acme, 0, secrets.ErrNotFound, "version 0"},
		{secrets.Ref{Path: acme.Path, Field: "absent"}, 1, secrets.ErrUnusable, "no field absent"},
		{
			secrets.Ref{Path: "sso/acme-staff", Field: "other"}, 3, secrets.ErrUnusable,
			":10: sso/acme-staff:other: unusable: version 3 is far too short",
		},
	} {
		_, err := store.Key(t.Context(), tc.ref, tc.v)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%v version %d: %v, want %v saying %q", tc.ref, tc.v, err, tc.want, tc.says)
		}
	}
}

func TestChangesAreSeen(t *testing.T) {
	var (
		longAgo  = time.Now().Add(-time.Hour)
		justNow  = time.Now()
		swapped  = strings.Replace(good, "active: 1", "active: 2", 1) // of the same size
		inPlace  = func(t *testing.T, path string) { rewrite(t, path, swapped, 0o600) }
		replaced = func(t *testing.T, path string) { // like editors and configuration tools
			rewrite(t, path+".new", swapped, 0o600)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
	)
	for _, tc := range []struct {
		name          string
		before, after time.Time // the modification times
		change        func(t *testing.T, path string)
	}{
		{"in place", longAgo, justNow, inPlace},
		{"in place, within one tick of the clock", justNow, justNow, inPlace},
		{"replaced by a file of the same age", longAgo, longAgo, replaced},
		{"replaced by an older one", justNow, longAgo, replaced},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := write(t, good, 0o600)
			store := newStore(path)
			readStatus := func(modified time.Time) secrets.Status {
				t.Helper()
				if err := os.Chtimes(path, modified, modified); err != nil {
					t.Fatal(err)
				}
				status, err := store.Status(t.Context(), acme.Path)
				if err != nil {
					t.Fatal(err)
				}
				return status
			}
			before := readStatus(tc.before)
			tc.change(t, path)
			after := readStatus(tc.after)
			if before.Active != 1 || after.Active != 2 || after.Revision <= before.Revision {
				t.Errorf("from %+v to %+v", before, after)
			}
		})
	}

	path := write(t, good, 0o600)
	store := newStore(path)
	if err := os.Chtimes(path, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	var revisions []uint64
	for range 3 {
		status, err := store.Status(t.Context(), acme.Path)
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, status.Revision)
	}
	if revisions[0] != revisions[2] {
		t.Errorf("an unchanged file has the revisions %v", revisions)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Status(t.Context(), acme.Path); !errors.Is(err, secrets.ErrUnusable) {
		t.Errorf("after chmod alone: %v", err)
	}
}

func TestLastGoodContentIsKept(t *testing.T) {
	path := write(t, good, 0o600)
	store := newStore(path)
	before, err := store.Status(t.Context(), acme.Path)
	if err != nil {
		t.Fatal(err)
	}
	for name, breakFile := range map[string]func(){
		"faulty": func() {
			rewrite(t, path, strings.Replace(good, "active: 1", "active: 9\n    extra: 1", 1), 0o600)
		},
		"readable by all":       func() { rewrite(t, path, good, 0o644) },
		"writable by the group": func() { rewrite(t, path, good, 0o660) },
		"writable by all":       func() { rewrite(t, path, good, 0o602) },
		"gone": func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"a folder": func() {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		},
		"a pipe": func() {
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			breakFile()
			for range 2 {
				_, err := store.Status(t.Context(), acme.Path)
				if !errors.Is(err, secrets.ErrUnusable) || !strings.Contains(err.Error(), path) {
					t.Errorf("%v, want ErrUnusable naming the file", err)
				}
			}
			key, err := store.Key(t.Context(), acme, 1)
			if err != nil {
				t.Fatalf("the last good content is gone: %v", err)
			}
			secretstest.CheckKey(t, key, one)

			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			rewrite(t, path, good, 0o600)
			if after, err := store.Status(t.Context(), acme.Path); err != nil || after.Active != before.Active {
				t.Errorf("corrected: %+v, %v", after, err)
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	for mode, chmod := range map[fs.FileMode]string{
		0o644: "chmod 600",
		0o666: "chmod 600",
		0o660: "chmod 600",
		0o604: "chmod 600",
		0o444: "chmod 400",
	} {
		path := write(t, good, mode)
		_, err := newStore(path).Status(t.Context(), acme.Path)
		if err == nil || !strings.Contains(err.Error(), chmod+" "+path) ||
			!strings.Contains(err.Error(), fmt.Sprintf("%#o", mode)) {
			t.Errorf("%#o: %v, want %q", mode, err, chmod)
		}
	}
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o640, 0o440} {
		if _, err := newStore(write(t, good, mode)).Status(t.Context(), acme.Path); err != nil {
			t.Errorf("%#o: %v", mode, err)
		}
	}
}

// TestThroughAKeyring refreshes a Keyring from a file that changes.
func TestThroughAKeyring(t *testing.T) {
	path := write(t, good, 0o600)
	k := secrets.NewKeyring(secrets.Options{Source: newStore(path), MaxRate: 1e6})
	if err := k.Warm(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	lower := strings.ToLower(one)
	for _, step := range []struct {
		name, text string
		active     secrets.Version
		signs      string
		err        error // from Refresh
	}{
		{"activate", strings.Replace(good, "active: 1", "active: 2", 1), 2, two, nil},
		{"roll back", good, 1, one, nil},
		{"a value corrected in place", strings.Replace(good, one, lower, 1), 1, lower, nil},
		{"faulty", "secrets: [", 1, lower, secrets.ErrUnusable},
		{"the newest version removed", good[:strings.Index(good, "      2:")], 1, one, nil},
		{"pointer removed", strings.Replace(good, "    active: 1\n", "", 1), 2, two, nil},
	} {
		rewrite(t, path, step.text, 0o600)
		_, _, err := k.Refresh(t.Context(), acme)
		if !errors.Is(err, step.err) {
			t.Fatalf("%s: %v, want %v", step.name, err, step.err)
		}
		held, err := k.Get(acme, 0)
		if err != nil || held.Status.Active != step.active {
			t.Fatalf("%s: %+v, %v, want version %d", step.name, held, err, step.active)
		}
		key, _ := held.Key(0)
		secretstest.CheckKey(t, key, step.signs)
	}
	rewrite(t, path, strings.Replace(good, "active: 1", "disabled: true", 1), 0o600)
	if _, _, err := k.Refresh(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(acme, 0); !errors.Is(err, secrets.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	rewrite(t, path, "secrets: {}\n", 0o600)
	if _, _, err := k.Refresh(t.Context(), acme); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
}

func TestSettings(t *testing.T) {
	var got []string
	file.Settings{}.Check(func(key, _ string) { got = append(got, key) })
	if len(got) != 1 || got[0] != "path" {
		t.Errorf("faults %v", got)
	}
	s := file.Settings{Path: "secrets.yaml"}
	s.Check(func(key, message string) { t.Errorf("%s %s", key, message) })
	if s.Rebase("/etc/deskmint"); s.Path != "/etc/deskmint/secrets.yaml" {
		t.Errorf("path %s", s.Path)
	}
	if s.Rebase("/elsewhere"); s.Path != "/etc/deskmint/secrets.yaml" {
		t.Errorf("an absolute path was moved to %s", s.Path)
	}
}
