package service_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/page"
)

// TestReports checks that both transports classify the messages of Zendesk in the same way. The
// answer has advice for the operator and for the user. The metrics count the reports. The page
// never has the message, because anyone can forge it.
func TestReports(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		s := start(t, settings{configuration: configuration})
		counted := map[string]int{}
		for _, c := range []struct {
			message, class string
			problem        page.Problem
		}{
			{"Invalid iat parameter. The supplied iat value is more than 3 minutes off, check your server clock.",
				"CLOCK", page.ProblemLate},
			{"JWT signature invalid. The signature cannot be verified, check that your tokens match.", "SIGNATURE",
				page.ProblemFailed},
			{"invalid_token", "REPLAY", page.ProblemUsed},
			{"The unique user identifier has been reused", "REPLAY", page.ProblemUsed},
			{"Users with the email address clock@b.example are not allowed to sign up for this help desk", "BLOCKED",
				page.ProblemRefused},
			{"Couldn't authenticate you", "NOT_ENABLED", page.ProblemRefused},
			{"Rate limit exceeded", "RATE_LIMITED", page.ProblemUnavailable},
			{"please use one of the options below to log in", "NO_FAULT", page.ProblemOtherWay},
			{"User creation failed", "USER_NOT_CREATED", page.ProblemNotCreated},
			{"User is invalid: External has already been taken", "EXTERNAL_ID_CONFLICT", page.ProblemConflict},
			{"<script>alert(1)</script> unknown", "UNKNOWN", page.ProblemFailed},
		} {
			body := `"kind":"error","message":` + quote(c.message) +
				`,"onError":"ON_ERROR_PAGE","brandId":"360002","language":"de"`
			r := tr.send(t.Context(), t, s, call{method: "ReportSignInFailure", body: body})
			if r.code != codes.OK {
				t.Fatalf("%q: %v %s", c.message, r.code, r.reason)
			}
			got := get[*pb.ReportSignInFailureResponse](t, r)
			if got.GetClass().String() != "SIGN_IN_FAILURE_CLASS_"+c.class || got.GetCause() == "" ||
				got.GetOperatorAdvice() == "" ||
				got.GetUserAdvice() == "" {
				t.Errorf("%q: %v, %q, %q, %q", c.message, got.GetClass(), got.GetCause(), got.GetOperatorAdvice(),
					got.GetUserAdvice())
			}
			if html := got.GetHtml(); !strings.Contains(html, "<html") || strings.Contains(html, c.message) ||
				strings.Contains(html, "alert(1)") {
				t.Errorf("%q: the page is %.300s", c.message, html)
			}
			want := string(pageOf(t, "acme-customers", "360002", "de").RenderProblem(c.problem))
			if got.GetHtml() != want {
				t.Errorf("%q: the page differs at %s", c.message, difference(got.GetHtml(), want))
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
			const metric = "deskmint_reported_sign_in_failures_total"
			want := fmt.Sprintf("%s{class=%q,configuration=\"acme-customers\"} %d\n", metric, class, n)
			if !strings.Contains(string(metrics), want) {
				t.Errorf("the metrics don't have %s", want)
			}
		}
	})
}

// TestReportedQuery checks that a whole query means the same as its parameters in fields, and that
// neither has to be free of what Zendesk adds.
func TestReportedQuery(t *testing.T) {
	const parameters = "kind=error&message=JWT+signature+invalid.&email=ada%40example.com&external_id=7" +
		"&brand_id=360002&return_to=https%3A%2F%2Facme.zendesk.com%2Fhc&locale_id=1&%zz=%"
	fields := `"kind":"error","message":"JWT signature invalid.","email":"ada@example.com","external_id":"7",` +
		`"brand_id":"360002"`
	page := `,"onError":"ON_ERROR_PAGE"`
	eachTransport(t, func(t *testing.T, tr transport) {
		s := start(t, settings{configuration: configuration})
		report := func(body string) *pb.ReportSignInFailureResponse {
			t.Helper()
			r := tr.send(t.Context(), t, s, call{method: "ReportSignInFailure", body: body + page})
			if r.code != codes.OK {
				t.Fatalf("%s: %v %s %v", body, r.code, r.reason, r.field)
			}
			return get[*pb.ReportSignInFailureResponse](t, r)
		}
		want := report(fields)
		if want.GetClass() != pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_SIGNATURE ||
			!strings.Contains(want.GetHtml(), "Acme Labs") {
			t.Errorf("the fields are answered with %v", want)
		}
		for _, query := range []string{parameters, "?" + parameters, "?" + strings.ReplaceAll(parameters, "&", "&&")} {
			if got := report(`"query":` + quote(query)); !proto.Equal(got, want) {
				t.Errorf("%s is answered with %v, want %v", query, got, want)
			}
		}
		for _, signedOut := range []string{
			`"query":"?return_to=%2F&locale_id=1"`, `"brandId":"360002"`, `"query":"?"`,
		} {
			got := report(signedOut)
			if got.GetClass() != pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_LOGOUT || got.GetHtml() != "" {
				t.Errorf("%s is answered with %v", signedOut, got)
			}
		}
		for body, field := range map[string]string{
			fields + `,"query":"?kind=error"`:                                 "query",
			`"query":"?kind=error","email":"ada@example.com"`:                 "query",
			`"query":` + quote("kind=error&x="+strings.Repeat("x", 16<<10)):   "query",
			`"kind":"error","message":` + quote(strings.Repeat("x", 4<<10+1)): "message",
		} {
			r := tr.send(t.Context(), t, s, call{method: "ReportSignInFailure", body: body})
			if r.reason != "INVALID_FIELD" || len(r.field) != 1 || r.field[field] == "" {
				t.Errorf("%.80s: %s, %v, want %s", body, r.reason, r.field, field)
			}
		}
	})
}

// TestUnknownParameters checks that JSON fields that the API doesn't know are ignored in a report,
// and nowhere else. Everything else in a report stays strict.
func TestUnknownParameters(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for body, want := range map[string]string{
		`"return_to":"/hc","kind":"error","locale_id":1,"message":"invalid_token","flash":{"a":[null,"}"]}`: "",
		`"x":1,"x":2,"timestamp":"1"`: "",
		`"x":1`:                       "",
		`"kind":"error","x":1,"onError":"ON_ERROR_PAGES"`: "INVALID_REQUEST",
		`"x":1,"kind":7`:              "INVALID_REQUEST",
		`"x":1,"kind":"a","kind":"b"`: "INVALID_REQUEST",
		`"x":1,,"kind":"a"`:           "INVALID_REQUEST",
		`"x":1,`:                      "INVALID_REQUEST",
		`"x":1}, {"kind":"error"`:     "INVALID_REQUEST",
		`"x":{`:                       "INVALID_REQUEST",
		`"name":"configurations/acme-both","x":1`: "INVALID_FIELD",
	} {
		for _, spaced := range []string{body, strings.ReplaceAll(body, `,`, " \n,\t")} {
			r := sendHTTP(t.Context(), t, s, call{method: "ReportSignInFailure", body: spaced})
			if r.reason != want {
				t.Errorf("%s is answered with %q, want %q", spaced, r.reason, want)
			}
		}
	}
	for _, method := range []string{"MintToken", "RenderForm", "RenderPage", "RefreshSecret", "InspectToken"} {
		r := sendHTTP(t.Context(), t, s, call{method: method, body: `"locale_id":1`})
		if r.reason != "INVALID_REQUEST" {
			t.Errorf("%s: %q", method, r.reason)
		}
	}
}

// TestReportsRefresh checks that a report about the signature causes a refresh of the secret, and
// that another report within 5 s doesn't.
func TestReportsRefresh(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var clock clock
		s := start(t, settings{configuration: configuration, now: clock.now})
		signed := func() uint32 {
			t.Helper()
			return get[*pb.MintTokenResponse](t,
				tr.send(t.Context(), t, s, call{method: "MintToken", body: user("")})).GetSecretVersion()
		}
		report := func(after time.Duration, message string, want uint32) {
			t.Helper()
			clock.set(after)
			s.Store.Put("sso/acme-customers", "shared_secret",
				[]byte(nextSecret)) // without a pointer the newest version signs
			tr.send(t.Context(), t, s, call{
				method: "ReportSignInFailure", body: `"kind":"error","message":` + quote(message),
			})
			if got := signed(); got != want {
				t.Errorf("after %v and the report %q, version %d signs, want %d", after, message, got, want)
			}
		}
		report(0, "invalid_token", 1)
		report(0, "JWT signature invalid.", 3)
		report(4999*time.Millisecond, "JWT signature invalid.", 3)
		report(5*time.Second, "JWT signature invalid.", 5)
	})
}

// TestReportsOfABrand checks that a caller that may report for one brand gets no page of another
// brand. It gets the page of the default brand if it may report for that one, otherwise the neutral
// page.
func TestReportsOfABrand(t *testing.T) {
	yaml := strings.Replace(configuration, "        actions: [sign_in, read]\n",
		"        actions: [sign_in, read, report]\n", 1)
	if yaml == configuration {
		t.Fatal("the configuration doesn't have the expected actions")
	}
	other := strings.NewReplacer(`        brands: ["360001"]`, `        brands: ["360002"]`,
		`["acme.zendesk.com"]`, `["acme-labs.zendesk.com"]`).Replace(yaml)
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, c := range []struct {
			yaml, brand string
			want        *page.Page
		}{
			{yaml, "360001", pageOf(t, "acme-customers", "360001", "")},
			{yaml, "360002", pageOf(t, "acme-customers", "360001", "")},
			{yaml, "99", pageOf(t, "acme-customers", "360001", "")},
			{other, "360002", pageOf(t, "acme-customers", "360002", "")},
			{other, "360001", page.Neutral("")},
			{other, "", page.Neutral("")},
		} {
			s := start(t, settings{configuration: c.yaml})
			r := tr.send(t.Context(), t, s, call{
				method: "ReportSignInFailure",
				keys:   []string{"dmk_storefront"},
				body:   `"kind":"error","message":"x","onError":"ON_ERROR_PAGE","brandId":` + quote(c.brand),
			})
			got := get[*pb.ReportSignInFailureResponse](t, r)
			if want := string(c.want.RenderProblem(page.ProblemFailed)); got.GetHtml() != want ||
				got.GetHeaders()["Content-Security-Policy"] != c.want.ContentSecurityPolicy() {
				t.Errorf("%s: %s, %s", c.brand, difference(got.GetHtml(), want),
					got.GetHeaders()["Content-Security-Policy"])
			}
		}
	})
}

// TestForgedReports checks that forged reports about the secrets of a thousand configurations cause
// only a few reads of the store, and that a RefreshSecret is answered meanwhile.
func TestForgedReports(t *testing.T) {
	const configurations, budget = 1000, 10 // a fifth of the default of secrets.max_rate, at one time
	s := start(t, settings{
		configuration: manyConfigurations(configurations), now: new(clock).now, fill: fillMany(configurations),
	})
	before := s.Ring.Refreshes()
	for i := range configurations {
		r := sendGRPC(t.Context(), t, s, call{
			method: "ReportSignInFailure", name: manyName(i), body: `"kind":"error","message":"JWT signature invalid."`,
		})
		if r.code != codes.OK {
			t.Fatalf("%v %s", r.code, r.reason)
		}
	}
	if n := s.Ring.Refreshes().Confirmed - before.Confirmed; n > budget {
		t.Errorf("the reports caused %d refreshes, want at most %d", n, budget)
	}
	last := manyName(configurations - 1)
	s.Store.Put(last, "shared_secret", []byte(nextSecret))
	got := get[*pb.RefreshSecretResponse](t, sendGRPC(t.Context(), t, s, call{method: "RefreshSecret", name: last}))
	if got.GetAfter().GetActiveVersion() != got.GetBefore().GetActiveVersion()+1 {
		t.Errorf("RefreshSecret: %v", got)
	}
}
