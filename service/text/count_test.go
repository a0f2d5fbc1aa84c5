package text_test

import (
	"testing"

	"github.com/deskmint/deskmint/service/text"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 faults", 1: "1 fault", 2: "2 faults", 1001: "1001 faults"} {
		if got := text.Count(n, "fault"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
