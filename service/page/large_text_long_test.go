//go:build long

package page_test

import (
	"testing"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

// brokenWords evaluates to the visible words that are on more than one line, apart from breaks at
// hyphens.
const brokenWords = `(() => {
	const broken = [];
	const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const text = texts.currentNode;
		if (!text.parentElement.checkVisibility() || text.parentElement.closest('script')) continue;
		for (const word of text.data.matchAll(/[^\s-]+/g)) {
			const range = document.createRange();
			range.setStart(text, word.index);
			range.setEnd(text, word.index + word[0].length);
			if (new Set(Array.from(range.getClientRects(), (r) => Math.round(r.top))).size > 1) broken.push(word[0]);
		}
	}
	return broken.join(' ');
})()`

// TestLargeText checks that no word is broken, and nothing is cut off, on a phone whose user has
// set text to twice the size. Japanese has no spaces, so its words aren't checked.
func TestLargeText(t *testing.T) {
	g := newGallery(t, browsertest.New(t), plainSettings, "Acme")
	g.size(375, 800)
	g.inject(`addEventListener('DOMContentLoaded', () => {
		document.documentElement.style.setProperty('font-size', '200%');
		document.body.style.setProperty('hyphens', 'none', 'important');
	});`)
	g.every(func(language, state, scheme string) {
		if scheme == "dark" || language == "ja" {
			return
		}
		if got := evaluate[string](g.fixture, brokenWords); got != "" {
			t.Errorf("%s, %s: broken words: %s", language, state, got)
		}
		if !evaluate[bool](g.fixture, `document.documentElement.scrollWidth <= innerWidth`) {
			t.Errorf("%s, %s: the page is wider than the screen", language, state)
		}
	})
}
