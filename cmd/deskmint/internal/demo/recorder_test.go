package demo

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestRecorder checks that a recorder writes every line, keeps the latest lines, and doesn't keep a
// line that the writer has refused.
func TestRecorder(t *testing.T) {
	t.Parallel()
	var to strings.Builder
	r := &recorder{to: &to}
	before := r.position()
	for i := range maxLines + 5 {
		if i == maxLines {
			before = r.position()
		}
		fmt.Fprintf(r, "line %d\n", i)
	}
	if all := r.since(0); len(all) != maxLines || all[0] != "line 5" || strings.Count(to.String(), "\n") != maxLines+5 {
		t.Errorf("%d lines are kept, from %q", len(all), all[0])
	}
	if got := fmt.Sprint(r.since(before)); got != "[line 200 line 201 line 202 line 203 line 204]" {
		t.Errorf("since: %s", got)
	}
	if got := fmt.Sprint(r.latest(2)); got != "[line 204 line 203]" {
		t.Errorf("latest: %s", got)
	}
	broken := &recorder{to: brokenWriter{}}
	if _, err := broken.Write([]byte("x\n")); err == nil || len(broken.since(0)) != 0 {
		t.Errorf("on a broken writer: %v, %q", err, broken.since(0))
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }
