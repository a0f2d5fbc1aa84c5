package jitter

import (
	"testing"
	"time"
)

// TestVary checks that an interval stays within ± 20 %, and that it varies.
func TestVary(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 1000 {
		d := Vary(time.Minute)
		if d < 48*time.Second || d > 72*time.Second {
			t.Fatalf("a minute became %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 2 {
		t.Error("the interval doesn't vary")
	}
	if d := Vary(0); d != 0 {
		t.Errorf("0 became %v", d)
	}
}
