package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/audit"
)

// TestReopen checks that the log writes to a file that was moved away until Reopen, and to the new
// file afterwards.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	put(t, log, "1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put(t, log, "2")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("Write created a new file: %v", err)
	}
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	put(t, log, "3")
	if err := log.Reopen(); err != nil { // opens the same file again
		t.Fatal(err)
	}
	put(t, log, "4")
	before, after := ids(t, contents(t, path+".1")), ids(t, contents(t, path))
	if !slices.Equal(before, []string{"1", "2"}) || !slices.Equal(after, []string{"3", "4"}) {
		t.Errorf("before %q, after %q", before, after)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the new one: %v %v", info.Mode(), err)
	}
}

// TestReopenFails checks that the log still writes to the old file after Reopen returned an error.
func TestReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit.log")
	log := openLog(t, path)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	err := log.Reopen()
	if err == nil || !strings.Contains(err.Error(), "audit.output") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Reopen returned %v", err)
	}
	put(t, log, "1")
	if got := ids(t, contents(t, filepath.Join(dir+".old", "audit.log"))); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the old one holds %q", got)
	}
	if err := audit.New(os.Stderr, audit.Settings{}, nil).Reopen(); err != nil {
		t.Errorf("a stream: %v", err)
	}
}

// TestReopenUnderLoad checks that each record is complete and in exactly one file, however often
// the file is rotated during the writes.
func TestReopenUnderLoad(t *testing.T) {
	const writers, each, rotations = 8, 300, 40
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	var all sync.WaitGroup
	for g := range writers {
		all.Go(func() {
			for i := range each {
				put(t, log, fmt.Sprintf("%d-%d", g, i))
			}
		})
	}
	for n := range rotations {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, n)); err != nil {
			t.Error(err)
		}
		if err := log.Reopen(); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != rotations+1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var there []string
	for _, f := range files {
		there = append(there, ids(t, contents(t, f))...)
	}
	slices.Sort(there)
	if n := len(slices.Compact(slices.Clone(there))); len(there) != writers*each || n != len(there) {
		t.Errorf("%d records, %d different, want %d", len(there), n, writers*each)
	}
}

// TestCutFile checks a file whose last line has no end because its writer was killed. The next
// record starts on a new line. A file with complete lines gets no empty line.
func TestCutFile(t *testing.T) {
	for _, c := range []struct{ before, between string }{
		{"", ""},
		{"{}\n", ""},
		{`{"time":"20`, "\n"},
		{"{}\n{", "\n"},
	} {
		for _, reopened := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "audit.log")
			var log *audit.Log
			if reopened {
				log = openLog(t, path)
				put(t, log, "0")
			}
			if err := os.WriteFile(path+".new", []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			if !reopened {
				log = openLog(t, path)
			} else if err := log.Reopen(); err != nil {
				t.Fatal(err)
			}
			put(t, log, "1")
			put(t, log, "2")
			rest, ok := strings.CutPrefix(contents(t, path), c.before+c.between+"{")
			if !ok || !slices.Equal(ids(t, "{"+rest), []string{"1", "2"}) {
				t.Errorf("%q became %q", c.before, contents(t, path))
			}
		}
	}
}

// TestPipeWithoutReader checks that opening a pipe without a reader is an error and doesn't wait.
func TestPipeWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Settings{Output: path}, nil, nil); err == nil ||
		!strings.Contains(err.Error(), "audit.output") {
		t.Errorf("Open returned %v", err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	log := openLog(t, path)
	put(t, log, "1")
	line := make([]byte, 4096)
	if n, err := reader.Read(line); err != nil || !slices.Equal(ids(t, string(line[:n])), []string{"1"}) {
		t.Errorf("read %q, %v", line[:n], err)
	}
	// The pipe has no active reader and fills up. Write then returns an error after its timeout.
	big := audit.Record{ID: "2", Rule: strings.Repeat("x", 1<<20)}
	began := time.Now()
	if err := log.Write(t.Context(), big, audit.Person{}); err == nil || time.Since(began) < time.Second {
		t.Errorf("writing to a full pipe: %v after %v", err, time.Since(began))
	}
}
