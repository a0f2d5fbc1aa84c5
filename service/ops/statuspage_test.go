package ops

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStatusPageOfManyConfigurations checks that the size of the page doesn't grow with the number
// of configurations or with the length of their faults, and that those that can't sign come first.
func TestStatusPageOfManyConfigurations(t *testing.T) {
	m := newFaultyMonitor(t, 150, 10_000)
	for query, want := range map[string][]string{
		"":                       {"c-0140 <span", "1 to 50 of 150", "Page 1 of 3", `href="/?page=2"`},
		"?page=3":                {"101 to 150 of 150", "Page 3 of 3", `href="/?page=2"`},
		"?state=unusable":        {"1 to 10 of 10", "c-0149 <span"},
		"?state=disabled&page=2": {"51 to 100 of 140", `href="/?page=3&amp;state=disabled"`, `href="/?state=disabled"`},
		"?find=c-0077":           {"1 to 1 of 1"},
	} {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/"+query, nil))
		page := w.Body.String()
		if w.Code != 200 || len(page) > 256<<10 {
			t.Errorf("%s: HTTP %d and %d bytes", query, w.Code, len(page))
		}
		for _, part := range want {
			if !strings.Contains(page, part) {
				t.Errorf("%s: the page doesn't have %q", query, part)
			}
		}
	}
}
