// Package auditfiles finds the files that hold the audit records of a service, and records in them.
package auditfiles

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// List returns the files that the records of a service are in, the newest first. path is the
// setting audit.output. The list has that file and the older ones that log rotation has renamed,
// in the same folder. Their names are that of the file and a suffix, such as .1, .2.gz or
// -20260131. The list is empty if the records go to standard output or standard error.
func List(path string) ([]string, error) {
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
