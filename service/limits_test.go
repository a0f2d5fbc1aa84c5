package service_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// Every limit of a sign-in has a name, tells truly when to come again, and is taken together with
// the others or not at all; a trial run isn't counted.
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
		taken []call // before
		call  call
		limit string
		wait  time.Duration
	}{
		{"the grant's", []call{person("a"), person("b"), person("c"), person("d")}, person("e"), "rate", time.Second},
		{"the team's", []call{agent, agent}, agent, "team_rate", 2 * time.Second},
		{"the team's, where any role may be meant", []call{anyone, anyone}, anyone, "team_rate", 2 * time.Second},
		{"the person's", []call{person("a"), person("A"), person("a")}, person("a"), "user_rate", 10 * time.Second},
		{"the longest of several", []call{person("a"), person("a"), person("a"), person("b")}, person("a"),
			"user_rate", 10 * time.Second},
	} {
		eachTransport(t, func(t *testing.T, tr transport) {
			t.Run(c.name, func(t *testing.T) {
				var at clock
				s := start(t, settings{configuration: yaml, now: at.now})
				trial := c.call
				trial.method, trial.body = "MintToken", trial.body+`,"validateOnly":true`
				for _, before := range c.taken {
					mint(t, s, tr, before)
					if r := tr.send(t.Context(), t, s, trial); r.code != codes.OK {
						t.Fatalf("a trial run: %v %s", r.code, r.reason)
					}
				}
				c.call.method = "MintToken"
				for range 5 { // being refused costs nothing
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

// A caller that uses up a person's sign-ins doesn't keep the person out at another caller.
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

// A reload changes nothing of what has been used up, and gives nobody a fresh start.
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
		// A rate that has been changed counts from when it was.
		if err := s.Swap(t.Context(), parse(t, strings.Replace(configuration, "per_second: 0.5, burst: 1", "per_second: 0.1, burst: 2", 1))); err != nil {
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

// A caller with the action refresh can't use up what the store is asked for.
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
		for i := range 20 { // of 40 at once, at all secrets
			name := []string{"acme-staff", "acme-both", "acme-off"}[i%3]
			if r := tr.send(t.Context(), t, s, of(name)); r.code != codes.OK {
				t.Fatalf("%s: %v %s", name, r.code, r.reason)
			}
		}
		r = tr.send(t.Context(), t, s, of("acme-broken"))
		checkRefused(t, tr, r, codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, 200*time.Millisecond)
		if r.info["limit"] != "refresh_rate_all" {
			t.Errorf("refused by %v", r.info)
		}
		at.set(200 * time.Millisecond)
		if r := tr.send(t.Context(), t, s, of("acme-broken")); r.code != codes.OK {
			t.Errorf("%v %s", r.code, r.reason)
		}
	})
}
