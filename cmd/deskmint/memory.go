package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// garbage is what may gather, in bytes, before it is collected.
const garbage = 64 << 20

// paceCollector lets as much garbage gather as garbage says. What lives is a few
// megabytes, and Go collects by default when as much again has gathered: dozens of times
// a second under load, each time with the same few megabytes to scan, for a fifth
// of the processor's time. With many configurations more lives: three times as much gathers,
// or with ten thousand of them each request would cost a third more. Whoever sets GOGC or
// GOMEMLIMIT in the environment is obeyed.
//
// It measures the heap as it is now, so call it once the configuration is loaded.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.FreeOSMemory() // what reading the configuration took is more than what it left
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(collectAt(live[0].Value.Uint64()))
}

// collectAt is the percentage of what lives that may gather as garbage.
func collectAt(live uint64) int {
	return int(max(300, min(garbage/max(live/100, 1), 10000)))
}
