package service_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/ops"
)

// statusPage returns the page for people without its style sheet, and the text in it without tags.
func (s *server) statusPage(t *testing.T, query string) (page, text string) {
	t.Helper()
	page = s.ops(t, "/"+query)
	_, page, _ = strings.Cut(page, "</style>")
	_, body, _ := strings.Cut(page, "<body>")
	text = regexp.MustCompile(`</?(?:time|span|a|code)\b[^>]*>`).ReplaceAllString(body, "")
	text = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(text, " ")
	return page, strings.Join(strings.Fields(text), " ")
}

// TestStatusPage checks what the page for people shows of each state.
func TestStatusPage(t *testing.T) {
	s := startWithAllStates(t)
	eachTransport(t, func(t *testing.T, tr transport) {
		mint(t, s, tr, call{body: user("")})
		tr.send(t.Context(), t, s, call{method: "MintToken", body: user("") + `,"brandId":"` + inputMarker + `"`})
		tr.send(t.Context(), t, s, call{
			method: "ReportSignInFailure",
			body:   `"kind":"error","message":"User is invalid: External has already been taken"`,
		})
	})
	s.Reloaded(ops.ReloadFailed, errors.New(`conf.d/a.yaml:7: "ana@customer.example" is protected twice`))
	page, text := s.statusPage(t, "")
	for _, want := range []string{
		"Ready. This replica accepts requests. As of 2026-03-14 15:09:37 UTC.",
		"The last reload of the configuration failed: conf.d/a.yaml:7: &#34;(an address)&#34; is protected twice",
		"acme-both is unavailable",
		"Sign-ins fail until the store answers.",
		"acme-staff is stale",
		"The key that is held signs until",
		"acme-broken is unusable",
		"version 1 is too short (16 to 31 bytes; at least 32 are needed)",
		"deskmint secret status acme-broken shows what it has",
		"acme-off is disabled An operator has switched the secret off. deskmint secret enable acme-off switches",
		"all 7 unusable 2 unavailable 1 stale 1 disabled 1 usable 2",
		"1 to 7 of 7. The versions are those of the secret.",
		"acme-customers Acme customers usable 1 2 2", // active, staged and previous
		"Source memory",
		"Certificates and identities that end",
		"Last reload failed, just now 2026-03-14 15:09:37 UTC",
		"allowed 4 BRAND_NOT_ALLOWED 2", "EXTERNAL_ID_CONFLICT 2",
		"Anybody can forge a report. LOGOUT and NO_FAULT are no failures. Class Number",
		"Go go1.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page doesn't have %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	if want := "<code>deskmint secret enable acme-off</code>"; !strings.Contains(page, want) {
		t.Errorf("the page doesn't have %s", want)
	}
	for _, never := range []string{
		"MARKER", inputMarker, "@", "127.0.0.1", "<script", "javascript:", " style=", "Bearer",
	} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
}

// TestStatusPageSelection checks the links and the form of the page.
func TestStatusPageSelection(t *testing.T) {
	s := startWithAllStates(t)
	for query, want := range map[string]string{
		"?state=stale":                        "1 to 1 of 1. The versions",
		"?state=unusable&find=gone":           "acme-gone is unusable",
		"?find=CUSTOM":                        "What to do Nothing about the selected configurations.",
		"?find=Acme+Customers":                "1 to 1 of 1.", // the name for people
		"?state=none":                         "No configuration is like that.",
		"?page=99":                            "1 to 7 of 7.",
		"?page=-1":                            "1 to 7 of 7.",
		"?find=%3Cscript%3E%22'":              "No configuration is like that.",
		"?find=" + strings.Repeat("%C3", 500): "No configuration is like that.",
	} {
		page, text := s.statusPage(t, query)
		if !strings.Contains(text, want) {
			t.Errorf("%s: the page doesn't have %q: %s", query, want, text)
		}
		if strings.Contains(page, "<script") || len(page) > 64<<10 {
			t.Errorf("%s: the page has %d bytes, or what was searched for as HTML", query, len(page))
		}
	}
}

// TestStatusPageHeaders checks that the page allows its style sheet and nothing else.
func TestStatusPageHeaders(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Ops+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, b, err := roundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body := string(b)
	_, style, _ := strings.Cut(body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	for name, want := range map[string]string{
		"Content-Type":           "text/html; charset=utf-8",
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
		"Content-Security-Policy": fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src data:; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", base64.StdEncoding.EncodeToString(sum[:])),
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if u, err := url.Parse(s.Ops); err != nil || strings.Contains(body, u.Host) {
		t.Errorf("the page has the listener's address: %v", err)
	}
}

// TestStatusPageEnds checks that identities that end soon are among what to do.
func TestStatusPageEnds(t *testing.T) {
	var c clock
	s := start(t, settings{configuration: configuration, now: c.now})
	hash := strings.Repeat("ab", 32)
	identities := "{name: gone, not_after: 2026-03-01T00:00:00Z, api_key_sha256: " + hash + "}, " +
		"{name: soon, not_after: 2026-04-01T00:00:00Z, api_key_sha256: " + strings.Repeat("cd", 32) + "}, " +
		"{name: later, not_after: 2027-04-01T00:00:00Z, api_key_sha256: " + strings.Repeat("ef", 32) + "}"
	if err := s.Swap(t.Context(), withIdentities(t, &c, identities)); err != nil {
		t.Fatal(err)
	}
	_, text := s.statusPage(t, "")
	for _, want := range []string{
		"Identity of the caller slow, gone, ended 13 days ago. " +
			"It is no longer accepted: replace it, or remove it from the configuration.",
		"Identity of the caller slow, soon, ends in 17 days. Replace it before it ends.",
		"Identity of the caller slow later in 382 days",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page doesn't have %q: %s", want, text)
		}
	}
}
