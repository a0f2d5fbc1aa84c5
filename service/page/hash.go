package page

// The hashes are constants and not computed, so that a change to page.js or page.css, or to what
// makes page.min.js and page.min.css of them, can't reach production unnoticed: callers that merge
// the page's policy with their own may have written them down. A test compares them with the
// rendered bytes, and prints the new ones.
const (
	scriptHash = "sha256-u8DDKVTD3x/+JCvo7DrH8s9v06XyMBVT7inmyAXDWM8="
	styleHash  = "sha256-436T1A0IAMf9IkC/mFk7ujh5YKvxEdbzhYZLHSJzHiY="
)

// ScriptHash returns the CSP source, without quotes, of the page's one script: "sha256-" and the
// hash in base64.
func ScriptHash() string { return scriptHash }

// StyleHash returns the CSP source, without quotes, of the page's one style.
func StyleHash() string { return styleHash }
