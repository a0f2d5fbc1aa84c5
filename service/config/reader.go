package config

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Reader reads the same configuration again and again, and tells whether its files
// have changed since. It is safe for concurrent use.
type Reader struct {
	path    string
	options Options

	mu      sync.Mutex
	include []string // the main file's patterns, as they could last be read
	seen    state
}

// state is a digest over the names of the files and what was read from each, be it an
// error.
type state [sha256.Size]byte

// NewReader makes a Reader of the configuration whose main file is at path.
func NewReader(path string, o Options) *Reader { return &Reader{path: path, options: o} }

// Load reads the configuration, as the function [Load] does. running, if not nil, is
// the snapshot that the new one is to replace: what a running service can't change is
// a problem then (see [Snapshot.checkRestartRequired]).
func (r *Reader) Load(running *Snapshot) (*Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// By the patterns of before: they go on being followed where the main file is such
	// that it doesn't tell. They are read before it, so that what changes between the two
	// shows at the next read.
	r.seen = r.look()
	l := newLoader(r.path, r.options)
	l.running = running
	main, ok := l.read(r.path)
	if ok {
		l.include(main)
	}
	if ok && !main.place("include").unread() {
		r.include, r.seen = main.Include, state(l.state.Sum(nil))
	}
	return l.snapshot(!r.options.Development)
}

// Changed tells whether a Load would now read anything else than the last one did. Other
// files that the configuration names aren't read: who uses them follows them.
func (r *Reader) Changed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.look() != r.seen
}

// Paths are those of the main file and of all that it includes, whether they exist or
// not: patterns stand as they are, since files that they match may come, or folders.
func (r *Reader) Paths() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir := filepath.Dir(r.path)
	paths := []string{r.path}
	for _, pattern := range r.include {
		paths = append(paths, standing(inFolder(dir, pattern))...)
		found, _ := expand(dir, pattern) // a pattern that is none is a problem of the file's
		paths = append(paths, found...)
	}
	return paths
}

// standing is a pattern, and where its folders have wildcards too, those that there are.
func standing(pattern string) []string {
	folder, base := filepath.Split(pattern)
	folder = filepath.Clean(folder)
	if !isPattern(folder) {
		return []string{pattern}
	}
	paths := standing(folder)
	found, _ := filepath.Glob(folder)
	for _, at := range found {
		paths = append(paths, filepath.Join(at, base))
	}
	return paths
}

func (r *Reader) look() state {
	h := sha256.New()
	seen := []string{filepath.Clean(r.path)}
	for _, pattern := range r.include {
		found, _ := expand(filepath.Dir(r.path), pattern)
		for _, path := range found {
			if !slices.Contains(seen, path) {
				seen = append(seen, path)
			}
		}
	}
	for _, path := range seen {
		text, err := os.ReadFile(path)
		note(h, path, text, err)
	}
	return state(h.Sum(nil))
}

// note takes what was read of a file into a state.
func note(h hash.Hash, path string, text []byte, err error) {
	fmt.Fprintf(h, "%q %d %v\n", filepath.Clean(path), len(text), err)
	h.Write(text)
}
