package collector

import "testing"

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 10000}, {4 << 20, 1600}, {16 << 20, 400}, {64 << 20, 300}, {1 << 40, 300},
	} {
		// The tolerance is a hundredth of the live heap.
		if got := gcPercent(c.live); got < c.want || got > c.want+1 {
			t.Errorf("%d bytes: %d %%, want %d %%", c.live, got, c.want)
		}
	}
}
