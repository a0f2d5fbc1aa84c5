// Package page renders the HTML page that signs a browser in. The page contains a form with the
// token, and a script submits the form to Zendesk.
//
// Zendesk accepts a token only from a form in the user's own browser. So every sign-in needs such a
// page, and often the backend of another company relays it. The script and the style are the same
// bytes for every brand. The policy allows them by their SHA-256, because a nonce doesn't survive
// relaying or caching. A brand's colour is therefore an attribute: the fill of an <svg> behind the
// button. Content Security Policy governs styles, not presentation attributes, and every browser
// draws them. The alternatives don't work: only Chromium supports attr() in a fixed style sheet,
// and a style attribute would need 'unsafe-inline'.
//
// The page guarantees the following:
//
//   - It sends one POST for one token, whether the script or the button submits the form. This
//     holds however often the tab loads the same page, unless eight other pages were submitted in
//     between.
//   - The script submits the form before the load event, so that Back skips the page.
//   - A page from the back/forward cache doesn't submit itself.
//   - The button works without scripts. It disappears before the token is too old.
//   - If the browser stays at the page, the page says what to do and has a link to the start. This
//     is so when Zendesk takes long to answer, when the user stops the POST, and when the policy
//     blocks the POST or a redirect after it.
//   - A tab that signs in too often shows a message instead of submitting the form again.
//
// The script records in sessionStorage what a tab has sent. This ends accidental loops. It doesn't
// stop an attacker. Without scripts the page neither prevents a second POST nor counts sign-ins.
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

// Page is the prepared page of one brand in one language. It is immutable and safe for concurrent
// use. It holds half a kilobyte, not counting the logo. Pages of one language share everything that
// doesn't depend on the brand, and pages with the same logo share the logo.
type Page struct {
	segments       *pageSegments
	values         values
	referrerPolicy string
}

// Header is one header field of the HTTP response that contains the page.
type Header struct{ Name, Value string }

// New prepares the page of a brand. The error names every invalid value in settings and frame. It
// quotes their texts only where you need them to find the value.
func New(settings Settings, frame Frame) (*Page, error) {
	frame = frame.withDefaults()
	var errs []error
	settings.Check(func(path, message string) {
		errs = append(errs, fmt.Errorf("%s %s", path, message))
	})
	if err := errors.Join(append(errs, frame.check())...); err != nil {
		return nil, fmt.Errorf("preparing the page: %w", err)
	}
	p, err := prepare(settings.withDefaults(), frame)
	if err != nil {
		return nil, fmt.Errorf("preparing the page: %w", err)
	}
	return p, nil
}

// prepare prepares a page. The settings and the frame must be valid and have their defaults filled
// in.
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

// Render returns the page that posts this token. If returnTo is empty, Render omits the return_to
// field, because Zendesk would treat an empty value as a target. Validate both values first. Render
// escapes them, so no value can leave its attribute. The caller owns the returned bytes. They
// contain the token, so don't log them.
func (p *Page) Render(token, returnTo string) []byte {
	if returnTo == "" {
		return p.segments.plain.fill(&p.values, token)
	}
	return p.segments.returnTo.fill(&p.values, token, returnTo)
}

// policy is the part of the policy that the page also contains in a <meta>, for relays that drop
// the headers. It has every directive except frame-ancestors, which browsers accept only in the
// header (CSP Level 3, section 3.3). The sources of form-action are appended to it.
const policy = "default-src 'none'; script-src '" + scriptHash + "'; style-src '" + styleHash + "'; img-src data:; " +
	"base-uri 'none'; form-action"

// ContentSecurityPolicy returns the value of this field in [Page.Headers]. Use it to merge the
// policy with your own.
func (p *Page) ContentSecurityPolicy() string {
	// The value was escaped by html/template. sourcePattern allows nothing that needs escaping, but
	// 'none' has quotes.
	return policy + " " + html.UnescapeString(p.values.of(fieldFormActions)) + "; frame-ancestors 'none'"
}

// Headers returns every header field to serve the page with, always in the same order. The caller
// owns the slice. It doesn't include Strict-Transport-Security, because the service that relays the
// page must decide that for its own host.
func (p *Page) Headers() []Header {
	return []Header{
		{"Content-Type", "text/html; charset=utf-8"},
		{"Cache-Control", "no-store"},
		{"Content-Security-Policy", p.ContentSecurityPolicy()},
		// A window that opened the page can't keep a reference to it. The tab stays the same, so
		// the POST and sessionStorage keep working. An application that watches the sign-in in a
		// popup sees the popup as closed.
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
		{"Referrer-Policy", p.referrerPolicy},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"}, // for browsers that don't support frame-ancestors
		{"X-Robots-Tag", "noindex"},
	}
}
