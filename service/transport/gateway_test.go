package transport

import (
	"net/http"
	"testing"
)

// TestOutgoingHeaders checks that metadata of a handler or a library reach the client only if they
// are in the list of headers.
func TestOutgoingHeaders(t *testing.T) {
	outgoingHeader := outgoingHeaders()
	for name, want := range map[string]bool{
		"deskmint-jti": true, "deskmint-secret-version": true, "deskmint-attempt": true,
		"deskmint-outcome": true, "deskmint-reason": true,
		"content-security-policy": true, "cache-control": true, "x-frame-options": true,
		"referrer-policy": true, "x-robots-tag": true,

		"deskmint-token": false, "set-cookie": false, "authorization": false, "www-authenticate": false,
		"content-type": false, "content-length": false, "location": false, "grpc-status": false,
		"x-internal": false, "access-control-allow-origin": false, "": false,
	} {
		if got, ok := outgoingHeader(name); ok != want || ok && got != http.CanonicalHeaderKey(name) {
			t.Errorf("%s: %q %v, want %v", name, got, ok, want)
		}
	}
}
