package ops

import (
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets"
)

// TestKnownAnswer checks that a wrong algorithm is found even though it verifies its own
// signatures.
func TestKnownAnswer(t *testing.T) {
	if err := KnownAnswer(t.Context(), secrets.NewKey); err != nil {
		t.Error(err)
	}
	another := func(v secrets.Version, value []byte) (secrets.Key, error) {
		return secrets.NewKey(v, append(value, 'x'))
	}
	if err := KnownAnswer(t.Context(), another); err == nil || !strings.Contains(err.Error(), "RFC 7515") {
		t.Errorf("with another signature: %v", err)
	}
}
