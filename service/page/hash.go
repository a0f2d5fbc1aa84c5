package page

// The hashes are constants and not computed, so that a change to page.js or page.css can't reach production unnoticed:
// callers that merge the page's policy with their own may have written them down. A test compares them with the
// rendered bytes, and prints the new ones.
const (
	scriptHash = "sha256-gy0xggcl22Jklkd5EwZExgdKo+ZLXOBOFcgFqz7GSCo="
	styleHash  = "sha256-tGROHLWaGOO7ElFiG4fBCuE0gIGeV0hIiW6EefFFcsc="
)

// ScriptHash returns the CSP source, without quotes, of the page's one script: "sha256-" and the hash in base64.
func ScriptHash() string { return scriptHash }

// StyleHash returns the CSP source, without quotes, of the page's one style.
func StyleHash() string { return styleHash }
