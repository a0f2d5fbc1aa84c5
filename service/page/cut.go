package page

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"unicode/utf8"
)

// cut is a page that was rendered once and cut open where values of a request go: literals[0], the first value,
// literals[1], the second value, and so on.
type cut struct {
	literals [][]byte
	size     int // of all literals together
}

// cutAt renders with one mark in place of each of n values and cuts at the marks. A mark is random, so no text of an
// operator's can hold it, and alphanumeric, so no escaper touches it. Each must appear once and in order; a template
// for which that isn't so is a fault of ours.
func cutAt(n int, render func(marks []string) ([]byte, error)) (cut, error) {
	marks := make([]string, n)
	for i := range marks {
		marks[i] = rand.Text()
	}
	rest, err := render(marks)
	if err != nil {
		return cut{}, err
	}
	var c cut
	for i, mark := range marks {
		before, after, found := bytes.Cut(rest, []byte(mark))
		if !found {
			return cut{}, fmt.Errorf("value %d doesn't appear after the one before it", i)
		}
		c.literals = append(c.literals, before)
		rest = after
	}
	c.literals = append(c.literals, rest)
	for _, literal := range c.literals {
		for i, mark := range marks {
			if bytes.Contains(literal, []byte(mark)) {
				return cut{}, fmt.Errorf("value %d appears twice", i)
			}
		}
		c.size += len(literal)
	}
	return c, nil
}

// fill returns the page with the values, as many as it was cut for, escaped in their places.
func (c cut) fill(values ...string) []byte {
	size := c.size
	for _, value := range values {
		size += escapedLen(value)
	}
	page := append(make([]byte, 0, size), c.literals[0]...)
	for i, value := range values {
		page = appendEscaped(page, value)
		page = append(page, c.literals[i+1]...)
	}
	return page
}

// appendEscaped appends value so that a browser reads it back unchanged from a quoted attribute or from text. Beside the five
// that mark up, a carriage return needs a reference, because parsers turn a bare one into a line feed (HTML,
// "preprocessing the input stream"). NUL and bytes that aren't UTF-8 become U+FFFD: a browser would do the same, but
// not before it had guessed what they were.
func appendEscaped(page []byte, value string) []byte {
	last := 0
	for i := 0; i < len(value); {
		reference, width := escape(value[i:])
		if reference != "" {
			page = append(page, value[last:i]...)
			page = append(page, reference...)
			last = i + width
		}
		i += width
	}
	return append(page, value[last:]...)
}

func escapedLen(value string) int {
	n := len(value)
	for i := 0; i < len(value); {
		reference, width := escape(value[i:])
		if reference != "" {
			n += len(reference) - width
		}
		i += width
	}
	return n
}

// escape returns what stands for the first character of a text that isn't empty, "" for itself, and its width.
func escape(text string) (reference string, width int) {
	switch text[0] {
	case '&':
		return "&amp;", 1
	case '<':
		return "&lt;", 1
	case '>':
		return "&gt;", 1
	case '"':
		return "&#34;", 1
	case '\'':
		return "&#39;", 1
	case '\r':
		return "&#13;", 1
	case 0:
		return "\uFFFD", 1
	}
	if text[0] < utf8.RuneSelf {
		return "", 1
	}
	r, width := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && width == 1 {
		return "\uFFFD", 1
	}
	return "", width
}
