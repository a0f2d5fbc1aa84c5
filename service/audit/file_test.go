package audit

import (
	"os"
	"path/filepath"
	"testing"
)

// A line that another process is still writing is none that a killed one has left.
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
			t.Errorf("with %q to come, it ends within a line: %t", rest, got)
		}
	}
}
