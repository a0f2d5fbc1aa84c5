package yamlfile

import (
	"fmt"
	"regexp"
	"strings"
)

// Problem is an error or a warning about a configuration file.
type Problem struct {
	// File is the path of the file, as it was given or found.
	File string
	// Line counts from 1. It is zero if the file couldn't be read. For a missing key, it is the
	// line of the block that lacks the key.
	Line int
	// Key is the path of the key in its file, such as configurations[0].secret.path. It is empty if
	// the problem concerns the whole file.
	Key string
	// Message describes the problem and its solution. It never contains a possible secret.
	Message string
}

// String returns a line such as "deskmint.yaml:31: configurations[0].secret.path: is required".
func (p Problem) String() string {
	var s strings.Builder
	s.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&s, ":%d", p.Line)
	}
	for _, part := range []string{p.Key, p.Message} {
		if part != "" {
			s.WriteString(": ")
			s.WriteString(part)
		}
	}
	return s.String()
}

// secretLike matches API keys, and any text that is as long as a secret must be. It may match a
// very long name, too. The line and the key of the problem still identify such a name.
var secretLike = regexp.MustCompile(`dmk_[A-Za-z0-9_-]+|[A-Za-z0-9_/+=-]{32,}`)

// Redact replaces possible secrets in a message. All messages pass through it, because those of
// other packages quote values and people paste secrets under any key.
func Redact(s string) string {
	return strings.ReplaceAll(secretLike.ReplaceAllString(s, "…"), "\n", "; ")
}
