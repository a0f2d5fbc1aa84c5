package connections

import (
	"math"
	"testing"
)

func TestMaxConnections(t *testing.T) {
	for descriptors, want := range map[uint64]int{
		0: math.MaxInt, math.MaxUint64: math.MaxInt,
		1: 1, 16: 4, 100: 25, 256: 96, 1024: 384, 65536: 32256, 1 << 20: 523776,
	} {
		if got := maxConnections(descriptors); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", descriptors, got, want)
		}
	}
}
