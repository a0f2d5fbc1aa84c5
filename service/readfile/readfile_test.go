//go:build unix

package readfile_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deskmint/deskmint/service/readfile"
)

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFile checks that only regular files of a limited size are read. A FIFO without a writer must
// not block the test.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("file"))
	must(t, os.Symlink("file", at("link")))
	must(t, syscall.Mkfifo(at("fifo"), 0o600))
	must(t, os.Symlink("fifo", at("link to fifo")))
	socket, err := new(net.ListenConfig).Listen(t.Context(), "unix", at("socket"))
	must(t, err)
	defer socket.Close()
	for _, name := range []string{"file", "link"} {
		if text, err := readfile.Small(at(name)); err != nil || string(text) != "text" {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
	for path, want := range map[string]string{
		at("fifo"):         "is a FIFO, not a regular file",
		at("link to fifo"): "is a FIFO, not a regular file",
		at("socket"):       "is a socket, not a regular file",
		"/dev/zero":        "is a device, not a regular file",
		dir:                "is a directory, not a regular file",
		at("absent"):       "no such file",
	} {
		text, err := readfile.Small(path)
		var at *fs.PathError
		if text != nil || !errors.As(err, &at) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q %v, want an error with %q", path, text, err, want)
		}
	}
	if _, err := readfile.File(at("file"), 3); err == nil || !strings.Contains(err.Error(), "longer than 3 bytes") {
		t.Errorf("a file that is too large: %v", err)
	}
}

// TestCheckOwners checks the owners and the permissions of everything on the way to a file.
func TestCheckOwners(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string)
		fault  string // "DIR" is the folder
	}{
		{"private folders", func(*testing.T, string) {}, ""},
		{"a folder that others can write", chmod("a", 0o757), "DIR/a has the permissions 0757: chmod go-w DIR/a"},
		{"a folder that its group can write", chmod("a", 0o770), "chmod go-w DIR/a"},
		{"a folder above", chmod("", 0o777), "the folder DIR has the permissions 0777"},
		{"a sticky folder", chmod("a", 0o777|fs.ModeSticky), ""},
		{"the folder of a link's target", chmod("data", 0o777), "the folder DIR/data has the permissions 0777"},
		{"several folders", func(t *testing.T, dir string) {
			t.Helper()
			chmod("a", 0o777)(t, dir)
			chmod("data", 0o775)(t, dir)
		}, "the folder DIR/a has the permissions 0777, and the folder DIR/data has the permissions 0775: " +
			"chmod go-w DIR/a DIR/data"},
		{"another's file", chown("data/file"), "DIR/data/file belongs to user 12345"},
		{"another's folder", chown("data"), "DIR/data belongs to user 12345"},
		{"another's link", chown("a/link"), "DIR/a/link belongs to user 12345"},
		{"a loop of links", func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.Remove(filepath.Join(dir, "data/file")))
			must(t, os.Symlink("../a/link", filepath.Join(dir, "data/file")))
		}, "too many levels"},
		{"no file", func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.Remove(filepath.Join(dir, "data/file")))
		}, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			must(t, err)
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
			must(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
			write(t, filepath.Join(dir, "data/file"))
			must(t, os.Symlink("../data/file", filepath.Join(dir, "a/link")))
			test.change(t, dir)
			err = readfile.CheckOwners(filepath.Join(dir, "a/link"))
			switch {
			case test.fault == "" && err != nil:
				t.Error(err)
			case test.fault != "" && err == nil:
				t.Error("no error")
			case err != nil && !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), test.fault):
				t.Errorf("%v, want %q", err, test.fault)
			}
		})
	}
}

// TestCheckOwnersOfKubernetes checks a mount as the kubelet makes it: links in a folder that is
// sticky and belongs to root, with the group of fsGroup.
func TestCheckOwnersOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..2026_11_30_02_00_00.1")
	must(t, os.Mkdir(data, 0o750))
	must(t, os.Chmod(data, 0o750|fs.ModeSetgid))
	must(t, os.WriteFile(filepath.Join(data, "secrets.yaml"), nil, 0o440))
	must(t, os.Symlink(filepath.Base(data), filepath.Join(dir, "..data")))
	must(t, os.Symlink("..data/secrets.yaml", filepath.Join(dir, "secrets.yaml")))
	must(t, os.Chmod(dir, 0o777|fs.ModeSticky|fs.ModeSetgid))
	if err := readfile.CheckOwners(filepath.Join(dir, "secrets.yaml")); err != nil {
		t.Error(err)
	}
}

func chmod(name string, mode fs.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		must(t, os.Chmod(filepath.Join(dir, name), mode))
	}
}

func chown(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Lchown(filepath.Join(dir, name), 12345, -1); err != nil {
			t.Skip("only root can give a file to another user")
		}
	}
}
