package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
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
// wildcards may stand for a folder that is still empty.
func (l *loader) matches(at place, pattern string) []string {
	if !strings.ContainsAny(pattern, `*?[\`) {
		path := rebase(l.dir, pattern)
		if _, err := os.Stat(path); err != nil {
			at.fault("names a file that can't be found: %s", cause(err))
			l.unknown = true
			return nil
		}
		return []string{filepath.Clean(path)}
	}
	literal := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
	paths, err := filepath.Glob(rebase(literal.Replace(l.dir), pattern))
	// Editors keep locks and half-written copies beside a file, under hidden names.
	paths = slices.DeleteFunc(paths, func(path string) bool {
		return strings.HasPrefix(filepath.Base(path), ".") && !strings.HasPrefix(filepath.Base(pattern), ".")
	})
	switch {
	case err != nil:
		at.fault("is no pattern: write it as conf.d/*.yaml")
	case len(paths) == 0:
		at.warn("matches no file")
	}
	return paths
}

// includeFile adds a file of which only configurations and callers count: one
// deployment has one way to listen, and one store.
func (l *loader) includeFile(path string) {
	s, ok := l.read(path)
	if !ok {
		return
	}
	for key := range fieldsOf(reflect.TypeFor[contents]()) {
		if at := s.place(key); at.given() && key != "configurations" && key != "callers" {
			at.fault("belongs in the main file: an included one holds configurations and callers")
		}
	}
}
