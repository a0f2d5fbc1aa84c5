package service_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// TestLimits checks each limit of a sign-in. A refusal has the name of the limit and the exact time
// after which a request succeeds. A request counts in all limits or in none. A request with
// validate_only counts in none of these.
func TestLimits(t *testing.T) {
	yaml := strings.NewReplacer(
		"rate: {per_second: 100000, burst: 1000000}\n        team_rate: {per_second: 100000, burst: 1000000}",
		"rate: {per_second: 1, burst: 4}\n        team_rate: {per_second: 0.5, burst: 2}",
		"user_rate: {per_minute: 6000000, burst: 1000000}",
		"user_rate: {per_minute: 6, burst: 3}").Replace(configuration)
	agent := call{name: "acme-staff", body: user(`,"role":"ROLE_AGENT"`) + `,"clientIp":"192.0.2.7"`}
	anyone := call{name: "acme-both", body: user("")}
	person := func(who string) call {
		return call{body: `"user":{"email":"` + who + `@customer.example","emailVerified":true,"name":"A"}`}
	}
	for _, c := range []struct {
		name  string
		taken []call // the calls before
		call  call
		limit string
		wait  time.Duration
	}{
		{"of the grant", []call{person("a"), person("b"), person("c"), person("d")}, person("e"), "rate", time.Second},
		{"of team members", []call{agent, agent}, agent, "team_rate", 2 * time.Second},
		{"of team members, if the role can be any", []call{anyone, anyone}, anyone, "team_rate", 2 * time.Second},
		{"of the user", []call{person("a"), person("A"), person(" a")}, person("a"), "user_rate", 10 * time.Second},
		{"the longest of several", []call{person("a"), person("a"), person("a"), person("b")}, person("a"),
			"user_rate", 10 * time.Second},
		{"of the user, with white space", []call{person("a"), person("a"), person("a")}, person(`\u00a0a`), "user_rate",
			10 * time.Second},
	} {
		eachTransport(t, func(t *testing.T, tr transport) {
			t.Run(c.name, func(t *testing.T) {
				var at clock
				s := start(t, settings{configuration: yaml, now: at.now})
				validate := c.call
				validate.method, validate.body = "MintToken", validate.body+`,"validateOnly":true`
				for _, before := range c.taken {
					mint(t, s, tr, before)
					if r := tr.send(t.Context(), t, s, validate); r.code != codes.OK {
						t.Fatalf("a request with validate_only: %v %s", r.code, r.reason)
					}
				}
				c.call.method = "MintToken"
				for range 5 { // a refusal doesn't count
					r := tr.send(t.Context(), t, s, c.call)
					checkRefused(t, tr, r, codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, c.wait)
					if r.info["limit"] != c.limit {
						t.Errorf("refused by %v, want %s", r.info, c.limit)
					}
				}
				if record := s.Audit.String(); !strings.Contains(record, ", "+c.limit+`"`) {
					t.Errorf("the record doesn't name the limit: %s", record)
				}
				at.set(c.wait - 1)
				checkRefused(t, tr, tr.send(t.Context(), t, s, c.call), codes.ResourceExhausted, "RATE_LIMITED",
					http.StatusTooManyRequests, 1)
				at.set(c.wait)
				mint(t, s, tr, c.call)
			})
		})
	}
}

// TestUserRateIsOfEachCaller checks that the sign-ins of a user at one caller don't count at
// another caller.
func TestUserRateIsOfEachCaller(t *testing.T) {
	yaml := strings.Replace(configuration, "user_rate: {per_minute: 6000000, burst: 1000000}",
		"user_rate: {per_minute: 6, burst: 3}", 1)
	eachTransport(t, func(t *testing.T, tr transport) {
		s := start(t, settings{configuration: yaml})
		of := func(key string) call { return call{method: "MintToken", keys: []string{key}, body: user("")} }
		for _, key := range []string{"dmk_everything", "dmk_storefront"} {
			for range 3 {
				mint(t, s, tr, of(key))
			}
			r := tr.send(t.Context(), t, s, of(key))
			checkRefused(t, tr, r, codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, 10*time.Second)
			if r.info["limit"] != "user_rate" {
				t.Errorf("refused by %v", r.info)
			}
		}
	})
}

// TestLimitsOutliveReloads checks that a reload doesn't reset the limits.
func TestLimitsOutliveReloads(t *testing.T) {
	var at clock
	s := start(t, settings{configuration: configuration, now: at.now})
	eachTransport(t, func(t *testing.T, tr transport) {
		at.advance(time.Hour)
		slow := call{method: "MintToken", keys: []string{"dmk_slow"}, body: user("")}
		mint(t, s, tr, slow)
		if err := s.Swap(t.Context(), parse(t, configuration)); err != nil {
			t.Fatal(err)
		}
		checkRefused(t, tr, tr.send(t.Context(), t, s, slow), codes.ResourceExhausted, "RATE_LIMITED",
			http.StatusTooManyRequests, 2*time.Second)
		// A rate that a reload changes starts to count at the reload.
		changed := strings.Replace(configuration, "per_second: 0.5, burst: 1", "per_second: 0.1, burst: 2", 1)
		if err := s.Swap(t.Context(), parse(t, changed)); err != nil {
			t.Fatal(err)
		}
		mint(t, s, tr, slow)
		mint(t, s, tr, slow)
		checkRefused(t, tr, tr.send(t.Context(), t, s, slow), codes.ResourceExhausted, "RATE_LIMITED",
			http.StatusTooManyRequests, 10*time.Second)
		if err := s.Swap(t.Context(), parse(t, configuration)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRefreshLimits checks that a caller with the action refresh can't use up the rate of requests
// to the store.
func TestRefreshLimits(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var at clock
		s := start(t, settings{configuration: configuration, now: at.now})
		of := func(name string) call { return call{method: "RefreshSecret", name: name} }
		for range 20 {
			if r := tr.send(t.Context(), t, s, of("acme-customers")); r.code != codes.OK {
				t.Fatalf("%v %s", r.code, r.reason)
			}
		}
		r := tr.send(t.Context(), t, s, of("acme-customers"))
		checkRefused(t, tr, r, codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, time.Second)
		if r.info["limit"] != "refresh_rate" {
			t.Errorf("refused by %v", r.info)
		}
		for i := range 20 { // the limit of all secrets together has a burst of 40
			name := []string{"acme-staff", "acme-both", "acme-off"}[i%3]
			if r := tr.send(t.Context(), t, s, of(name)); r.code != codes.OK {
				t.Fatalf("%s: %v %s", name, r.code, r.reason)
			}
		}
		r = tr.send(t.Context(), t, s, of("acme-broken"))
		checkRefused(t, tr, r, codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests,
			200*time.Millisecond)
		if r.info["limit"] != "refresh_rate_all" {
			t.Errorf("refused by %v", r.info)
		}
		at.set(200 * time.Millisecond)
		if r := tr.send(t.Context(), t, s, of("acme-broken")); r.code != codes.OK {
			t.Errorf("%v %s", r.code, r.reason)
		}
	})
}

// TestLimitsOfOtherRequests checks the limits of requests that are no sign-ins. Each kind counts
// separately for each caller, and none of them uses up sign-ins. A higher rate of a grant raises
// them.
func TestLimitsOfOtherRequests(t *testing.T) {
	const burst, each = 400, 5 * time.Millisecond
	yaml := strings.Replace(manyConfigurations(2), "        rate: {per_second: 1000000, burst: 1000000}\n", "", 1)
	person := `"user":{"email":"a@customer.example","emailVerified":true,"name":"A"}`
	name := manyName(0)
	list, other := call{method: "ListConfigurations"}, call{method: "GetConfiguration", name: manyName(1)}
	other.keys = []string{"dmk_storefront"}
	for _, c := range []struct {
		limit string
		calls []call // all of this limit
	}{
		{"read_rate", []call{
			{method: "GetConfiguration", name: name}, list, {method: "ResolveConfiguration", body: `"brandId":"1"`},
		}},
		{"inspect_rate", []call{{method: "InspectToken", name: name, body: `"token":"a.b.c"`}}},
		{"report_rate", []call{{method: "ReportSignInFailure", name: name, body: `"kind":"error","message":"x"`}}},
		{"validate_rate", []call{{method: "MintToken", name: name, body: person + `,"validateOnly":true`}}},
	} {
		t.Run(c.limit, func(t *testing.T) {
			var at clock
			s := start(t, settings{configuration: yaml, now: at.now, fill: fillMany(2)})
			for i := range burst {
				if r := sendGRPC(t.Context(), t, s, c.calls[i%len(c.calls)]); r.code != codes.OK {
					t.Fatalf("request %d: %v %s", i, r.code, r.reason)
				}
			}
			for _, next := range c.calls {
				eachTransport(t, func(t *testing.T, tr transport) {
					r := tr.send(t.Context(), t, s, next)
					checkRefused(t, tr, r, codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, each)
					if r.info["limit"] != c.limit {
						t.Errorf("%s: refused by %v, want %s", next.method, r.info, c.limit)
					}
				})
			}
			if record := s.Audit.String(); !strings.Contains(record, c.limit+`"`) {
				t.Errorf("the record doesn't name the limit: %s", record)
			}
			mint(t, s, transport{"grpc", sendGRPC}, call{name: name, body: person})
			if r := sendGRPC(t.Context(), t, s, other); r.code != codes.OK {
				t.Errorf("another caller: %v %s", r.code, r.reason)
			}
			at.set(each)
			if r := sendGRPC(t.Context(), t, s, c.calls[0]); r.code != codes.OK {
				t.Errorf("after %v: %v %s", each, r.code, r.reason)
			}
			if err := s.Swap(t.Context(), parse(t, manyConfigurations(2))); err != nil {
				t.Fatal(err)
			}
			for range burst + 1 {
				if r := sendGRPC(t.Context(), t, s, c.calls[0]); r.code != codes.OK {
					t.Fatalf("with a higher rate: %v %s", r.code, r.reason)
				}
			}
		})
	}
}
