// Package filepattern finds the files that a path or a pattern with wildcards names.
package filepattern

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Expand returns the files of a pattern, which is relative to dir.
func Expand(dir, pattern string) ([]string, error) {
	at := inFolder(dir, pattern)
	if !IsPattern(pattern) {
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
		// Glob ignores folders that it can't read.
		_, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return nil, err
		}
	}
	paths, err := filepath.Glob(at)
	// Editors keep locks and incomplete copies in hidden files next to a file.
	return slices.DeleteFunc(paths, func(path string) bool {
		return strings.HasPrefix(filepath.Base(path), ".") && !strings.HasPrefix(filepath.Base(pattern), ".")
	}), err
}

// IsPattern reports whether a path contains wildcards or escapes.
func IsPattern(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// inFolder returns a relative pattern as one below dir. Wildcards in dir are escaped.
func inFolder(dir, pattern string) string {
	if IsPattern(pattern) {
		dir = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
	}
	if filepath.IsAbs(pattern) {
		return pattern
	}
	return filepath.Join(dir, pattern)
}

// PathsToWatch returns the paths whose changes can change what a pattern matches. The pattern is
// relative to dir.
func PathsToWatch(dir, pattern string) []string { return pathsToWatch(inFolder(dir, pattern)) }

// pathsToWatch returns a pattern. If the pattern's folder has wildcards, too, it also returns the
// pattern in each existing folder, and the paths to watch for the folder.
func pathsToWatch(pattern string) []string {
	folder, base := filepath.Split(pattern)
	folder = filepath.Clean(folder)
	if !IsPattern(folder) {
		return []string{pattern}
	}
	paths := pathsToWatch(folder)
	found, _ := filepath.Glob(folder)
	for _, at := range found {
		paths = append(paths, filepath.Join(at, base))
	}
	return paths
}
