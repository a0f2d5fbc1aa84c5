package page

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"testing"
)

// brand returns the frame of brand n.
func brand(n int) Frame {
	origin := fmt.Sprintf("https://brand-%d.zendesk.com", n)
	return Frame{
		Brand:             fmt.Sprintf("Brand %d", n),
		Action:            origin + "/access/jwt",
		FormActionSources: []string{origin, fmt.Sprintf("https://help.brand-%d.com", n)},
		Scope:             fmt.Sprintf("customers-%d/%d", n, 360000+n),
	}
}

// heapInUse returns the number of reachable bytes on the heap.
func heapInUse() int {
	runtime.GC()
	runtime.GC() // the first collection only queues finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// heapOfPages returns the number of bytes that n pages occupy. The parameter settings returns the
// settings of page n.
func heapOfPages(t *testing.T, n int, settings func(n int) Settings) int {
	t.Helper()
	mustNew(t, Settings{}, brand(0)) // allocates what all pages share
	pages := make([]*Page, n)
	before := heapInUse()
	for i := range pages {
		pages[i] = mustNew(t, settings(i), brand(i))
	}
	held := heapInUse() - before
	runtime.KeepAlive(pages)
	return held
}

// logo returns image n, which has 32 KiB in base64.
func logo(n int) string {
	image := make([]byte, 24<<10)
	copy(image, fmt.Sprintf("\x89PNG\r\n\x1a\nimage %d", n))
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(image)
}

// TestPagesAreSmall limits the memory of each further brand and language. A rendered page alone has
// 5 KiB. The limits are at least three times the expected size, because other code also uses the
// heap.
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

// BenchmarkNew also reports how much memory a prepared page occupies.
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
