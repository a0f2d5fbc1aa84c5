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
		{"error", "please use one of the options below to log in", "NO_FAULT"},
		{"error", "Please choose one of the sign-in methods below.", "NO_FAULT"},
		{"error", "JWT signature invalid. Please use one of the options below to log in", "SIGNATURE"},
		{"error", "User is invalid: External has already been taken", "EXTERNAL_ID_CONFLICT"},
		{"error", "External ID shop-7 is already being used by another user", "EXTERNAL_ID_CONFLICT"},
		{"error", "external_id: duplicate value", "EXTERNAL_ID_CONFLICT"},
		{"error", "External ID " + strings.Repeat("x", 1000) + " is taken", "EXTERNAL_ID_CONFLICT"},
		{"error", "User is invalid: Name is too short (minimum is 1 character)", "USER_NOT_CREATED"},
		{"error", "User creation failed", "USER_NOT_CREATED"},
		{"error", "The user could not be created.", "USER_NOT_CREATED"},
		{"error", "User wasn't created", "USER_NOT_CREATED"},
		{"error", "Failed to create user", "USER_NOT_CREATED"},
		{"error", "Couldn&#39;t create the user", "USER_NOT_CREATED"},
		{"error", "Email: a@b.example is already being used by another user", "USER_NOT_CREATED"},
		// they quote the profile
		{"error", "User is invalid: Name check your server clock is not allowed", "USER_NOT_CREATED"},
		{"error", "User creation failed: invalid signature, too many", "USER_NOT_CREATED"},
		// words of a pattern in another text
		{"error", "Your clock radio isn't supported", "UNKNOWN"},
		{"error", "The plan of Clock & Signature Ltd has ended", "UNKNOWN"},
		{"error", "The external application is not available", "UNKNOWN"},
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

// TestParseLogoutQuery checks that any query is read, as browsers read it.
func TestParseLogoutQuery(t *testing.T) {
	for query, want := range map[string]logoutQuery{
		"":  {},
		"?": {},
		"?kind=error&message=JWT+signature%20invalid.&email=a%40b.example&external_id=7&brand_id=360002" +
			"&return_to=https%3A%2F%2Facme.zendesk.com%2F&locale_id=1": {"error", "JWT signature invalid.", "360002"},
		"kind=error":                            {"error", "", ""},
		"kind=error&kind=x&message=&message=m":  {"error", "m", ""},
		"k%69nd=error&Kind=x&kinds=y":           {"error", "", ""},
		"?kind=error&message=what?&?brand_id=":  {"error", "what?", ""},
		"&&=&=x&kind&kind=error&":               {"error", "", ""},
		"message=100%+%zz%2&kind=%":             {"%", "100% %zz%2", ""},
		"message=a=b;c%26d%3De%2b%25":           {"", "a=b;c&d=e+%", ""},
		"message=%ff\xff%C3%A9é":                {"", "\xff\xfféé", ""},
		"message=" + strings.Repeat("a+", 4000): {"", strings.Repeat("a ", 2048), ""}, // as long as a field may be
	} {
		if got := parseLogoutQuery(query); got != want {
			t.Errorf("%q is read as %q, want %q", query, got, want)
		}
	}
}
