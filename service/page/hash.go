package page

// The hashes are constants and aren't computed. So a change to page.js, to page.css, or to the
// minifier that makes page.min.js and page.min.css from them can't reach production unnoticed.
// Callers that merge the page's policy with their own may have copied the hashes. A test compares
// them with the rendered bytes and prints the new values.
const (
	scriptHash = "sha256-fP9WL3M672cTeFrImQ6JRAxV3jW0MDrN6OM8mdEfC0k="
	styleHash  = "sha256-HxaWksCf4bSttjDUb0KeBZ1blyKmHR5v6H4IY6tZpos="
)

// ScriptHash returns the CSP source, without quotes, of the page's only script. It is "sha256-" and
// the hash in base64.
func ScriptHash() string { return scriptHash }

// StyleHash returns the CSP source, without quotes, of the page's only style.
func StyleHash() string { return styleHash }
