package file_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

const commented = `# Maintained by the help desk.

secrets:
  # The customers' one.
  sso/acme-customers: # since 2024
    versions:
      1:   {shared_secret: '` + one + `', created: 2026-01-10T09:00:00Z, note: "of \"ours\""}   # the old one
      # before the next

  # The staff's. Don't touch.

  "sso/acme-staff":
      active:     7
      versions:
        3:
          shared_secret: ` + one + `
        7:
          shared_secret: >-
            ` + two + `

          other: short
# the end`

// noted returns a version with the given secret, as it is written below the first version of
// commented.
func noted(secret string) string {
	return `{shared_secret: "` + secret + `", note: "of \"ours\"", created: 2026-09-01T10:00:00Z}`
}

// TestActsInAFile performs all acts on one secret. Each act must change only the necessary lines.
// Blank lines, comments, alignment and quotes must not change.
func TestActsInAFile(t *testing.T) {
	path := write(t, commented, 0o640)
	r, ctx := rotator(path), t.Context()
	store := newStore(path)
	want := commented
	check := func(what string, active secrets.Version, secret string, oldNew ...string) {
		t.Helper()
		for i := 0; i < len(oldNew); i += 2 {
			if !strings.Contains(want, oldNew[i]) {
				t.Fatalf("%s: error in the test: the file has no %q", what, oldNew[i])
			}
			want = strings.Replace(want, oldNew[i], oldNew[i+1], 1)
		}
		if got := read(t, path); strings.TrimSuffix(got, "\n") != want {
			t.Fatalf("%s: the file is\n%s\nwant\n%s", what, got, want)
		}
		status, err := store.Status(ctx, acme.Path)
		if err != nil || status.Active != active {
			t.Fatalf("%s: the service reads %+v, %v", what, status, err)
		}
		key, err := store.Key(ctx, acme, active)
		if err != nil {
			t.Fatal(err)
		}
		secretstest.CheckKey(t, key, secret)
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: %v, %v", what, info.Mode(), err)
		}
	}
	secretstest.Must(r.Stage(ctx, []byte(two)))(t)
	check("staged", 1, one, "    versions:\n      1:", "    active: 1\n    versions:\n      1:", "# the old one\n",
		"# the old one\n      2: "+noted(two)+"\n")
	secretstest.Must(r.Activate(ctx, 0))(t)
	check("activated", 2, two, "    active: 1\n", "    active: 2\n    previous: 1\n")
	secretstest.Must(r.Rollback(ctx))(t)
	check("rolled back", 1, one, "    active: 2\n    previous: 1\n", "    active: 1\n    previous: 2\n")
	secretstest.Must(r.Disable(ctx))(t)
	check("disabled", 1, one, "    previous: 2\n", "    previous: 2\n    disabled: \"2026-09-01T10:00:00Z\"\n")
	secretstest.Must(r.Enable(ctx))(t)
	check("enabled", 1, one, "disabled: \"2026-09-01T10:00:00Z\"", "disabled: false")
	secretstest.Must(r.Replace(ctx, []byte(three)))(t)
	check("replaced", 3, three, "    active: 1\n    previous: 2\n", "    active: 3\n    previous: 1\n",
		"2026-09-01T10:00:00Z}\n", "2026-09-01T10:00:00Z}\n      3: "+noted(three)+"\n")

	report, err := r.Status(ctx, three[:5])
	if err != nil || len(report.Details) != 3 || !*report.Details[0].Match || *report.Details[1].Match ||
		report.Keeps != 0 {
		t.Errorf("status %+v, %v", report, err)
	}
	if line := fmt.Sprintf("%s:5: %s", path, acme.Path); report.Place != line {
		t.Errorf("place %q, want %q", report.Place, line)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestFirstStage stages the first version in a missing or an empty file, and in a file without the
// secret.
func TestFirstStage(t *testing.T) {
	const fresh = `  sso/acme-customers:
    active: 1
    versions:
      1: {shared_secret: "` + one + `", created: 2026-09-01T10:00:00Z}
`
	for name, tc := range map[string]struct{ before, after string }{
		"empty": {"", "secrets:\n" + fresh},
		"no secrets": {
			"# ours\n\nsecrets: {} # so far\n# the end\n",
			"# ours\n\nsecrets:  # so far\n" + fresh + "# the end\n",
		},
		"another secret": {
			"secrets:\n  other:\n    versions:\n      1: {a: \"" + two + "\"}\n\n# the end\n",
			"secrets:\n  other:\n    versions:\n      1: {a: \"" + two + "\"}\n" + fresh + "\n# the end\n",
		},
		"wide indent, no line end": {
			"secrets:\n    other:\n        versions: {1: {a: \"" + two + "\"}}",
			"secrets:\n    other:\n        versions: {1: {a: \"" + two + "\"}}\n" +
				strings.ReplaceAll(fresh, "  ", "    "),
		},
		"Windows": {
			"secrets:\r\n  other:\r\n    versions:\r\n      1: {a: \"" + two + "\"}\r\n",
			"secrets:\r\n  other:\r\n    versions:\r\n      1: {a: \"" + two + "\"}\r\n" +
				strings.ReplaceAll(fresh, "\n", "\r\n"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tc.before, 0o600)
			secretstest.Must(rotator(path).Stage(t.Context(), []byte(one)))(t)
			if got := read(t, path); got != tc.after {
				t.Errorf("the file is\n%s\nwant\n%s", got, tc.after)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "secrets.yaml")
	secretstest.Must(rotator(path).Stage(t.Context(), []byte(one)))(t)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 || read(t, path) != "secrets:\n"+fresh {
		t.Errorf("%v, %v:\n%s", info.Mode(), err, read(t, path))
	}
	_, err := rotator(filepath.Join(t.TempDir(), "secrets.yaml")).Status(t.Context(), "")
	if !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("status of a missing file: %v", err)
	}
	_, err = rotator(filepath.Join(t.TempDir(), "no", "secrets.yaml")).Stage(t.Context(), []byte(one))
	secretstest.CheckError(t, err, rotate.ErrRefused, "the folder of", "doesn't exist: create it")
}

// TestLayoutsThatCantBeEdited checks that a layout that can't be changed line by line is not
// changed, and that the error contains the line.
func TestLayoutsThatCantBeEdited(t *testing.T) {
	for name, tc := range map[string]struct{ text, says string }{
		"versions in braces": {
			"secrets:\n  sso/acme-customers:\n    active: 1\n    versions: {1: {shared_secret: " + one + "}}\n",
			"line 4",
		},
		"the secret in braces": {
			"secrets:\n  sso/acme-customers: {versions: {1: {shared_secret: " + one + "}}}\n",
			"line 2",
		},
		"everything in braces": {
			"secrets: {sso/acme-customers: {active: 1, versions: {1: {shared_secret: " + one + "}}}}\n",
			"line 1",
		},
		"a value over two lines": {
			"secrets:\n  sso/acme-customers:\n    active: 1\n    versions:\n" +
				"      1: {shared_secret: \"" + one[:20] + "\\\n " + one[20:] + "\"}\n",
			"line 1",
		},
	} {
		path := write(t, tc.text, 0o600)
		_, err := rotator(path).Stage(t.Context(), []byte(two))
		if err == nil {
			t.Fatalf("%s: changed to\n%s", name, read(t, path))
		}
		for _, part := range []string{path, tc.says, "as blocks"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q doesn't contain %q", name, err, part)
			}
		}
		if read(t, path) != tc.text {
			t.Errorf("%s: the file was changed to\n%s", name, read(t, path))
		}
	}
}

// TestManyWriters checks that at least one of several concurrent operators succeeds, that no
// version is lost, and that the file is good at every moment.
func TestManyWriters(t *testing.T) {
	path := write(t, good, 0o600)
	stop := make(chan struct{})
	var watcher, writers sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := newStore(path).Status(t.Context(), acme.Path); err != nil {
				t.Errorf("a reader gets the error %v", err)
				return
			}
		}
	})
	errs := make([]error, 16)
	for i := range errs {
		writers.Go(func() { _, errs[i] = rotator(path).Stage(t.Context(), fmt.Appendf(nil, "%s-%02d", three, i)) })
	}
	writers.Wait()
	close(stop)
	watcher.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		secretstest.CheckError(t, err, secrets.ErrConflict, path)
	}
	status, err := newStore(path).Status(t.Context(), acme.Path)
	if err != nil || won == 0 || int(status.Latest) != 2+won {
		t.Errorf("%d won, but the latest version is %d, %v", won, status.Latest, err)
	}
}

// TestConflicts checks that a change after the observation is not overwritten.
func TestConflicts(t *testing.T) {
	path := write(t, good, 0o600)
	w := file.NewWriter(file.Settings{Path: path})
	o, err := w.Observe(t.Context(), acme.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"active: 1", "active: 2"},
		{"active: 1", "active: 1\n    previous: 2"},
		{"active: 1", "active: 1\n    disabled: true"},
		{"    active: 1\n", ""},
		{"      2: {", "      3: {shared_secret: " + three + "}\n      2: {"},
		{"2026-06-01", "2026-06-02"}, // version 2 was created again
	} {
		changed := strings.Replace(good, change[0], change[1], 1)
		rewrite(t, path, changed, 0o600)
		for name, act := range map[string]func() error{
			"write": func() error { return w.Write(t.Context(), acme, o, []byte(three)) },
			"point": func() error { return w.Change(t.Context(), acme.Path, o, secrets.Change{Active: 2}) },
			"switch": func() error {
				return w.Change(t.Context(), acme.Path, o, secrets.Change{Disabled: "2026-11-29T16:00:00Z"})
			},
		} {
			if err := act(); !errors.Is(err, secrets.ErrConflict) || read(t, path) != changed {
				t.Errorf("%s after %q: %v", name, change[1], err)
			}
		}
	}
	// A change of another secret of the file is no conflict, and it stays.
	rewrite(t, path, strings.Replace(good, "other: \"short\"", "other: \"new\"", 1), 0o600)
	err = w.Change(t.Context(), acme.Path, o, secrets.Change{Disabled: "2026-11-29T16:00:00Z"})
	if err != nil || !strings.Contains(read(t, path), `other: "new"`) {
		t.Errorf("%v", err)
	}
}

func TestFilesThatCantBeWritten(t *testing.T) {
	path := write(t, good, 0o400)
	_, err := rotator(path).Stage(t.Context(), []byte(three))
	secretstest.CheckError(t, err, rotate.ErrRefused, path+":3", "read-only (0400)", "chmod u+w")
	if _, err := rotator(path).Status(t.Context(), ""); err != nil {
		t.Errorf("reading needs no rights to write: %v", err)
	}
	path = write(t, good, 0o604)
	_, err = rotator(path).Stage(t.Context(), []byte(three))
	secretstest.CheckError(t, err, secrets.ErrUnusable, "chmod 600")
	path = write(t, strings.Replace(good, "active: 1", "activ: 1", 1), 0o600)
	_, err = rotator(path).Stage(t.Context(), []byte(three))
	secretstest.CheckError(t, err, secrets.ErrUnusable, path+":4: secret sso/acme-customers: unknown key activ")
	_, err = rotator(filepath.Dir(path)).Stage(t.Context(), []byte(three))
	secretstest.CheckError(t, err, secrets.ErrUnusable, "not a regular file")
}

// TestOwnerIsKept checks that the file keeps its owner if another user changes it.
func TestOwnerIsKept(t *testing.T) {
	path := write(t, good, 0o640)
	want := os.Getgid()
	if os.Geteuid() == 0 { // only root may change the owner
		want = 12345
		if err := os.Chown(path, 12345, want); err != nil {
			t.Fatal(err)
		}
	}
	secretstest.Must(rotator(path).Activate(t.Context(), 2))(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); int(stat.Gid) != want || info.Mode() != 0o640 {
		t.Errorf("the file is now %d:%d, %v", stat.Uid, stat.Gid, info.Mode())
	}
}

// TestLinksAreFollowed checks that a change replaces the target of a symbolic link, not the link.
func TestLinksAreFollowed(t *testing.T) {
	path := write(t, good, 0o600)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	secretstest.Must(rotator(link).Activate(t.Context(), 2))(t)
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 || !strings.Contains(read(t, path), "active: 2") {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
