// Package logvalue limits the values of log lines.
package logvalue

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"unicode"
	"unicode/utf8"
)

// Max limits each value of a log line, in bytes after quoting. No line has more than ten long values,
// so each line is shorter than 64 KiB. Collectors of logs cut or drop longer ones.
const Max = 6 << 10

// Limit cuts a value that is too long for a log line. It is used as
// slog.HandlerOptions.ReplaceAttr. It also cuts the message, which is an attribute there. It writes a
// duration with its units, because slog writes nanoseconds in JSON.
func Limit(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch a.Value.Kind() {
	case slog.KindDuration:
		return slog.String(a.Key, a.Value.Duration().String())
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		switch value := a.Value.Any().(type) {
		case slog.Level:
			return a
		case error:
			text = value.Error()
		default:
			encoded, err := json.Marshal(value)
			if err != nil {
				return a
			}
			text = string(encoded)
		}
	default:
		return a
	}
	if n := cutIndex(text); n < len(text) {
		return slog.String(a.Key, fmt.Sprintf("%s… (%d more bytes)", text[:n], len(text)-n))
	}
	return a
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
