package caller_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

func TestLabel(t *testing.T) {
	hash := strings.Repeat("6B4E6018", 8)
	for _, test := range []struct {
		id   caller.Identity
		want string
	}{
		{caller.Identity{Name: "checkout", APIKeySHA256: hash}, "checkout"},
		{caller.Identity{APIKeySHA256: hash}, "api_key:6b4e6018"},
		{caller.Identity{MTLSURI: "spiffe://acme.internal/shop"}, "mtls_uri:spiffe://acme.internal/shop"},
		{caller.Identity{MTLSDNS: "Shop.acme.internal"}, "mtls_dns:shop.acme.internal"},
		{caller.Identity{JWT: &caller.JWT{Issuer: "cluster", Subject: "shop"}}, "jwt:cluster/shop"},
		{caller.Identity{JWT: &caller.JWT{Issuer: "cluster", Subject: "system:serviceaccount:shop:storefront"}},
			"jwt:cluster/system:serviceaccount:shop:storefront"},
		{caller.Identity{JWT: &caller.JWT{Issuer: "cluster", Subject: "shop?env=prod"}}, "jwt:cluster/shop%3Fenv=prod"},
		{caller.Identity{JWT: &caller.JWT{Issuer: "cluster", Claims: map[string]any{"team": "7", "env": "prod"}}},
			"jwt:cluster/?env=prod&team=7"},
		{caller.Identity{JWT: &caller.JWT{Issuer: "cluster", Subject: "shop", Claims: map[string]any{"env": "prod"}}},
			"jwt:cluster/shop?env=prod"},
	} {
		if got := test.id.Label(); got != test.want {
			t.Errorf("the label is %q, want %q", got, test.want)
		}
	}
}

// TestIdentities checks three things for each kind of credential. The caller has the identity that
// was presented. The identity is accepted until its end and not after, without a reload. If a
// credential matches several identities of a caller, one that hasn't ended is enough.
func TestIdentities(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	var (
		early, late = begin.Add(5 * time.Minute), begin.Add(10 * time.Minute)
		long        = fmt.Sprint(begin.Add(time.Hour).Unix())
		key, hash   = caller.NewKey()
		uri         = "spiffe://acme.internal/shop"
		dns         = "shop.acme.internal"
		token       = func(change ...string) caller.Credentials {
			return bearer(es256("e1", ecKey(), claims(f.URL, begin, append(change, "exp", long)...)))
		}
		cert = func(uris, names []string) caller.Credentials {
			return caller.Credentials{Certificate: certificate(uris, names, "")}
		}
	)
	c := newCallers(t, map[string][]caller.Identity{
		"shop": {
			{Name: "key", NotAfter: early, APIKeySHA256: hash},
			{Name: "uri", NotAfter: early, MTLSURI: uri},
			{NotAfter: late, MTLSDNS: dns},
			{Name: "token", NotAfter: early, JWT: &caller.JWT{Issuer: "cluster", Subject: "shop"}},
			{Name: "team", NotAfter: late, JWT: &caller.JWT{Issuer: "cluster", Claims: map[string]any{"team": "7"}}},
		},
		"cron": {
			{Name: "ended", NotAfter: begin.Add(-time.Hour), MTLSURI: "spiffe://acme.internal/cron"},
		},
	}, f.sets, f.issuer)

	for _, test := range []struct {
		name      string
		presented caller.Credentials
		want      []string // at the beginning, after the early end, and after the late end
	}{
		{"key", bearer(key), []string{"shop/key", "ended shop/key", "ended shop/key"}},
		{"URI", cert([]string{uri}, nil), []string{"shop/uri", "ended shop/uri", "ended shop/uri"}},
		{"URI and DNS name", cert([]string{uri}, []string{dns}),
			[]string{"shop/uri", "shop/mtls_dns:" + dns, "ended shop/uri"}},
		{"token", token(), []string{"shop/token", "ended shop/token", "ended shop/token"}},
		{"token of two identities", token("team", "7"), []string{"shop/team", "shop/team", "ended shop/team"}},
		{"ended", cert([]string{"spiffe://acme.internal/cron"}, nil),
			[]string{"ended cron/ended", "ended cron/ended", "ended cron/ended"}},
		{"ended of one caller, and another caller's", cert([]string{"spiffe://acme.internal/cron"}, []string{dns}),
			[]string{"ambiguous", "ambiguous", "ambiguous"}},
		{
			"ended, and an authorization",
			caller.Credentials{
				Certificate:   certificate([]string{"spiffe://acme.internal/cron"}, nil, ""),
				Authorization: []string{"Bearer " + key},
			},
			[]string{"several", "several", "several"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer f.add(begin.Sub(f.Now()))
			outcome := func() string {
				found, err := c.Authenticate(t.Context(), test.presented)
				var ended *caller.EndedError
				switch {
				case err == nil:
					return found.Name + "/" + found.Identity
				case found != caller.Caller{}:
					return "an error with the caller " + found.Name
				case errors.As(err, &ended) && errors.Is(err, caller.ErrExpired):
					return "ended " + ended.Caller.Name + "/" + ended.Caller.Identity
				case errors.Is(err, caller.ErrAmbiguous):
					return "ambiguous"
				case errors.Is(err, caller.ErrSeveral):
					return "several"
				}
				return err.Error()
			}
			for i, at := range []time.Time{begin, early.Add(time.Nanosecond), late.Add(time.Nanosecond)} {
				f.add(at.Sub(f.Now()))
				for range 2 { // the second time, a token is cached
					if got := outcome(); got != test.want[i] {
						t.Errorf("after %v the result is %q, want %q", at.Sub(begin), got, test.want[i])
					}
				}
			}
		})
	}

	// NotAfter itself is still valid.
	f.add(early.Sub(f.Now()))
	for _, presented := range []caller.Credentials{bearer(key), cert([]string{uri}, nil), token()} {
		if _, err := c.Authenticate(t.Context(), presented); err != nil {
			t.Errorf("exactly at NotAfter: %v", err)
		}
	}
}

// TestCachedTokenOfTwoIdentities checks that a token with two identities is accepted by the second
// after the first has ended, although it was cached with the first.
func TestCachedTokenOfTwoIdentities(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	end := begin.Add(time.Minute)
	c := newCallers(t, map[string][]caller.Identity{"shop": {
		{Name: "team", NotAfter: end, JWT: &caller.JWT{Issuer: "cluster", Claims: map[string]any{"team": "7"}}},
		{Name: "token", JWT: &caller.JWT{Issuer: "cluster", Subject: "shop"}},
	}}, f.sets, f.issuer)
	presented := bearer(es256("e1", ecKey(),
		claims(f.URL, begin, "team", "7", "exp", fmt.Sprint(begin.Add(time.Hour).Unix()))))
	for _, want := range []string{"team", "team", "token", "token"} {
		found, err := c.Authenticate(t.Context(), presented)
		if err != nil || found.Identity != want {
			t.Errorf("the identity is %q, %v; want %s", found.Identity, err, want)
		}
		if want == "team" {
			f.add(31 * time.Second)
		}
	}
}
