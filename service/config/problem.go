package config

import (
	"strings"

	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
)

// Problem is an error or a warning about a configuration file. It names the file, the line and the
// key.
type Problem = yamlfile.Problem

// ProblemsError contains the problems of all files of a configuration that is refused, in the order
// of the files and of their lines.
type ProblemsError struct{ Problems []Problem }

// Error returns one line for each problem.
func (e *ProblemsError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
