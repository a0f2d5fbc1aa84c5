package shape

import (
	"bytes"
	"regexp"
)

// form is the beginning of a form's body, such as `user[email]=ana%40acme.com&…`.
var form = regexp.MustCompile(`^\s*[\w.%+\[\]-]+=`)

// notText says what the body is if it is no text in UTF-8, or no JSON at all. It returns "" for
// what looks like JSON.
func notText(b []byte) string {
	starts := func(prefix string) bool { return bytes.HasPrefix(b, []byte(prefix)) }
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return "The request's body is empty. Send a JSON object."
	case starts("\x1f\x8b"), starts("\x28\xb5\x2f\xfd"), starts("\x78\x01"), starts("\x78\x9c"), starts("\x78\xda"):
		return "The request's body is compressed. Send the JSON as it is."
	case starts("\xff\xfe"), starts("\xfe\xff"), bytes.IndexByte(b[:min(len(b), 4)], 0) >= 0:
		return "The request's body is in UTF-16 or UTF-32. Encode the JSON in UTF-8."
	case starts("\xef\xbb\xbf"):
		return "The request's body begins with a byte order mark. Send the JSON without it: its first character is {."
	case starts("--") && bytes.Contains(b, []byte("Content-Disposition")), form.Match(b):
		return "The request's body is a form. Send a JSON object, with Content-Type: application/json."
	case starts("<"):
		return "The request's body is XML or HTML. Send a JSON object."
	}
	return ""
}
