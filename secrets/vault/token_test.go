package vault

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTokenInfoCantBePrinted(t *testing.T) {
	const token = "hvs.CanaryCanaryCanaryCanary"
	g := newTokenInfo(token, time.Now(), time.Hour, time.Hour, true)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{g, *g, struct{ g *tokenInfo }{g}, []tokenInfo{*g}} {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, token) || strings.Contains(out, fmt.Sprintf("%x", token)) {
				t.Errorf("%s shows the token: %s", verb, out)
			}
		}
	}
	if g.token() != token {
		t.Error("the token is lost")
	}
}

// TestRenewalTime checks that the jitter keeps replicas from renewing at the same time, and that a
// third of the lease remains for retries.
func TestRenewalTime(t *testing.T) {
	now := time.Now()
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		after := newTokenInfo("t", now, time.Hour, time.Hour, true).renewAt.Sub(now)
		low, high = min(low, after), max(high, after)
	}
	if low < 36*time.Minute || high > 42*time.Minute || high-low < 2*time.Minute {
		t.Errorf("due after %v to %v of an hour", low, high)
	}
}
