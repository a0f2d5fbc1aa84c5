package page

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"testing"
)

// brand returns the frame of the n-th of many brands.
func brand(n int) Frame {
	origin := fmt.Sprintf("https://brand-%d.zendesk.com", n)
	return Frame{
		Brand:             fmt.Sprintf("Brand %d", n),
		Action:            origin + "/access/jwt",
		FormActionSources: []string{origin, fmt.Sprintf("https://help.brand-%d.com", n)},
		Scope:             fmt.Sprintf("customers-%d/%d", n, 360000+n),
	}
}

// heap returns how many bytes are in use and reachable.
func heapInUse() int {
	runtime.GC()
	runtime.GC() // what the first one only found to be finalised
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// heldBy returns how many bytes n pages hold, one of each of the settings' looks.
func heapOfPages(t *testing.T, n int, look func(n int) Settings) int {
	t.Helper()
	mustNew(t, Settings{}, brand(0)) // what is made once for all pages
	pages := make([]*Page, n)
	before := heapInUse()
	for i := range pages {
		pages[i] = mustNew(t, look(i), brand(i))
	}
	held := heapInUse() - before
	runtime.KeepAlive(pages)
	return held
}

// logo returns the n-th of many images, 32 KiB each in base64.
func logo(n int) string {
	image := make([]byte, 24<<10)
	copy(image, fmt.Sprintf("\x89PNG\r\n\x1a\nimage %d", n))
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(image)
}

// TestPagesAreSmall bounds what every further brand and language costs. A rendered page alone has 5
// KiB; bounds are three times and more what is held, because the heap isn't this test's alone.
func TestPagesAreSmall(t *testing.T) {
	const pages = 500
	if each := heapOfPages(t, pages, func(int) Settings { return Settings{} }) / pages; each > 2<<10 {
		t.Errorf("a page holds %d bytes, want 2 KiB at most", each)
	}
	if each := heapOfPages(t, pages, func(n int) Settings { return Settings{Logo: logo(n)} }) / pages; each > 64<<10 {
		t.Errorf("a page with a logo of 32 KiB holds %d bytes, want it held once", each)
	}
	if each := heapOfPages(t, pages, func(int) Settings { return Settings{Logo: logo(0)} }) / pages; each > 2<<10 {
		t.Errorf("a page with the same logo as others holds %d bytes, want 2 KiB at most", each)
	}
}

// BenchmarkNew tells, beside the time, what a prepared page goes on holding.
func BenchmarkNew(b *testing.B) {
	mustNew(b, Settings{}, brand(0))
	var pages []*Page
	before := heapInUse()
	b.ReportAllocs()
	for b.Loop() {
		pages = append(pages, mustNew(b, Settings{}, brand(len(pages))))
	}
	b.ReportMetric(float64(heapInUse()-before)/float64(len(pages)), "held-B/page")
	runtime.KeepAlive(pages)
}
