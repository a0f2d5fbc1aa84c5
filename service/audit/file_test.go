package audit

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEndsWithin checks that a line that another process is still writing doesn't count as a line
// without an end.
func TestEndsWithin(t *testing.T) {
	for want, rest := range map[bool]string{true: "", false: "1}\n"} {
		f, err := os.Create(filepath.Join(t.TempDir(), "audit.log"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		write := func(text string) {
			if _, err := f.WriteString(text); err != nil {
				t.Error(err)
			}
		}
		write(`{"time":`)
		if got := endsWithin(f, func() { write(rest) }); got != want {
			t.Errorf("if %q follows, endsWithin is %t", rest, got)
		}
	}
}
