package service

import (
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
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

func TestReportedRefreshesAreLimited(t *testing.T) {
	var r reportedRefreshes
	a, b := secrets.Ref{Path: "a", Field: "f"}, secrets.Ref{Path: "b", Field: "f"}
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		ref   secrets.Ref
		after time.Duration
		want  bool
	}{
		{a, 0, true},
		{a, time.Second, false},
		{b, time.Second, true},
		{a, 4999 * time.Millisecond, false},
		{a, 5 * time.Second, true},
		{a, 6 * time.Second, false},
	} {
		if got := r.allow(step.ref, start.Add(step.after)); got != step.want {
			t.Errorf("%s after %s: %v, want %v", step.ref, step.after, got, step.want)
		}
	}
}
