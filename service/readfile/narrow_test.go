//go:build unix

package readfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// otherOwner is the information about a file that belongs to another user.
type otherOwner struct{ fs.FileInfo }

func (o otherOwner) Sys() any {
	stat := *o.FileInfo.Sys().(*syscall.Stat_t)
	stat.Uid = uint32(os.Geteuid()) + 1
	return &stat
}

func TestNarrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.yaml")
	narrow := func(mode fs.FileMode, other bool) string {
		t.Helper()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if other {
			info = otherOwner{info}
		}
		return Narrow(path, info)
	}
	for _, test := range []struct {
		mode       fs.FileMode
		own, other string
	}{
		{0o644, "chmod 600 ", "chmod 640 "},
		{0o666, "chmod 600 ", "chmod 640 "},
		{0o444, "chmod 400 ", "chmod 440 "},
		{0o604, "chmod 600 ", "chmod 600 "},
		{0o777, "chmod 700 ", "chmod 740 "},
	} {
		if got := narrow(test.mode, false); got != test.own+path {
			t.Errorf("%#o: %s", test.mode, got)
		}
		if got := narrow(test.mode, true); got != test.other+path {
			t.Errorf("%#o of another user: %s", test.mode, got)
		}
	}

	// This is what the kubelet makes of a Secret.
	data := filepath.Join(filepath.Dir(path), "..2026_11_30")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(filepath.Dir(path), "..data")); err != nil {
		t.Fatal(err)
	}
	if got, want := narrow(0o644, true),
		"give the volume defaultMode: 0440, and the pod a securityContext with an fsGroup"; got != want {
		t.Errorf("in a volume: %s", got)
	}
}
