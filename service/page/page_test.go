package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHashes compares the constants with the bytes between the tags, as a browser hashes them.
func TestHashes(t *testing.T) {
	html := mustNew(t, Settings{}, acme()).Render("token", "/")
	for _, test := range []struct{ name, open, closing, want string }{
		{"scriptHash", "<script>", "</script>", ScriptHash()},
		{"styleHash", "<style>", "</style>", StyleHash()},
	} {
		if n := bytes.Count(html, []byte(test.open)); n != 1 {
			t.Errorf("%s occurs %d times, want once", test.open, n)
			continue
		}
		_, rest, _ := bytes.Cut(html, []byte(test.open))
		content, _, _ := bytes.Cut(rest, []byte(test.closing))
		sum := sha256.Sum256(content)
		got := "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
		if got != test.want {
			t.Errorf("the rendered bytes don't match the hash in the policy. "+
				"If the change is intended, set in hash.go:\n\t%s = %q", test.name, got)
		}
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	p := mustNew(t, Settings{}, acme())
	inMeta := "default-src 'none'; script-src '" + scriptHash + "'; style-src '" + styleHash + "'; img-src data:; " +
		"base-uri 'none'; form-action https://acme.zendesk.com https://help.acme.com"
	if got, want := p.ContentSecurityPolicy(), inMeta+"; frame-ancestors 'none'"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, page := range [][]byte{p.Render("a.b.c", ""), p.Render("a.b.c", "/"), p.RenderProblem(ProblemFailed)} {
		found := 0
		for _, meta := range findAll(t, page, "meta") {
			if attribute(meta, "http-equiv") == "Content-Security-Policy" {
				found++
				if got := attribute(meta, "content"); got != inMeta {
					t.Errorf("page %d has\n%s\nwant\n%s", i, got, inMeta)
				}
			}
		}
		// A policy in a <meta> applies only to what follows it.
		if policy, first := bytes.Index(page, []byte("http-equiv")), bytes.Index(page, []byte("<style")); found != 1 ||
			policy > first {
			t.Errorf("page %d has %d policies, at %d, and a style at %d", i, found, policy, first)
		}
	}
}

// TestMeta checks that the page contains the headers that also work in a <meta>, for relays that
// drop the headers.
func TestMeta(t *testing.T) {
	frame := acme()
	frame.ReferrerPolicy = "strict-origin"
	p := mustNew(t, Settings{}, frame)
	for i, page := range [][]byte{p.Render("a.b.c", ""), p.Render("a.b.c", "/"), p.RenderProblem(ProblemFailed)} {
		metas := map[string]string{}
		for _, meta := range findAll(t, page, "meta") {
			metas[attribute(meta, "name")] = attribute(meta, "content")
		}
		if metas["referrer"] != "strict-origin" || metas["robots"] != "noindex" {
			t.Errorf("page %d says %v", i, metas)
		}
	}
}

// TestHeaders compares every header of the page byte for byte. Mozilla's HTTP Observatory gives
// them its best grade, A+, and 130 points on a host that also sends Strict-Transport-Security. Of
// these, 100 are the base score and 30 are for the headers below
// (https://developer.mozilla.org/en-US/observatory/docs/tests_and_scoring).
func TestHeaders(t *testing.T) {
	frame := acme()
	for _, test := range []struct{ policy, want string }{
		{"", "no-referrer"},
		{"no-referrer", "no-referrer"},
		{"strict-origin", "strict-origin"},
	} {
		frame.ReferrerPolicy = test.policy
		p := mustNew(t, Settings{}, frame)
		want := []Header{
			// HTML, "Determining the character encoding": the header takes precedence over
			// detection.
			{"Content-Type", "text/html; charset=utf-8"},
			// RFC 9111, section 5.2.2.5: no cache stores the token.
			{"Cache-Control", "no-store"},
			// CSP Level 3. Observatory: 10 points for default-src 'none' without unsafe sources, 5
			// for frame-ancestors. TestContentSecurityPolicy checks the value.
			{"Content-Security-Policy", p.ContentSecurityPolicy()},
			// HTML, "Cross-origin opener policies".
			{"Cross-Origin-Opener-Policy", "same-origin"},
			// Fetch, "Cross-Origin-Resource-Policy header". Observatory: 10 points for same-origin.
			{"Cross-Origin-Resource-Policy", "same-origin"},
			// Permissions Policy, section 5.1.
			{"Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
			// Referrer Policy, sections 3.1 and 3.5. Observatory: 5 points for both.
			{"Referrer-Policy", test.want},
			// Fetch, "X-Content-Type-Options header". Observatory: without it 5 points fewer.
			{"X-Content-Type-Options", "nosniff"},
			// RFC 7034. Observatory scores it only if frame-ancestors is missing.
			{"X-Frame-Options", "DENY"},
			// Google Search Central, "Robots meta tag specifications".
			{"X-Robots-Tag", "noindex"},
		}
		if got := p.Headers(); !slices.Equal(got, want) {
			t.Errorf("with referrer policy %q\ngot  %v\nwant %v", test.policy, got, want)
		}
		p.Headers()[0].Value = "text/plain"
		if got := p.Headers()[0]; got != want[0] {
			t.Errorf("a caller's change reached the page: %v", got)
		}
	}
}

func TestGolden(t *testing.T) {
	settings := Settings{
		Language: "de-AT",
		Title:    "Sie werden angemeldet",
		Message:  "Einen Moment bitte …",
		Button:   `Weiter zu "Acme" & Co`,
		Color:    "#FFD400",
		Logo:     "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=",
	}
	frame := acme()
	frame.LoopLimit, frame.LoopWindow = 6, 90*time.Second
	for _, test := range []struct {
		file string
		page []byte
	}{
		{"plain.html", mustNew(t, Settings{}, acme()).Render("a.b.c", "")},
		{"branded.html", mustNew(t, settings, frame).Render("a.b.c", "https://help.acme.com/hc/de?a=1&b=2#x")},
		{"refused.html", mustNew(t, settings, frame).RenderProblem(ProblemRefused)},
	} {
		golden(t, test.file, test.page)
	}
}

func TestRenderProblem(t *testing.T) {
	p := mustNew(t, Settings{}, acme())
	seen := map[string]Problem{}
	for problem := range problems {
		html := string(p.RenderProblem(problem))
		if strings.Contains(html, "<form") || strings.Contains(html, "<script") {
			t.Errorf("problem %d has a form or a script", problem)
		}
		if !strings.Contains(html, "Acme") {
			t.Errorf("problem %d doesn't name the brand", problem)
		}
		if other, ok := seen[html]; ok && !(problem == ProblemLoop || other == ProblemLoop) {
			t.Errorf("problems %d and %d say the same", problem, other)
		}
		seen[html] = problem
	}
	for _, unknown := range []Problem{-1, problems, 1000} {
		if !bytes.Equal(p.RenderProblem(unknown), p.RenderProblem(ProblemFailed)) {
			t.Errorf("unknown problem %d isn't treated as ProblemFailed", unknown)
		}
	}
	clear(p.RenderProblem(ProblemFailed))
	if !bytes.Contains(p.RenderProblem(ProblemFailed), []byte("Acme")) {
		t.Error("a caller's change reached the page")
	}
}

// TestNoPlaceholder checks that the page contains no placeholders, no template actions, and no sign
// that html/template rejected a value.
func TestNoPlaceholder(t *testing.T) {
	p := mustNew(t, Settings{Logo: "data:image/png;base64,iVBORw0KGgo+/w=="}, acme())
	pages := [][]byte{p.Render("", ""), p.Render("", "/"), p.Render("{{.Token}}", "{brand}")}
	for problem := range problems {
		pages = append(pages, p.RenderProblem(problem))
	}
	for i, html := range pages {
		for _, ours := range []string{style, script} { // their blocks end with braces
			html = bytes.ReplaceAll(html, []byte(ours), nil)
		}
		for _, left := range []string{"{{", "}}", "{brand}", "ZgotmplZ", "<no value>"} {
			want := 0
			if i == 2 && left != "ZgotmplZ" && left != "<no value>" {
				want = 1 // the values themselves
			}
			if n := bytes.Count(html, []byte(left)); n != want {
				t.Errorf("page %d has %q %d times, want %d", i, left, n, want)
			}
		}
	}
	// Two pages with different segments are identical when they are filled with the same values.
	again := mustNew(t, Settings{Logo: "data:image/png;base64,iVBORw0KGgo+/w=="}, acme())
	if !bytes.Equal(p.Render("a", "b"), again.Render("a", "b")) {
		t.Error("a placeholder is left in the page")
	}
}

func TestRenderFromManyGoroutines(t *testing.T) {
	p := mustNew(t, Settings{}, acme())
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			token, returnTo := strings.Repeat("t", i), strings.Repeat("<", i)
			want := p.Render(token, returnTo)
			for range 200 {
				if got := p.Render(token, returnTo); !bytes.Equal(got, want) {
					t.Errorf("page of goroutine %d changed", i)
					return
				}
				clear(p.Render("other", "")) // the caller owns the returned page
			}
		})
	}
	wait.Wait()
}

func BenchmarkRender(b *testing.B) {
	p := mustNew(b, Settings{}, acme())
	token := strings.Repeat("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9", 16)
	b.ReportAllocs()
	for b.Loop() {
		p.Render(token, "https://acme.zendesk.com/hc/en-us?a=1&b=2")
	}
}

// TestRenderAllocatesOnce checks that rendering a page takes one allocation. Values that need
// escaping are rare and take a few more.
func TestRenderAllocatesOnce(t *testing.T) {
	p := mustNew(t, Settings{}, acme())
	for returnTo, want := range map[string]float64{"/hc": 1, "/hc?a&b\r\x00\xff": 8} {
		if n := testing.AllocsPerRun(100, func() { p.Render("a.b.c", returnTo) }); n > want {
			t.Errorf("return_to %q: %v allocations, want at most %v", returnTo, n, want)
		}
	}
}
