package page

// The hashes are constants and aren't computed. So a change to page.js, to page.css, or to the
// minifier that makes page.min.js and page.min.css from them can't reach production unnoticed.
// Callers that merge the page's policy with their own may have copied the hashes. A test compares
// them with the rendered bytes and prints the new values.
const (
	scriptHash = "sha256-u8DDKVTD3x/+JCvo7DrH8s9v06XyMBVT7inmyAXDWM8="
	styleHash  = "sha256-436T1A0IAMf9IkC/mFk7ujh5YKvxEdbzhYZLHSJzHiY="
)

// ScriptHash returns the CSP source, without quotes, of the page's only script. It is "sha256-" and
// the hash in base64.
func ScriptHash() string { return scriptHash }

// StyleHash returns the CSP source, without quotes, of the page's only style.
func StyleHash() string { return styleHash }
