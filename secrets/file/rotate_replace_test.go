package file

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deskmint/deskmint/secrets"
)

// TestUnwritable checks the error texts. A test can't create a read-only mount without privileges.
func TestUnwritable(t *testing.T) {
	for err, says := range map[error]string{
		syscall.EROFS:            "read-only mount (a Kubernetes Secret?): change it at its source",
		syscall.EBUSY:            "is itself a mount",
		syscall.EACCES:           "do this as the file's owner",
		syscall.EPERM:            "do this as the file's owner",
		syscall.ENOENT:           "the folder of secrets.yaml doesn't exist",
		syscall.ENOSPC:           "no space left",
		syscall.Errno(1_000_000): "replacing secrets.yaml",
	} {
		got := unwritable("secrets.yaml", &fs.PathError{Op: "rename", Path: "x", Err: err}).Error()
		if !strings.Contains(got, says) || !strings.Contains(got, "secrets.yaml") {
			t.Errorf("%v: %q doesn't contain %q", err, got, says)
		}
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); err != syscall.EWOULDBLOCK { //nolint:errorlint // a system call's error is never wrapped
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	if unlock, err = lock(dir); err != nil {
		t.Fatalf("after the first was released: %v", err)
	}
	unlock()
	if err := checkWritable(filepath.Join(dir, "no")); !os.IsNotExist(err) {
		t.Errorf("a folder that isn't there: %v", err)
	}
}

// TestOtherLineEnds checks that a file with line ends that an edit doesn't know is refused. YAML
// counts them as lines. Some are inside a value, which they don't end.
func TestOtherLineEnds(t *testing.T) {
	for name, text := range map[string]string{
		"CR":                  "secrets:\r  a:\r    versions:\r      1: {s: x}\r",
		"CR before the key":   "\r\rsecrets:\n  a:\n    versions:\n      1: {s: x}\n",
		"CR at the end":       "secrets:\n  a:\n    versions:\n      1: {s: x}\n\r",
		"CR CR LF":            "secrets:\r\r\n  a:\n    versions:\n      1: {s: x}\n",
		"next line":           "secrets:\u0085  a:\n    versions:\n      1: {s: x}\n",
		"line separator":      "secrets:\n  a:\n    versions:\n      1: {s: \"x\u2028y\"}\n",
		"paragraph separator": "# \u2029\nsecrets:\n  a:\n    versions:\n      1: {s: x}\n",
	} {
		changed, err := apply([]byte(text), "a", []edit{{key: "2", version: []edit{{key: "s", value: "y"}}}})
		if err == nil || changed != nil || !strings.Contains(err.Error(), "ends in LF or CRLF") {
			t.Errorf("%s: %v\n%s", name, err, changed)
		}
	}
}

// FuzzApply checks that an edit of any good file has exactly its effect or returns an error. apply
// itself compares the result with the expected one. The test parses the result like the service.
func FuzzApply(f *testing.F) {
	f.Add("secrets:\n  a:\n    versions:\n      1: {s: \"x\"}\n", "a")
	f.Add("secrets: {}\n", "sso/b")
	f.Add("{}", "0")
	f.Add(
		"secrets:\n  a:\n    active: 1 # one\n    versions:\n      1:\n        s: >\n          x\n\n"+
			"  b: {versions: {1: {s: y}}}\n",
		"b",
	)
	f.Add("secrets:\r\n  'a b':\r\n    versions:\r\n      1: {s: \"é\\u0001\"}\r\n", "a b")
	f.Add("\r\rsecrets:\n 0:\n  versions:\n   1: {}", "0")
	f.Add("", "0")
	f.Add("A", "0")
	f.Add("[?", "0")
	f.Fuzz(func(t *testing.T, text, path string) {
		before, faults := parse([]byte(text))
		if faults != nil || (secrets.Ref{Path: path, Field: "s"}).Check() != nil {
			return // a writer is only made for a valid reference
		}
		next := number(before[path].status.Latest + 1)
		edits := []edit{
			{
				key:     next,
				version: []edit{{key: "s", value: text, quoted: true}, {key: "created", value: "2026-01-01T00:00:00Z"}},
			},
		}
		edits = append(edits, edit{key: "active", value: next}, edit{key: "previous", value: next},
			edit{key: "disabled", value: "true"})
		changed, err := apply([]byte(text), path, edits)
		if err != nil {
			return
		}
		after, faults := parse(changed)
		if faults != nil {
			t.Fatalf("no longer readable: %v\n%s", faults.in("f"), changed)
		}
		s := after[path].status
		if number(s.Active) != next || number(s.Previous) != next || !s.Disabled || len(after) < len(before) {
			t.Errorf("%+v in\n%s", s, changed)
		}
	})
}
