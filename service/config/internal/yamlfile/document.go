package yamlfile

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Document records the positions of the keys of one file, and its problems.
type Document struct {
	name       string
	lines      map[string]int // by key
	unreadable []string       // keys whose values couldn't be read
	problems   []Problem
	warnings   []Problem
}

// New returns a document without keys. name is the path of its file.
func New(name string) *Document {
	return &Document{name: name, lines: map[string]int{"": 1}}
}

// Place returns the place of a key. The empty key is the whole document.
func (d *Document) Place(key string) Place { return Place{doc: d, key: key} }

// Name returns the path of the file.
func (d *Document) Name() string { return d.name }

// Problems returns the problems, sorted by line. Problems in the same line are sorted by key.
func (d *Document) Problems() []Problem { return byLine(d.problems) }

// Warnings returns the warnings in the order of Problems.
func (d *Document) Warnings() []Problem { return byLine(d.warnings) }

func byLine(problems []Problem) []Problem {
	return slices.SortedStableFunc(slices.Values(problems), func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
}

// Place is a key of a document. The document need not contain it.
type Place struct {
	doc *Document
	key string
}

// Document returns the document that the place belongs to.
func (p Place) Document() *Document { return p.doc }

// Key returns the path of the key, such as callers[0].grants.
func (p Place) Key() string { return p.key }

// At returns the place of a key below p. key is one name or a path of names.
func (p Place) At(key string) Place {
	switch {
	case key == "":
		return p
	case p.key == "":
		return p.doc.Place(key)
	}
	return p.doc.Place(p.key + "." + key)
}

// Index returns the place of an item of the list at p.
func (p Place) Index(i int) Place { return p.doc.Place(fmt.Sprintf("%s[%d]", p.key, i)) }

// IsSet reports whether the document contains the key.
func (p Place) IsSet() bool {
	_, ok := p.doc.lines[p.key]
	return ok
}

// line returns the line of the key, or of the nearest block around it if the key is missing.
func (p Place) line() int {
	for key := p.key; key != ""; key = key[:max(0, strings.LastIndexAny(key, ".["))] {
		if line, ok := p.doc.lines[key]; ok {
			return line
		}
	}
	return p.doc.lines[""]
}

// Reference returns the words by which a message at p refers to another place.
func (p Place) Reference(other Place) string {
	if p.doc == other.doc {
		return fmt.Sprintf("line %d", other.line())
	}
	return fmt.Sprintf("%s:%d", filepath.Base(other.doc.name), other.line())
}

// Problem reports a problem with the meaning of a value. It reports nothing if the value couldn't
// be read, because that has been reported already and is the cause.
func (p Place) Problem(format string, args ...any) {
	if !p.HasUnreadable() {
		p.problemInLine(p.line(), format, args...)
	}
}

// problemInLine reports a problem in a line, even if the value couldn't be read.
func (p Place) problemInLine(line int, format string, args ...any) {
	p.doc.problems = append(p.doc.problems, p.newProblem(line, fmt.Sprintf(format, args...)))
}

// ReportProblem is Problem in the form that the checks of other packages need. Key is relative to
// p.
func (p Place) ReportProblem(key, message string) { p.At(key).Problem("%s", message) }

// ReportWarning is Warn in the form that the checks of other packages need. Key is relative to p.
func (p Place) ReportWarning(key, message string) { p.At(key).Warn("%s", message) }

// Unreadable reports that the value can't be read because its type or form is wrong.
func (p Place) Unreadable(line int, format string, args ...any) {
	p.problemInLine(line, format, args...)
	p.doc.unreadable = append(p.doc.unreadable, p.key)
}

// Warn reports that a value is valid but may not be intended.
func (p Place) Warn(format string, args ...any) {
	p.doc.warnings = append(p.doc.warnings, p.newProblem(p.line(), fmt.Sprintf(format, args...)))
}

func (p Place) newProblem(line int, message string) Problem {
	return Problem{File: p.doc.name, Line: line, Key: Redact(p.key), Message: Redact(message)}
}

// HasProblem reports whether the key or a key below it has a problem.
func (p Place) HasProblem() bool {
	return slices.ContainsFunc(p.doc.problems, func(found Problem) bool { return within(found.Key, p.key) })
}

// IsUnreadable reports whether the value, or a block that contains it, couldn't be read.
func (p Place) IsUnreadable() bool {
	return slices.ContainsFunc(p.doc.unreadable, func(key string) bool { return within(p.key, key) })
}

// HasUnreadable reports whether the value or a part of it couldn't be read.
func (p Place) HasUnreadable() bool {
	below := func(key string) bool { return within(key, p.key) }
	return p.IsUnreadable() || slices.ContainsFunc(p.doc.unreadable, below)
}

// within reports whether key is outer or a key below it.
func within(key, outer string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
