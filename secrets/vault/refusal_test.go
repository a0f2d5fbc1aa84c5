package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// TestARefusalIsConfirmed checks that a 403 is ErrDenied, which drops the held keys, only after
// Vault has confirmed it. Any other answer means that the store is unavailable.
func TestARefusalIsConfirmed(t *testing.T) {
	const metadataPath, dataPath = "secret/metadata/sso/acme", "secret/data/sso/acme"
	has := func(capabilities string) reply {
		return reply{
			200,
			`{"data": {"` + metadataPath + `": ` + capabilities + `, "` + dataPath + `": ` + capabilities + `}, ` +
				`"note": "` + canary + `"}`,
		}
	}
	for _, tc := range []struct {
		name   string
		answer reply
		denied bool
		says   string
	}{
		{"denied", has(`["deny"]`), true, "policy"},
		{"may do other things", has(`["list", "update"]`), true, "policy"},
		{"may do nothing", has(`[]`), true, "policy"},
		{"may not read its capabilities", reply{403, canary}, true, "policy"},
		{"may read", has(`["list", "read"]`), false, "though the token may read there"},
		{"root", has(`["root"]`), false, "though the token may read there"},
		{"sealed meanwhile", reply{503, canary}, false, "sealed"},
		{"a fault", reply{500, canary}, false, "(500)"},
		{"too many requests", reply{429, canary}, false, "quota"},
		{"a lagging replica", reply{412, canary}, false, "lags behind"},
		{"refused as malformed", reply{400, canary}, false, "(400)"},
		{"nothing there", reply{404, canary}, false, "(404)"},
		{"not offered", reply{405, canary}, false, "(405)"},
		{"not JSON", reply{200, canary}, false, "the answer doesn't contain the path"},
		{"no data", reply{200, `{}`}, false, "the answer doesn't contain the path"},
		{
			"another path",
			reply{200, `{"data": {"` + canary + `": ["deny"]}}`}, false, "the answer doesn't contain the path",
		},
		{"null", has(`null`), false, "the answer doesn't contain the path"},
		{"wrong types", has(`"` + canary + `"`), false, "the answer doesn't contain the path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFakeVault(t)
			f.answers[metadataPath] = reply{403, canary}
			f.answers[dataPath] = reply{403, canary}
			f.answers["sys/capabilities-self"] = tc.answer
			source := newSource(t, appRole(t, f.URL), vault.Options{})
			_, metadataErr := source.Status(t.Context(), acme.Path)
			_, dataErr := source.Key(t.Context(), acme, 2)
			secretstest.CheckErrorText(t, metadataErr, "vault: reading "+metadataPath+": ", "(403)", tc.says)
			secretstest.CheckErrorText(t, dataErr, "vault: reading "+dataPath+" version 2: ", "(403)", tc.says)
			for _, err := range []error{metadataErr, dataErr} {
				if !tc.denied {
					checkUnavailable(t, err)
				} else if !errors.Is(err, secrets.ErrDenied) {
					t.Errorf("%v, want ErrDenied", err)
				}
			}
			if n := f.count("sys/capabilities-self"); n != 2 || f.logins != 2 {
				t.Errorf("%d requests for capabilities after two refusals, %d logins", n, f.logins)
			}
		})
	}
}

// TestRequestThatConfirmsARefusal checks that the request for capabilities has the exact path and
// the token that was refused last.
func TestRequestThatConfirmsARefusal(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	var requests []string
	transport := roundTrip(func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/sys/capabilities-self") {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			req.Body = io.NopCloser(bytes.NewReader(body))
			requests = append(requests, req.Header.Get("X-Vault-Token")+" "+string(body))
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now, Transport: transport})
	if _, err := source.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	f.set(func(f *fakeVault) { f.answers["secret/data/sso/acme"] = reply{403, canary} })
	now.add(time.Minute)
	if _, err := source.Key(t.Context(), acme, 2); !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("%v, want ErrDenied", err)
	}
	if want := `t2 {"paths":["secret/data/sso/acme"]}`; len(requests) != 1 || requests[0] != want {
		t.Errorf("requests %q, want one: %s", requests, want)
	}
}

func TestARefusalThatCantBeConfirmedInTime(t *testing.T) {
	t.Parallel()
	f := newFakeVault(t)
	f.answers["secret/metadata/sso/acme"] = reply{403, canary}
	hangs := roundTrip(func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/sys/capabilities-self") {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	source := newSource(t, appRole(t, f.URL), vault.Options{Transport: hangs, Timeout: 2 * time.Second})
	_, err := source.Status(t.Context(), acme.Path)
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err,
		"reading secret/metadata/sso/acme: refused (403), and reading sys/capabilities-self: ", "no answer in time")
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v wraps the deadline of a request", err)
	}
}

// realRefusalDespitePolicy checks a read that Vault refuses although the policy permits it, because
// response wrapping is missing. Such a refusal doesn't mean that the permission was lost.
func realRefusalDespitePolicy(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	ref := secrets.Ref{Path: "sso/odd", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})
	settings = withRules(t, server, settings, "odd", `path "secret/+/sso/*" { capabilities = ["read"] }`)
	k := warm(t, newSource(t, settings, vault.Options{}), ref)
	refresh := func() (*secrets.Held, error, error) {
		_, _, refreshErr := k.Refresh(t.Context(), ref)
		held, err := k.Get(ref, 0)
		return held, err, refreshErr
	}

	server.Policy(t, "odd", `path "secret/+/sso/*" { capabilities = ["read"] min_wrapping_ttl = "1s" }`)
	held, err, refreshErr := refresh()
	if err != nil {
		t.Fatalf("the held keys were dropped: %v", err)
	}
	key, _ := held.Key(0)
	secretstest.CheckKey(t, key, first)
	checkUnavailable(t, refreshErr)
	secretstest.CheckErrorText(t, refreshErr, "secret/metadata/sso/odd", "though the token may read there")

	server.Policy(t, "odd", `path "secret/other" { capabilities = ["read"] }`)
	if _, err, _ := refresh(); !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("a refusal that Vault confirms: %v, want ErrDenied", err)
	}
}

// realRefusalWithoutDefaultPolicy checks a refused read with a token that lacks Vault's policy
// `default`. Such a token may not read its capabilities.
func realRefusalWithoutDefaultPolicy(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	ref := secrets.Ref{Path: "sso/bare", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})
	settings = withRules(t, server, settings, "bare", `path "secret/+/sso/*" { capabilities = ["read"] }`)
	server.Do(t, http.MethodPost, "auth/approle/role/bare", map[string]any{"token_no_default_policy": true})
	answers := map[string]int{}
	transport := roundTrip(func(req *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			answers[strings.TrimPrefix(req.URL.Path, "/v1/")] = resp.StatusCode
		}
		return resp, err
	})
	source := newSource(t, settings, vault.Options{Transport: transport})
	if _, err := source.Status(t.Context(), ref.Path); err != nil {
		t.Fatal(err)
	}
	server.Policy(t, "bare", `path "secret/other" { capabilities = ["read"] }`)
	if _, err := source.Status(t.Context(), ref.Path); !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("%v, want ErrDenied", err)
	}
	if got := answers["sys/capabilities-self"]; got != http.StatusForbidden {
		t.Errorf("the request for capabilities was answered with %d, want 403", got)
	}
}
