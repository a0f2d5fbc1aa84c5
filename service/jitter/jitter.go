// Package jitter varies intervals.
package jitter

import (
	"math/rand/v2"
	"time"
)

// Vary returns d ± 20 %, so that replicas that started together don't act at the same time.
func Vary(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter needs no secrecy
}
