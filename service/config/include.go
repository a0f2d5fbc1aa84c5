package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
)

// include adds the files that the main file's patterns match, each once, in the
// patterns' order and then by name.
func (l *loader) include(main *source) {
	seen := []string{filepath.Clean(main.name)} // may be matched by its own pattern
	for i, pattern := range main.Include {
		for _, path := range l.matches(main.place("include").index(i), pattern) {
			if !slices.Contains(seen, path) {
				seen = append(seen, path)
				l.includeFile(path)
			}
		}
	}
}

// matches lists the files of a pattern. One that names a file must find it; one with
// wildcards may stand for a folder that is still empty, or isn't there yet, but not for
// one that can't be read: a reload would take it for empty, and everything in it for gone.
func (l *loader) matches(at place, pattern string) []string {
	paths, err := expand(l.dir, pattern)
	switch {
	case errors.Is(err, filepath.ErrBadPattern):
		at.problem("is no pattern: write it as conf.d/*.yaml")
	case err != nil && !isPattern(pattern):
		at.problem("names a file that can't be found: %s", cause(err))
		l.unknown = true
	case err != nil:
		at.problem("has a folder that can't be read: %s", cause(err))
		l.unknown = true
	case len(paths) == 0:
		at.warn("matches no file")
	}
	return paths
}

// expand lists the files of a pattern, which is relative to dir.
func expand(dir, pattern string) ([]string, error) {
	at := inFolder(dir, pattern)
	if !isPattern(pattern) {
		if _, err := os.Stat(at); err != nil {
			return nil, err
		}
		return []string{filepath.Clean(at)}, nil
	}
	folders, err := filepath.Glob(filepath.Dir(at))
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		// Glob passes over what it can't read.
		_, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return nil, err
		}
	}
	paths, err := filepath.Glob(at)
	// Editors keep locks and half-written copies beside a file, under hidden names.
	return slices.DeleteFunc(paths, func(path string) bool {
		return strings.HasPrefix(filepath.Base(path), ".") && !strings.HasPrefix(filepath.Base(pattern), ".")
	}), err
}

// isPattern is true of what doesn't merely name a file.
func isPattern(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// inFolder makes a relative pattern one below dir, which is no pattern itself.
func inFolder(dir, pattern string) string {
	if isPattern(pattern) {
		dir = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
	}
	return rebase(dir, pattern)
}

// includeFile adds a file of which only configurations and callers count: one
// deployment has one way to listen, and one store.
func (l *loader) includeFile(path string) {
	s, ok := l.read(path)
	if !ok {
		return
	}
	if s.size == 0 {
		// As a file is between being truncated and being written again. To take it for one
		// that says nothing would be to drop its callers for that moment.
		s.place("").problem("is empty, as a file is that is still being written: remove it, or leave a comment in it")
		l.unknown = true
	}
	for key := range fieldsOf(reflect.TypeFor[File]()) {
		if at := s.place(key); at.given() && key != "configurations" && key != "callers" {
			at.problem("belongs in the main file: an included one holds configurations and callers")
		}
	}
}
