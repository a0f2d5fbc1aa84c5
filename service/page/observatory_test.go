package page

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The scoring that Mozilla publishes for its HTTP Observatory (developer.mozilla.org/observatory, tests and scoring), as
// far as it is about headers of one response over https that sets no cookie and loads no script.

// grade returns the score and the class.
func grade(headers map[string]string) (score int, class string) {
	modifiers := []int{
		gradePolicy(headers["Content-Security-Policy"]),
		gradeFrames(headers),
		gradeTransport(headers["Strict-Transport-Security"]),
		gradeValue(headers["X-Content-Type-Options"], map[string]int{"nosniff": 0, "": -5}, -5),
		gradeValue(headers["Referrer-Policy"], map[string]int{
			"no-referrer": 5, "same-origin": 5, "strict-origin": 5, "strict-origin-when-cross-origin": 5, "": 0,
		}, -5),
		gradeValue(headers["Cross-Origin-Resource-Policy"], map[string]int{"same-origin": 10, "same-site": 10, "cross-origin": 0, "": 0}, -5),
		gradeValue(headers["Access-Control-Allow-Origin"], map[string]int{"": 0}, -50),
	}
	all, faults := 100, 100
	for _, m := range modifiers {
		all += m
		faults += min(m, 0)
	}
	// Extra credit is only for those who wouldn't need it.
	if score = max(faults, 0); faults >= 90 {
		score = all
	}
	for _, least := range []struct {
		score int
		class string
	}{{100, "A+"}, {90, "A"}, {85, "A-"}, {80, "B+"}, {70, "B"}, {65, "B-"}, {60, "C+"}, {50, "C"}, {45, "C-"}, {40, "D+"}, {30, "D"}, {25, "D-"}} {
		if score >= least.score {
			return score, least.class
		}
	}
	return score, "F"
}

func gradeValue(value string, known map[string]int, other int) int {
	if modifier, ok := known[strings.ToLower(strings.TrimSpace(value))]; ok {
		return modifier
	}
	return other
}

// directives returns the sources of each directive, the first of each name.
func directives(policy string) map[string][]string {
	found := map[string][]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		if words := strings.Fields(strings.ToLower(directive)); len(words) > 0 && found[words[0]] == nil {
			found[words[0]] = append([]string{}, words[1:]...)
		}
	}
	return found
}

func gradePolicy(policy string) int {
	if policy == "" {
		return -25
	}
	found := directives(policy)
	sources := func(name string) []string {
		for _, name := range []string{name, "default-src"} {
			if s, ok := found[name]; ok {
				return s
			}
		}
		return []string{"*"}
	}
	broad := []string{"*", "http:", "https:", "ftp:", "http://*", "https://*", "http://*.*", "https://*.*"}
	inline := append([]string{"'unsafe-inline'", "data:"}, broad...)
	holds := func(sources, unwanted []string) bool {
		return slices.ContainsFunc(sources, func(s string) bool {
			hashed := s == "'unsafe-inline'" && slices.ContainsFunc(sources, func(s string) bool { return strings.HasPrefix(s, "'sha") || strings.HasPrefix(s, "'nonce-") })
			return slices.Contains(unwanted, s) && !hashed
		})
	}
	insecure := func(sources []string) bool {
		return slices.ContainsFunc(sources, func(s string) bool { return strings.HasPrefix(s, "http:") || strings.HasPrefix(s, "ftp:") })
	}
	var active []string
	for name, s := range found {
		if name != "img-src" && name != "media-src" {
			active = append(active, s...)
		}
	}
	switch {
	case holds(sources("script-src"), inline), holds(sources("object-src"), broad), insecure(active):
		return -20
	case slices.Contains(append(sources("script-src"), sources("style-src")...), "'unsafe-eval'"),
		insecure(append(sources("img-src"), sources("media-src")...)):
		return -10
	case holds(sources("style-src"), inline):
		return 0
	case !slices.Equal(found["default-src"], []string{"'none'"}):
		return 5
	}
	return 10
}

func gradeFrames(headers map[string]string) int {
	if directives(headers["Content-Security-Policy"])["frame-ancestors"] != nil {
		return 5
	}
	return gradeValue(headers["X-Frame-Options"], map[string]int{"deny": 0, "sameorigin": 0}, -20)
}

func gradeTransport(value string) int {
	const sixMonths = 15768000 // seconds
	for directive := range strings.SplitSeq(value, ";") {
		if age, ok := strings.CutPrefix(strings.TrimSpace(strings.ToLower(directive)), "max-age="); ok {
			switch seconds, err := strconv.Atoi(age); {
			case err != nil:
				return -20
			case seconds < sixMonths:
				return -10
			}
			return 0
		}
	}
	return -20
}

// TestObservatory: the page's headers are of the best class and earn all that headers can, on a host that commits
// itself to https: that header is the host's, see [Page.Headers]. Each of them that the rules look at counts.
func TestObservatory(t *testing.T) {
	headers := map[string]string{"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
	for _, h := range mustNew(t, Settings{}, acme()).Headers() {
		headers[h.Name] = h.Value
	}
	best, class := grade(headers)
	if best != 130 || class != "A+" {
		t.Errorf("%d, %s", best, class)
	}
	for name, loss := range map[string]int{
		"Content-Security-Policy":      55, // and frame-ancestors with it: below 90, nothing extra counts
		"Cross-Origin-Resource-Policy": 10, "Referrer-Policy": 5, "X-Content-Type-Options": 5,
		"Strict-Transport-Security": 50,
		"X-Frame-Options":           0, // frame-ancestors says it
	} {
		value := headers[name]
		delete(headers, name)
		if got, _ := grade(headers); best-got != loss {
			t.Errorf("without %s the score is %d, want %d", name, got, best-loss)
		}
		headers[name] = value
	}
}

// TestGrade holds the rules themselves.
func TestGrade(t *testing.T) {
	for name, test := range map[string]struct {
		headers map[string]string
		score   int
		class   string
	}{
		"nothing":            {nil, 30, "D"},
		"everyone may frame": {map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=15768000"}, 80, "B+"},
		"inline scripts":     {map[string]string{"Content-Security-Policy": "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=15768000"}, 80, "B+"},
		"inline styles":      {map[string]string{"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=15768000"}, 105, "A+"},
		"no default-src":     {map[string]string{"Content-Security-Policy": "img-src 'self'", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=1"}, 50, "C"},
		"http form":          {map[string]string{"Content-Security-Policy": "default-src 'none'; form-action http://a.test; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=15768000"}, 80, "B+"},
		"open to all":        {map[string]string{"Access-Control-Allow-Origin": "*"}, 0, "F"},
	} {
		if score, class := grade(test.headers); score != test.score || class != test.class {
			t.Errorf("%s: %d, %s, want %d, %s", name, score, class, test.score, test.class)
		}
	}
}
