// Package errtext prepares the text of errors for the terminal and for logs.
package errtext

import (
	"errors"
	"regexp"
)

// credential matches API keys and JSON Web Tokens.
var credential = regexp.MustCompile(`(?i)dmk_[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// Redact replaces each API key and each token in a text. People paste them in place of a file name,
// and error messages quote their input.
func Redact(text string) string { return credential.ReplaceAllString(text, "…") }

// Cause returns the error that err wraps, or err itself. Use it where the file or URL that the
// outer error names is printed anyway.
func Cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
