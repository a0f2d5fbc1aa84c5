package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration file, or a warning.
type Problem struct {
	// File is the file as it was named, or found.
	File string
	// Line counts from 1. Zero: the file couldn't be read at all.
	Line int
	// Key is the path of the key within its file, as configurations[0].secret.path;
	// empty where the file as a whole is meant. A key that is missing has the line of
	// the block that it is missing from.
	Key string
	// Message says what is wrong and what to do. It never holds what may be a secret.
	Message string
}

// String is "deskmint.yaml:31: configurations[0].secret.path: is required".
func (f Problem) String() string {
	var s strings.Builder
	s.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&s, ":%d", f.Line)
	}
	for _, part := range []string{f.Key, f.Message} {
		if part != "" {
			s.WriteString(": ")
			s.WriteString(part)
		}
	}
	return s.String()
}

// ProblemsError is why a configuration is refused: every problem of every file, in the
// order of the files and of their lines.
type ProblemsError struct{ Problems []Problem }

// Error has one problem a line.
func (e *ProblemsError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, f := range e.Problems {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// document is what is known of one file: where its keys stand, and what is wrong.
type document struct {
	name     string
	lines    map[string]int // by key
	misread  []string       // keys whose value couldn't be read
	problems   []Problem
	warnings []Problem
}

func newDocument(name string) *document {
	return &document{name: name, lines: map[string]int{"": 1}}
}

func (d *document) place(key string) place { return place{doc: d, key: key} }

// byLine returns problems in the order of their lines, those of one line in that of their keys.
func byLine(problems []Problem) []Problem {
	return slices.SortedStableFunc(slices.Values(problems), func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
}

// place is a key of a document, whether the document has it or not.
type place struct {
	doc *document
	key string
}

// at is a place below p: key is one name, or a path of them.
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

// given is true where the document has the key.
func (p place) given() bool {
	_, ok := p.doc.lines[p.key]
	return ok
}

// line is that of the key, or of the nearest block around it that exists.
func (p place) line() int {
	for key := p.key; key != ""; key = key[:max(0, strings.LastIndexAny(key, ".["))] {
		if line, ok := p.doc.lines[key]; ok {
			return line
		}
	}
	return p.doc.lines[""]
}

// seeing is how a message at p refers to another place.
func (p place) seeing(other place) string {
	if p.doc == other.doc {
		return fmt.Sprintf("line %d", other.line())
	}
	return fmt.Sprintf("%s:%d", filepath.Base(other.doc.name), other.line())
}

// problem reports what is wrong with the meaning of a value. Where the value couldn't
// be read in the first place that has been reported, and what follows from it is noise.
func (p place) problem(format string, args ...any) {
	if !p.unread() {
		p.problemInLine(p.line(), format, args...)
	}
}

// problemInLine reports what is wrong in a line, whatever has been reported before.
func (p place) problemInLine(line int, format string, args ...any) {
	p.doc.problems = append(p.doc.problems, p.say(line, fmt.Sprintf(format, args...)))
}

// report is problem for the Check methods of other packages, whose keys are relative.
func (p place) report(key, message string) { p.at(key).problem("%s", message) }

// warning is warn for the checks of other packages, whose keys are relative.
func (p place) warning(key, message string) { p.at(key).warn("%s", message) }

// misread reports that the value can't be read as what it should be.
func (p place) misread(line int, format string, args ...any) {
	p.problemInLine(line, format, args...)
	p.doc.misread = append(p.doc.misread, p.key)
}

func (p place) warn(format string, args ...any) {
	p.doc.warnings = append(p.doc.warnings, p.say(p.line(), fmt.Sprintf(format, args...)))
}

func (p place) say(line int, message string) Problem {
	return Problem{File: p.doc.name, Line: line, Key: redact(p.key), Message: redact(message)}
}

// hasProblem is true where something is wrong with the key or with what is below it.
func (p place) hasProblem() bool {
	return slices.ContainsFunc(p.doc.problems, func(f Problem) bool { return within(f.Key, p.key) })
}

// lost is true where the value, or the block that it belongs to, couldn't be read.
func (p place) lost() bool {
	return slices.ContainsFunc(p.doc.misread, func(key string) bool { return within(p.key, key) })
}

// unread is true where the value is lost, or a part of it.
func (p place) unread() bool {
	return p.lost() || slices.ContainsFunc(p.doc.misread, func(key string) bool { return within(key, p.key) })
}

// within is true of a key that is outer or stands below it.
func within(key, outer string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// secretLike finds API keys, and runs as long as a secret must be. A very long name
// may fall victim: its line and key still say which.
var secretLike = regexp.MustCompile(`dmk_[A-Za-z0-9_-]+|[A-Za-z0-9_/+=-]{32,}`)

// redact is the last gate of every message. Those of other packages quote values,
// and people paste secrets under any key.
func redact(s string) string {
	return strings.ReplaceAll(secretLike.ReplaceAllString(s, "…"), "\n", "; ")
}
