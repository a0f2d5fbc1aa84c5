// Package page makes the HTML page that signs a browser in: a form with the token, which posts
// itself to Zendesk.
//
// Zendesk takes a token only from a form in the user's own browser, so every sign-in needs such a
// page, and it is often relayed by other people's backends. That decides its shape. Script and
// style are the same bytes for every brand, withName in the policy by their SHA-256, because a
// nonce doesn't survive being relayed or cached. A brand's colour is therefore an attribute: the
// fill of an <svg> behind the button. Content Security Policy governs styles and not presentation
// attributes, and every browser draws them, whereas attr() in a fixed style sheet is Chromium's
// alone and a style attribute would need 'unsafe-inline'.
//
// What the page promises: one POST for one token, whether the script or the button sends it, and
// however often the tab is given the same page, as long as no eight others came since; sent before
// the load event, so that Back doesn't come here again; none from the back/forward cache; a button
// that works without scripts, and one that goes before its token is too old; a word when the answer
// takes long; and a tab that comes back too often is told so instead of being sent round again.
// What a tab has sent is remembered by the script, in sessionStorage. That ends honest loops and
// stops no attacker. Without scripts there is neither guard nor count.
//
// A [Page] is rendered once, when the configuration is loaded. A request only inserts its own
// values into segments of the rendered page, which is 13 times faster than executing the template.
// There may be thousands of brands in a dozen languages. New therefore compares the rendered page
// with the segments of its language, and a Page keeps only the differences.
package page

import (
	_ "embed"
	"errors"
	"fmt"
	"html"
)

var (
	//go:embed page.html
	markup string
	//go:embed page.min.css
	style string
	//go:embed page.min.js
	script string
)

// Page is the prepared page of one brand in one language. It doesn't change, and may be used by any
// number of goroutines. It holds half a kilobyte, beside a logo: pages of one language share what
// isn't the brand's own, and pages with one logo share the logo.
type Page struct {
	segments       *pageSegments
	values         values
	referrerPolicy string
}

// Header is one header field of the response that carries the page.
type Header struct{ Name, Value string }

// New prepares the page of a brand. The error names every fault of settings and frame, and holds
// none of their texts beyond what is needed to find them.
func New(settings Settings, frame Frame) (*Page, error) {
	frame = frame.withDefaults()
	var faults []error
	settings.Check(func(path, message string) {
		faults = append(faults, fmt.Errorf("%s %s", path, message))
	})
	if err := errors.Join(append(faults, frame.check())...); err != nil {
		return nil, fmt.Errorf("preparing the page: %w", err)
	}
	p, err := prepare(settings.withDefaults(), frame)
	if err != nil {
		return nil, fmt.Errorf("preparing the page: %w", err)
	}
	return p, nil
}

// prepare takes settings and a frame that have been checked and whose defaults are filled in.
func prepare(settings Settings, frame Frame) (*Page, error) {
	templates, err := compiled()
	if err != nil {
		return nil, err
	}
	tag, err := parseLanguage(settings.Language)
	if err != nil {
		return nil, err
	}
	localized := templates.localize(tag)
	rendered, err := templates.execute("sign-in", newView(settings, frame, tag, localized.texts))
	if err != nil {
		return nil, err
	}
	p := &Page{
		segments:       &localized.withName,
		referrerPolicy: frame.ReferrerPolicy,
	}
	if settings.Logo != "" {
		p.segments = &localized.withLogo
	}
	if p.values, err = p.segments.plain.read(rendered); err != nil {
		return nil, err
	}
	return p, nil
}

// Render returns the page that posts this token, and return_to with it unless that is empty: the
// field is then left out, because an empty one would be a place to return to. Both should have been
// validated; whatever they hold, it stays inside its attribute. The bytes are the caller's to keep,
// and hold the token: they belong in no log.
func (p *Page) Render(token, returnTo string) []byte {
	if returnTo == "" {
		return p.segments.plain.fill(&p.values, token)
	}
	return p.segments.returnTo.fill(&p.values, token, returnTo)
}

// policy is what the page carries in a <meta> too, for relays that lose its headers: all but
// frame-ancestors, which counts only in the header (CSP Level 3, section 3.3). The sources of
// form-action follow it.
const policy = "default-src 'none'; script-src '" + scriptHash + "'; style-src '" + styleHash + "'; img-src data:; " +
	"base-uri 'none'; form-action"

// ContentSecurityPolicy returns the value of that field among [Page.Headers], for callers that
// merge it with their own.
func (p *Page) ContentSecurityPolicy() string {
	// As html/template has escaped it: sourceForm leaves nothing to escape, but 'none' has quotes.
	return policy + " " + html.UnescapeString(p.values.of(fieldFormActions)) + "; frame-ancestors 'none'"
}

// Headers returns every header field that the page should be served with, always in the same order.
// The slice is the caller's to keep. Strict-Transport-Security isn't among them, because whoever
// relays the page speaks for a host that isn't ours to commit.
func (p *Page) Headers() []Header {
	return []Header{
		{"Content-Type", "text/html; charset=utf-8"},
		{"Cache-Control", "no-store"},
		{"Content-Security-Policy", p.ContentSecurityPolicy()},
		// Nobody who opened the page in a window of theirs keeps a handle on it. The tab stays the
		// same one, so neither the POST nor sessionStorage suffers; an application that watches the
		// sign-in in a popup sees it as closed.
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
		{"Referrer-Policy", p.referrerPolicy},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"}, // for browsers that don't know frame-ancestors
		{"X-Robots-Tag", "noindex"},
	}
}
