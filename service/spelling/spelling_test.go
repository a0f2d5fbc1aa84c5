package spelling_test

import (
	"testing"

	"github.com/deskmint/deskmint/service/spelling"
)

func TestNearest(t *testing.T) {
	names := []string{"secret", "secrets", "brands"}
	for name, want := range map[string]string{
		"sekret": "secret", "brand": "brands", "secretss": "secrets", "callers": "", "": "",
	} {
		if got := spelling.Nearest(name, names); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
