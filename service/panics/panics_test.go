package panics_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/service/panics"
)

// TestRestart checks that a task goes on after a panic, and that the log names the place and never
// the value.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		began, calls := time.Now(), 0
		panics.Restart(t.Context(), log, "counting", func() {
			if calls++; calls < 9 {
				panic("a secret")
			}
		})
		// 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 seconds
		if took := time.Since(began); calls != 9 || took != 183*time.Second {
			t.Errorf("%d calls in %v", calls, took)
		}
		if log := text.String(); strings.Count(log, "task=counting") != 8 || !strings.Contains(log, "TestRestart") ||
			strings.Contains(log, "a secret") {
			t.Errorf("the log is %s", log)
		}
	})
}

func TestRestartEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	panics.Restart(ctx, slog.New(slog.DiscardHandler), "failing", func() { panic("again") })
}

func TestLog(t *testing.T) {
	var text bytes.Buffer
	func() {
		defer panics.Log(slog.New(slog.NewTextHandler(&text, nil)), "dividing")
		panic("a secret")
	}()
	if log := text.String(); !strings.Contains(log, "task=dividing") || !strings.Contains(log, "TestLog") ||
		strings.Contains(log, "a secret") {
		t.Errorf("the log is %s", log)
	}
}
