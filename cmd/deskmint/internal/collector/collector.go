// Package collector sets how often the garbage collector runs.
package collector

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// garbageLimit is how much garbage may accumulate before a collection, in bytes.
const garbageLimit = 64 << 20

// Tune sets how much garbage may accumulate before a collection. The live heap is a few
// megabytes. By default Go collects when the garbage has the size of the live heap. Under load that
// happens dozens of times a second, and each collection scans the same few megabytes, for a fifth
// of the processor's time. With many configurations the live heap is larger, and the garbage may
// have at least three times its size. Otherwise each request would cost a third more with ten
// thousand configurations. GOGC and GOMEMLIMIT in the environment take precedence.
//
// Tune measures the present heap, so call it when the configuration is loaded.
func Tune() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.FreeOSMemory() // loading the configuration took more memory than the result needs
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(gcPercent(live[0].Value.Uint64()))
}

// gcPercent returns how much garbage may accumulate, as a percentage of the live heap.
func gcPercent(live uint64) int {
	return int(max(300, min(garbageLimit/max(live/100, 1), 10000)))
}
