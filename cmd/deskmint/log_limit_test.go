package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/logvalue"
)

// TestLogLinesAreLimited checks that a long value of any kind is cut in both formats, and that the
// line stays valid. A short value is unchanged, except that a duration gets its units.
func TestLogLinesAreLimited(t *testing.T) {
	for name, value := range map[string]any{
		"string":     strings.Repeat("a", 1<<20),
		"quotes":     strings.Repeat(`"`, 1<<20),
		"controls":   strings.Repeat("\x01", 1<<20),
		"invalid":    strings.Repeat("\xff", 1<<20),
		"characters": strings.Repeat("é\u200b😀", 1<<18),
		"error":      errors.New(strings.Repeat("a", 1<<20)),
		"names":      slices.Repeat([]string{"acme-customers"}, 1<<16),
	} {
		for _, format := range []string{"json", "text"} {
			t.Run(name+" "+format, func(t *testing.T) {
				var out bytes.Buffer
				log := logFlags{LogFormat: format}.logger(&out)
				log.Warn(strings.Repeat("m", 1<<20), "value", value, "after", "seen")
				if n := out.Len(); n > 3*logvalue.Max || n < logvalue.Max {
					t.Errorf("the line has %d bytes", n)
				}
				if !strings.Contains(out.String(), "bytes more)") || !strings.Contains(out.String(), "seen") {
					t.Errorf("the line is %s", &out)
				}
				if format == "json" && !json.Valid(out.Bytes()) {
					t.Errorf("the line isn't JSON: %s", &out)
				}
			})
		}
	}
	var out bytes.Buffer
	logFlags{LogFormat: "json", LogLevel: slog.LevelInfo}.logger(&out).Info("said",
		"names", []string{"a", "b"}, "n", 3, "wait", 90*time.Second)
	if !strings.HasSuffix(out.String(), `"level":"INFO","msg":"said","names":["a","b"],"n":3,"wait":"1m30s"}`+"\n") {
		t.Errorf("the line is %s", &out)
	}
}
