package service

import (
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct{ kind, message, want string }{
		{"", "", "LOGOUT"},
		{"", "JWT signature invalid.", "LOGOUT"}, // a report without a kind is never a failure
		{"error",
			"Invalid iat parameter. The supplied iat value is more than 3 minutes off, check your server clock.",
			"CLOCK"},
		{"error", "JWT signature invalid. The signature cannot be verified, check that your tokens match.",
			"SIGNATURE"},
		{"error", "invalid_token", "REPLAY"},
		{"error", "The unique user identifier has been reused", "REPLAY"},
		{"error", "Users with the email address a@b.example are not allowed to sign up for this help desk", "BLOCKED"},
		{"error", "Couldn't authenticate you", "NOT_ENABLED"},
		{"error", "Rate limit exceeded", "RATE_LIMITED"},
		// it quotes the address
		{"error", "Users with the email address clock@b.example are not allowed to sign up for this help desk",
			"BLOCKED"},
		{"error", "Users with the email address signature@b.example are not allowed to sign up for this help desk",
			"BLOCKED"},
		{"error", "Couldn&#39;t authenticate you", "NOT_ENABLED"},
		{"error", "Couldn’t authenticate you", "NOT_ENABLED"},
		{"error", "rate_limit_exceeded", "RATE_LIMITED"},
		{"error", "too_many_requests", "RATE_LIMITED"},
		{"error", "invalid_iat", "CLOCK"},
		{"error", "something new", "UNKNOWN"},
		{"error", "", "UNKNOWN"},
	} {
		f := failureOf(c.kind, c.message)
		if got := strings.TrimPrefix(f.class.String(), "SIGN_IN_FAILURE_CLASS_"); got != c.want {
			t.Errorf("the class of %q %q is %s, want %s", c.kind, c.message, got, c.want)
		}
		if c.want != "LOGOUT" && (f.cause == "" || f.operator == "" || f.user == "") {
			t.Errorf("%s has no cause or no advice", c.want)
		}
	}
}

// TestReportedRefreshesAreLimited checks the limit of each secret and that of all secrets together.
func TestReportedRefreshesAreLimited(t *testing.T) {
	var (
		limiter  policy.Limiter
		snapshot = &config.Snapshot{Secrets: config.Secrets{MaxRate: 10}} // two at once, one in 2 s
		start    = time.Unix(1000, 0)
	)
	for i, step := range []struct {
		path  string
		after time.Duration
		want  bool
	}{
		{"a", 0, true},
		{"a", time.Second, false},
		{"b", time.Second, true},
		{"c", time.Second, false}, // the limit of all
		{"c", 2 * time.Second, true},
		{"a", 4999 * time.Millisecond, false},
		{"a", 5 * time.Second, true},
		{"a", 6 * time.Second, false},
	} {
		conf := &config.Configuration{Secret: secrets.Ref{Path: step.path, Field: "f"}}
		err := limiter.Take(start.Add(step.after), reportedRefreshLimits(conf, snapshot)...)
		if got := err == nil; got != step.want {
			t.Errorf("step %d: %s after %s: %v, want %v", i, step.path, step.after, got, step.want)
		}
	}
}
