package secretinput_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretinput"
)

func TestRead(t *testing.T) {
	longest := strings.Repeat("x", 64<<10)
	for in, want := range map[string]string{
		"": "", "s": "s", "s\n": "s", "s\r\n": "s", "s\n\n": "s\n", "s\r": "s\r", " s ": " s ", "a\nb\n": "a\nb",
		longest: longest,
	} {
		if got, err := secretinput.Read(strings.NewReader(in), "FILE"); err != nil || string(got) != want {
			t.Errorf("%.20q: %.20q %v", in, got, err)
		}
	}
	const want = "FILE holds more than 64 KiB: that is no secret"
	got, err := secretinput.Read(strings.NewReader(longest+"y"), "FILE")
	if err == nil || err.Error() != want || got != nil {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	away := errors.New("away")
	if _, err := secretinput.Read(iotest.ErrReader(away), "FILE"); !errors.Is(err, away) {
		t.Errorf("a reader that fails: %v", err)
	}
}
