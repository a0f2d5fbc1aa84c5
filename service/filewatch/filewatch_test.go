package filewatch_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/filewatch"
)

// limit is the timeout for events that must happen, even on a busy machine.
const limit = 2 * time.Minute

// start watches paths until the test ends, and sends a value on the channel for each check. It
// returns after the checks that every watch begins with.
func start(t *testing.T, paths ...string) <-chan struct{} {
	t.Helper()
	checks, ended := make(chan struct{}, 1000), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		filewatch.Watch(ctx, filewatch.Options{
			Name: "the tests' files", Log: slog.New(slog.DiscardHandler), PollInterval: 24 * time.Hour,
		}, func() []string { return paths }, func() { checks <- struct{}{} })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	next(t, checks)
	next(t, checks) // for changes between the start of the watch and the first check
	return checks
}

func next(t *testing.T, checks <-chan struct{}) {
	t.Helper()
	select {
	case <-checks:
	case <-time.After(limit):
		t.Fatal("the files were not checked")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte("text"), 0o600))
}

// TestWatch changes files, links and folders on the way to the watched paths, one after the other.
// Each change must lead to a check.
func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(at("first"), 0o700))
	must(t, os.Mkdir(at("second"), 0o700))
	must(t, os.Symlink("first", at("link")))
	checks := start(t, at("link/file"), at("absent/below/*.yaml"))
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"the file is created", func() { write(t, at("first/file")) }},
		{"it is written in place", func() { write(t, at("first/file")) }},
		{"the link to the folder changes", func() {
			must(t, os.Symlink("second", at("link.new")))
			must(t, os.Rename(at("link.new"), at("link")))
		}},
		{"a file is created in the new folder", func() { write(t, at("second/file")) }},
		{"a missing folder is created", func() { must(t, os.Mkdir(at("absent"), 0o700)) }},
		{"a folder in it is created", func() { must(t, os.Mkdir(at("absent/below"), 0o700)) }},
		{"a file that matches the pattern is created", func() { write(t, at("absent/below/a.yaml")) }},
		{"the folders are removed", func() { must(t, os.RemoveAll(at("absent"))) }},
	} {
		for len(checks) > 0 {
			<-checks
		}
		step.do()
		t.Log(step.name)
		next(t, checks)
	}
}

// TestOtherFiles shows that writes to another file in the same folder don't lead to a check.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	audit, err := os.Create(filepath.Join(dir, "audit.log"))
	must(t, err)
	defer audit.Close()
	write(t, filepath.Join(dir, "file"))
	checks := start(t, filepath.Join(dir, "file"))
	for end := time.After(3 * time.Second); ; {
		_, err := audit.WriteString("a record\n")
		must(t, err)
		select {
		case <-checks:
			t.Fatal("a write to another file led to a check")
		case <-time.After(10 * time.Millisecond):
			continue
		case <-end:
		}
		break
	}
	write(t, filepath.Join(dir, "file"))
	next(t, checks)
}

// TestNeverQuiet shows that a file is checked even if it is written to all the time.
func TestNeverQuiet(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	checks := start(t, path)
	for deadline := time.After(limit); ; {
		write(t, path)
		select {
		case <-checks:
			return
		case <-deadline:
			t.Fatal("the file was not checked")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
