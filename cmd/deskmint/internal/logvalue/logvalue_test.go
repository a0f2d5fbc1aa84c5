package logvalue_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/logvalue"
)

// TestValuesThatPanic checks that an error that is a nil pointer ends no log call, as without
// Limit.
func TestValuesThatPanic(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: logvalue.Limit}))
	log.Info("said", "error", error((*fs.PathError)(nil)), "after", "seen")
	if got := out.String(); !strings.Contains(got, `"msg":"said"`) || !strings.Contains(got, `"after":"seen"`) {
		t.Errorf("the line is %s", got)
	}
}
