package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/deskmint/deskmint/service/config/internal/filepattern"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
)

// Include names further files. In a file it is the path alone, or a block with its keys.
type Include struct {
	// Path is the path of a file, or a pattern with wildcards.
	Path string `yaml:"path,alone"`
	// Optional accepts that no file is there.
	Optional bool `yaml:"optional"`
}

// include adds the files that the main file's patterns match. Each is added once, in the order of
// the patterns. The files of one pattern are sorted by name.
func (l *loader) include(main *source) {
	seen := []string{filepath.Clean(main.Name())} // a pattern of the main file may match the main file
	for i, included := range main.Include {
		for _, path := range l.matches(main.Place("include").Index(i), included) {
			if !slices.Contains(seen, path) {
				seen = append(seen, path)
				l.includeFile(path)
			}
		}
	}
}

// matches returns the files of a pattern. A pattern without wildcards must match a file unless it
// is optional. A pattern with wildcards may match none, because the folder may be empty or missing.
// But the folder must be readable, because a reload would otherwise remove all configurations and
// callers in it. For the same reason, a pattern that once matched a file must match one at each
// reload, unless it is optional.
func (l *loader) matches(at yamlfile.Place, included Include) []string {
	pattern := included.Path
	if pattern == "" {
		at.At("path").Problem("is required: a file, or a pattern such as conf.d/*.yaml")
		return nil
	}
	paths, err := filepattern.Expand(l.dir, pattern)
	before := l.running != nil && l.running.matched[pattern]
	l.matched[pattern] = before || len(paths) > 0
	switch {
	case errors.Is(err, filepath.ErrBadPattern):
		at.Problem("is no pattern: write it as conf.d/*.yaml")
	case included.Optional && (err == nil || !filepattern.IsPattern(pattern) && errors.Is(err, fs.ErrNotExist)):
	case err != nil && !filepattern.IsPattern(pattern):
		at.Problem("names a file that can't be found: %s", cause(err))
		l.unknown = true
	case err != nil:
		at.Problem("has a folder that can't be read: %s", cause(err))
		l.unknown = true
	case len(paths) == 0 && before:
		at.Problem("matches no file any more, and once did: put the files back, or remove the pattern, "+
			"or write {path: %q, optional: true} if it may match none", pattern)
		l.unknown = true
	case len(paths) == 0:
		at.Warn("matches no file")
	}
	return paths
}

// includeFile adds an included file, which may contain only configurations and callers. All other
// settings are those of the deployment and belong in the main file.
func (l *loader) includeFile(path string) {
	s, ok := l.read(path)
	if !ok {
		return
	}
	if s.size == 0 {
		// A file is empty between being truncated and being written again. If it were accepted, its
		// callers would be refused for that moment.
		s.Place("").Problem("is empty, like a file that is still being written: remove it, or put a comment in it")
		l.unknown = true
	}
	for key := range yamlfile.Fields(reflect.TypeFor[File]()) {
		if at := s.Place(key); at.IsSet() && key != "configurations" && key != "callers" {
			at.Problem("belongs in the main file: an included file may contain only configurations and callers")
		}
	}
}
