package service_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// What Zendesk says at the remote logout URL is classed alike through both doors, with advice for both
// sides, is counted, and is never shown to anybody, since anybody could have said it.
func TestReports(t *testing.T) {
	eachDoor(t, func(t *testing.T, d door) {
		s := start(t, settings{configuration: configuration})
		counted := map[string]int{}
		for _, c := range []struct{ message, class string }{
			{"Invalid iat parameter. The supplied iat value is more than 3 minutes off, check your server clock.", "CLOCK"},
			{"JWT signature invalid. The signature cannot be verified, check that your tokens match.", "SIGNATURE"},
			{"invalid_token", "REPLAY"},
			{"The unique user identifier has been reused", "REPLAY"},
			{"Users with the email address clock@b.example are not allowed to sign up for this help desk", "BLOCKED"},
			{"Couldn't authenticate you", "NOT_ENABLED"},
			{"Rate limit exceeded", "RATE_LIMITED"},
			{"<script>alert(1)</script> never met before", "UNKNOWN"},
		} {
			body := `"kind":"error","message":` + quote(c.message) + `,"onError":"ON_ERROR_PAGE"`
			r := d.send(t.Context(), t, s, call{method: "ReportSignInFailure", body: body})
			if r.code != codes.OK {
				t.Fatalf("%q: %v %s", c.message, r.code, r.reason)
			}
			got := get[*pb.ReportSignInFailureResponse](t, r)
			if got.GetClass().String() != "SIGN_IN_FAILURE_CLASS_"+c.class || got.GetCause() == "" || got.GetOperatorAdvice() == "" || got.GetUserAdvice() == "" {
				t.Errorf("%q: %v, %q, %q, %q", c.message, got.GetClass(), got.GetCause(), got.GetOperatorAdvice(), got.GetUserAdvice())
			}
			if html := got.GetHtml(); !strings.Contains(html, "<html") || strings.Contains(html, c.message) || strings.Contains(html, "alert(1)") {
				t.Errorf("%q: the page is %.300s", c.message, html)
			}
			counted[got.GetClass().String()]++
		}
		response, err := http.Get(s.Ops + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		metrics, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		for class, n := range counted {
			if want := fmt.Sprintf("deskmint_reported_sign_in_failures_total{class=%q,configuration=\"acme-customers\"} %d\n", class, n); !strings.Contains(string(metrics), want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
	})
}
