package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/config"
)

// auditLog returns the files that records are kept in, the newest first: the configured file,
// and those beside it that a rotation has renamed to its name with a suffix (.1, .2.gz,
// -20260131). It returns none where records go to a stream of the process.
func auditLog(s *config.Snapshot) ([]string, error) {
	path := s.Audit.Output
	if path == "" || path == "stdout" || path == "stderr" {
		return nil, nil
	}
	folder, name := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(folder, "."))
	if err != nil {
		return nil, err
	}
	var files []os.FileInfo
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), name)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '-' {
			continue
		}
		info, err := os.Stat(filepath.Join(folder, entry.Name()))
		if err == nil && info.Mode().IsRegular() {
			files = append(files, info)
		}
	}
	slices.SortStableFunc(files, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(folder, f.Name())
	}
	return paths, nil
}
