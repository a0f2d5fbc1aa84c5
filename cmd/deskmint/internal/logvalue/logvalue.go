// Package logvalue limits the values of log lines.
package logvalue

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"unicode"
	"unicode/utf8"

	"github.com/deskmint/deskmint/service/text"
)

// Max limits each value of a log line, in bytes after quoting. No line has more than ten long
// values, so each line is shorter than 64 KiB. Collectors of logs cut or drop longer ones.
const Max = 6 << 10

// Limit cuts a value that is too long for a log line. It is used as
// slog.HandlerOptions.ReplaceAttr. It also cuts the message, which is an attribute there. It writes
// a duration with its units, because slog writes nanoseconds in JSON.
func Limit(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	value := textOf(a.Value)
	if n := cutIndex(value); n < len(value) {
		return slog.String(a.Key, fmt.Sprintf("%s… (%s more)", value[:n], text.Count(len(value)-n, "byte")))
	}
	return a
}

// textOf returns the text of a value, or "" for a value that is never long. It also returns "" for
// a value that panics, such as an error that is a nil pointer. The handler recovers such a panic,
// but not one of ReplaceAttr.
func textOf(v slog.Value) (text string) {
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	switch v.Kind() {
	case slog.KindString:
		return v.String()
	case slog.KindAny:
		switch value := v.Any().(type) {
		case slog.Level:
			return ""
		case error:
			return value.Error()
		default:
			encoded, _ := json.Marshal(value) // nil for a value that JSON can't hold
			return string(encoded)
		}
	}
	return ""
}

// cutIndex returns how many bytes of text have at most Max bytes after quoting.
func cutIndex(text string) int {
	size := 0
	for i, r := range text {
		switch {
		case r == utf8.RuneError, !unicode.IsPrint(r):
			size += len(`\U00000000`) // the longest escape sequence
		case r == '"', r == '\\':
			size += 2
		default:
			size += utf8.RuneLen(r)
		}
		if size > Max {
			return i
		}
	}
	return len(text)
}
