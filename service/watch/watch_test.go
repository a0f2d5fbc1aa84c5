package watch_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/watch"
)

// limit is how long anything that must happen may take on a busy machine.
const limit = 2 * time.Minute

// follow tells of each look until the test ends, after the one at the start.
func follow(t *testing.T, paths ...string) <-chan struct{} {
	t.Helper()
	looks, ended := make(chan struct{}, 1000), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		watch.Follow(ctx, watch.Options{What: "the tests' files", Log: slog.New(slog.DiscardHandler), Poll: 24 * time.Hour},
			func() []string { return paths }, func() { looks <- struct{}{} })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	next(t, looks)
	next(t, looks) // what has come between the watch and the first look
	return looks
}

func next(t *testing.T, looks <-chan struct{}) {
	t.Helper()
	select {
	case <-looks:
	case <-time.After(limit):
		t.Fatal("nobody looked")
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

// TestFollow: each step of what can happen above and at a path leads to a look.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(at("first"), 0o700))
	must(t, os.Mkdir(at("second"), 0o700))
	must(t, os.Symlink("first", at("link")))
	looks := follow(t, at("link/file"), at("absent/below/*.yaml"))
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"the file comes", func() { write(t, at("first/file")) }},
		{"it is written in place", func() { write(t, at("first/file")) }},
		{"the folder's link leads elsewhere", func() {
			must(t, os.Symlink("second", at("link.new")))
			must(t, os.Rename(at("link.new"), at("link")))
		}},
		{"a file there", func() { write(t, at("second/file")) }},
		{"a folder that was missing", func() { must(t, os.Mkdir(at("absent"), 0o700)) }},
		{"another below it", func() { must(t, os.Mkdir(at("absent/below"), 0o700)) }},
		{"a file of the pattern's", func() { write(t, at("absent/below/a.yaml")) }},
		{"the folders are gone", func() { must(t, os.RemoveAll(at("absent"))) }},
	} {
		for len(looks) > 0 {
			<-looks
		}
		step.do()
		t.Log(step.name)
		next(t, looks)
	}
}

// TestNeighbours: writes to what stands beside a file are no reason to look at it.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	audit, err := os.Create(filepath.Join(dir, "audit.log"))
	must(t, err)
	defer audit.Close()
	write(t, filepath.Join(dir, "file"))
	looks := follow(t, filepath.Join(dir, "file"))
	for end := time.After(3 * time.Second); ; {
		_, err := audit.WriteString("a record\n")
		must(t, err)
		select {
		case <-looks:
			t.Fatal("a write beside the file led to a look")
		case <-time.After(10 * time.Millisecond):
			continue
		case <-end:
		}
		break
	}
	write(t, filepath.Join(dir, "file"))
	next(t, looks)
}

// TestNeverQuiet: a file that is written to all the time is looked at all the same.
func TestNeverQuiet(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	looks := follow(t, path)
	for deadline := time.After(limit); ; {
		write(t, path)
		select {
		case <-looks:
			return
		case <-deadline:
			t.Fatal("nobody looked")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
