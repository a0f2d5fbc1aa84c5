package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
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

// document records the positions of the keys of one file, and its problems.
type document struct {
	name       string
	lines      map[string]int // by key
	unreadable []string       // keys whose values couldn't be read
	problems   []Problem
	warnings   []Problem
}

func newDocument(name string) *document {
	return &document{name: name, lines: map[string]int{"": 1}}
}

func (d *document) place(key string) place { return place{doc: d, key: key} }

// byLine returns problems sorted by line. Problems in the same line are sorted by key.
func byLine(problems []Problem) []Problem {
	return slices.SortedStableFunc(slices.Values(problems), func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
}

// place is a key of a document. The document need not contain it.
type place struct {
	doc *document
	key string
}

// at returns the place of a key below p. key is one name or a path of names.
func (p place) at(key string) place {
	switch {
	case key == "":
		return p
	case p.key == "":
		return p.doc.place(key)
	}
	return p.doc.place(p.key + "." + key)
}

func (p place) index(i int) place { return p.doc.place(fmt.Sprintf("%s[%d]", p.key, i)) }

// isSet reports whether the document contains the key.
func (p place) isSet() bool {
	_, ok := p.doc.lines[p.key]
	return ok
}

// line returns the line of the key, or of the nearest block around it if the key is missing.
func (p place) line() int {
	for key := p.key; key != ""; key = key[:max(0, strings.LastIndexAny(key, ".["))] {
		if line, ok := p.doc.lines[key]; ok {
			return line
		}
	}
	return p.doc.lines[""]
}

// reference returns the words by which a message at p refers to another place.
func (p place) reference(other place) string {
	if p.doc == other.doc {
		return fmt.Sprintf("line %d", other.line())
	}
	return fmt.Sprintf("%s:%d", filepath.Base(other.doc.name), other.line())
}

// problem reports a problem with the meaning of a value. It reports nothing if the value couldn't
// be read, because that has been reported already and is the cause.
func (p place) problem(format string, args ...any) {
	if !p.hasUnreadable() {
		p.problemInLine(p.line(), format, args...)
	}
}

// problemInLine reports a problem in a line, even if the value couldn't be read.
func (p place) problemInLine(line int, format string, args ...any) {
	p.doc.problems = append(p.doc.problems, p.newProblem(line, fmt.Sprintf(format, args...)))
}

// reportProblem is problem in the form that the checks of other packages need. Key is relative to
// p.
func (p place) reportProblem(key, message string) { p.at(key).problem("%s", message) }

// reportWarning is warn in the form that the checks of other packages need. Key is relative to p.
func (p place) reportWarning(key, message string) { p.at(key).warn("%s", message) }

// unreadable reports that the value can't be read because its type or form is wrong.
func (p place) unreadable(line int, format string, args ...any) {
	p.problemInLine(line, format, args...)
	p.doc.unreadable = append(p.doc.unreadable, p.key)
}

func (p place) warn(format string, args ...any) {
	p.doc.warnings = append(p.doc.warnings, p.newProblem(p.line(), fmt.Sprintf(format, args...)))
}

func (p place) newProblem(line int, message string) Problem {
	return Problem{File: p.doc.name, Line: line, Key: redact(p.key), Message: redact(message)}
}

// hasProblem reports whether the key or a key below it has a problem.
func (p place) hasProblem() bool {
	return slices.ContainsFunc(p.doc.problems, func(found Problem) bool { return within(found.Key, p.key) })
}

// isUnreadable reports whether the value, or a block that contains it, couldn't be read.
func (p place) isUnreadable() bool {
	return slices.ContainsFunc(p.doc.unreadable, func(key string) bool { return within(p.key, key) })
}

// hasUnreadable reports whether the value or a part of it couldn't be read.
func (p place) hasUnreadable() bool {
	below := func(key string) bool { return within(key, p.key) }
	return p.isUnreadable() || slices.ContainsFunc(p.doc.unreadable, below)
}

// within reports whether key is outer or a key below it.
func within(key, outer string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// secretLike matches API keys, and any text that is as long as a secret must be. It may match a
// very long name, too. The line and the key of the problem still identify such a name.
var secretLike = regexp.MustCompile(`dmk_[A-Za-z0-9_-]+|[A-Za-z0-9_/+=-]{32,}`)

// redact replaces possible secrets in a message. All messages pass through it, because those of
// other packages quote values and people paste secrets under any key.
func redact(s string) string {
	return strings.ReplaceAll(secretLike.ReplaceAllString(s, "…"), "\n", "; ")
}
