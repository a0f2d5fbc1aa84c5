package config

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"path/filepath"
	"slices"
	"sync"

	"github.com/deskmint/deskmint/service/config/internal/filepattern"
	"github.com/deskmint/deskmint/service/readfile"
)

// Reader reads the same configuration repeatedly, and reports whether its files have changed. It is
// safe for concurrent use.
type Reader struct {
	path    string
	options Options

	mu      sync.Mutex
	include []Include // the main file's patterns when they could last be read
	last    state     // what the last Load read
}

// state is a digest over the names of the files and their contents, or the error of reading them.
type state [sha256.Size]byte

// NewReader returns a Reader of the configuration whose main file is at path.
func NewReader(path string, o Options) *Reader { return &Reader{path: path, options: o} }

// Load reads the configuration, as the function [Load] does. running is the snapshot that the new
// one replaces, or nil at the start. A change to a setting that needs a restart is a problem,
// unless running is nil.
func (r *Reader) Load(running *Snapshot) (*Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// If the main file's patterns can't be read, the previous patterns remain in use. The state is
	// read before the files are loaded, so that Changed reports a change between the two.
	r.last = r.readState()
	l := newLoader(r.path, r.options)
	l.running = running
	main, ok := l.read(r.path)
	if ok {
		l.include(main)
	}
	if ok && !main.Place("include").HasUnreadable() {
		r.include, r.last = main.Include, state(l.state.Sum(nil))
	}
	return l.snapshot(!r.options.Development)
}

// Changed reports whether the files have changed since the last Load. It doesn't read the files
// that the configuration names, such as certificates, because the packages that use them watch
// them.
func (r *Reader) Changed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readState() != r.last
}

// Paths returns the paths of the main file and of all files that it includes. It also returns the
// patterns themselves, because files or folders that match them may be created.
func (r *Reader) Paths() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir := filepath.Dir(r.path)
	paths := []string{r.path}
	for _, included := range r.include {
		pattern := included.Path
		paths = append(paths, filepattern.PathsToWatch(dir, pattern)...)
		found, _ := filepattern.Expand(dir, pattern) // Load reports an invalid pattern
		paths = append(paths, found...)
	}
	return paths
}

// readState reads the files by the last known patterns.
func (r *Reader) readState() state {
	h := sha256.New()
	seen := []string{filepath.Clean(r.path)}
	for _, included := range r.include {
		found, _ := filepattern.Expand(filepath.Dir(r.path), included.Path)
		for _, path := range found {
			if !slices.Contains(seen, path) {
				seen = append(seen, path)
			}
		}
	}
	for _, path := range seen {
		text, err := readfile.File(path, maxFile)
		addToState(h, path, text, err)
	}
	return state(h.Sum(nil))
}

// addToState adds the result of reading a file to a state.
func addToState(h hash.Hash, path string, text []byte, err error) {
	fmt.Fprintf(h, "%q %d %v\n", filepath.Clean(path), len(text), err)
	h.Write(text)
}
