package auditfiles_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/auditfiles"
)

func write(t *testing.T, dir, name, text string, age time.Duration) string {
	t.Helper()
	path := filepath.Join(dir, name)
	err := os.WriteFile(path, []byte(text), 0o600)
	at := time.Now().Add(-age)
	if err = errors.Join(err, os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestList checks that the list has the file and its rotated copies, the newest first, and no other
// file.
func TestList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := write(t, dir, "audit.log.2.gz", "", 3*time.Hour)
	now := write(t, dir, "audit.log", "", 0)
	day := write(t, dir, "audit.log-20260131", "", 2*time.Hour)
	write(t, dir, "audit.logbook", "", time.Hour)
	if err := os.Mkdir(filepath.Join(dir, "audit.log.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := auditfiles.List(now); err != nil || !slices.Equal(got, []string{now, day, old}) {
		t.Errorf("%v %v", got, err)
	}
	for _, stream := range []string{"", "stdout", "stderr"} {
		if got, err := auditfiles.List(stream); err != nil || len(got) != 0 {
			t.Errorf("of %q: %v %v", stream, got, err)
		}
	}
	if _, err := auditfiles.List(filepath.Join(dir, "missing", "audit.log")); err == nil {
		t.Error("of a missing folder: no error")
	}
}

// TestFind checks that Find searches the other files if one can't be read, and that the end of the
// context ends the search.
func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const line = `{"schema":1,"time":"2026-03-14T15:09:26Z","decision":"allow","jti":"one"}` + "\n"
	file := write(t, dir, "audit.log", line, 0)
	q := auditfiles.Query{JTI: "one"}
	var out, errs strings.Builder
	err := auditfiles.Find(t.Context(), q, []string{filepath.Join(dir, "missing"), file, "-"}, strings.NewReader(line),
		&out, &errs)
	if err == nil || out.String() != line+line || !strings.Contains(errs.String(), "missing") {
		t.Errorf("%v, found %q, messages %q", err, out.String(), errs.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out.Reset()
	err = auditfiles.Find(ctx, q, []string{file}, nil, &out, &errs)
	if !errors.Is(err, context.Canceled) || out.String() != "" {
		t.Errorf("after the end of the context: %v, found %q", err, out.String())
	}
}
