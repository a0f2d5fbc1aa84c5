package page

import "unicode/utf8"

// appendEscaped appends value so that a browser reads it back unchanged from a quoted attribute or from text. Beside the five
// that mark up, a carriage return needs a reference, because parsers turn a bare one into a line feed (HTML,
// "preprocessing the input stream"). NUL and bytes that aren't UTF-8 become U+FFFD: a browser would do the same, but
// not before it had guessed what they were.
func appendEscaped(page []byte, value string) []byte {
	last := 0
	for i := 0; i < len(value); {
		if plain(value[i]) {
			i++
			continue
		}
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
		if plain(value[i]) {
			i++
			continue
		}
		reference, width := escape(value[i:])
		if reference != "" {
			n += len(reference) - width
		}
		i += width
	}
	return n
}

// plain says of most ASCII that it stands for itself. Tokens and URLs hold little else, and escape is slower.
func plain(c byte) bool { return c > '\'' && c < '<' || c > '>' && c < utf8.RuneSelf }

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
