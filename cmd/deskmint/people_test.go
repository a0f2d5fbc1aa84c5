package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// quickstart returns a copy of examples/quickstart.yaml with its secrets and a caller's key.
func quickstart(t *testing.T, change ...string) (path, key string) {
	t.Helper()
	key, hash := caller.NewKey()
	change = append(change, "6b4e6018651c66e7871295049da6a8472a5632e64e11c329d44979b6ac885df3", hash)
	text := readFile(t, "../../examples/quickstart.yaml")
	for i := 0; i < len(change); i += 2 {
		if strings.Count(text, change[i]) != 1 {
			t.Fatalf("%q isn't once in the quick start", change[i])
		}
	}
	dir := folder(t, map[string]string{
		"quickstart.yaml": strings.NewReplacer(change...).Replace(text),
		"secrets.yaml":    readFile(t, "../../examples/secrets.yaml"),
		"audit.key":       readFile(t, "../../examples/audit.key"),
	})
	return filepath.Join(dir, "quickstart.yaml"), key
}

// TestExternalIDOfAnother checks the grant of the quick start. The storefront can't sign in anyone
// by the external id of an administrator, because the grant denies the administrator's domain.
func TestExternalIDOfAnother(t *testing.T) {
	t.Parallel()
	path, key := quickstart(t)
	d := serve(t, path)
	d.awaitState(t, "usable", 1, "")
	for id, want := range map[string]string{
		"E-1": "CLAIM_NOT_ALLOWED", "1": "CLAIM_NOT_ALLOWED", "Shop-1": "CLAIM_NOT_ALLOWED",
		" shop-1": "CLAIM_NOT_ALLOWED",
		"shop-1":  "", "shop-1 ": "INVALID_FIELD",
	} {
		for _, method := range []string{"mintToken", "renderForm", "renderPage"} {
			body := `{"user":{"email":"x@evil.example","name":"X","emailVerified":true,"externalId":"` + id + `"}}`
			got := d.post(t, key, "/v1/configurations/acme-customers:"+method, body)
			named := strings.Contains(got.body, "user.externalId")
			if got.reason != want || (got.status == http.StatusOK) != (want == "") || want != "" && !named {
				t.Errorf("%s with external id %q: %d %s, want %q", method, id, got.status, got.body, want)
			}
		}
	}
	// An address of the denied domain or of its subdomains is also refused.
	for _, email := range []string{"x@acme.com", "x@sub.acme.com"} {
		body := strings.Replace(anaJSON, "ana@customer.example", email, 1)
		if got := d.post(t, key, "/v1/configurations/acme-customers:mintToken",
			body); got.reason != "EMAIL_NOT_ALLOWED" {
			t.Errorf("%s: %d %s", email, got.status, got.body)
		}
	}
}

// TestProtectedExternalIDProcess checks that a protected id is refused in every spelling, although
// the grant's rule covers it. With `protected: true` it is signed in.
func TestProtectedExternalIDProcess(t *testing.T) {
	t.Parallel()
	const protected = "    protected: {external_ids: [shop-Kim]}\n    zendesk_sso:"
	for grant, want := range map[string]string{"": "CLAIM_NOT_ALLOWED", "\n        protected: true": ""} {
		path, key := quickstart(t, "    zendesk_sso:", protected, `brands: ["*"]`, `brands: ["*"]`+grant)
		d := serve(t, path)
		d.awaitState(t, "usable", 1, "")
		for _, id := range []string{"shop-kim", "shop-KIM", `shop-\u212aim`, `shop-k\u0131m`, "shop-kîm"} {
			body := strings.Replace(anaJSON, `"name"`, `"externalId":"`+id+`","name"`, 1)
			if got := d.post(t, key, "/v1/configurations/acme-customers:mintToken", body); got.reason != want {
				t.Errorf("%s under%q: %d %s, want %q", id, grant, got.status, got.body, want)
			}
		}
	}
}

// TestAnyExternalIDIsRefused checks that serve refuses a file that has `external_id: any` together
// with denied domains or protected people. `config check` reports file, line and key.
func TestAnyExternalIDIsRefused(t *testing.T) {
	t.Parallel()
	const rule = "external_id: {prefix: shop-}"
	for name, change := range map[string][]string{
		"denied domain": {rule, "external_id: any"},
		"protected person": {
			rule, "external_id: any", `, deny: [acme.com, "*.acme.com"]`, "",
			"    zendesk_sso:", "    protected: {emails: [ceo@acme.com]}\n    zendesk_sso:",
		},
	} {
		path, _ := quickstart(t, change...)
		text := readFile(t, path)
		line := 1 + strings.Count(text[:strings.Index(text, "external_id: any")], "\n")
		place := fmt.Sprintf("%s:%d: callers[0].grants[0].claims.external_id: must not be any", path, line)
		_, faults, err := invoke(t, "", "config", "check", path)
		if err == nil || strings.Count(faults, "\n") != 1 || !strings.HasPrefix(faults, place) ||
			!strings.Contains(faults, "{prefix: …}") {
			t.Errorf("%s: config check reports %v:\n%s", name, err, faults)
		}
		out, _, err := invoke(t, "", append([]string{"serve", "--config", path}, anyPort...)...)
		if err == nil || !strings.Contains(err.Error(), place) || strings.Contains(out, "ready") {
			t.Errorf("%s: serve reports %v", name, err)
		}
	}
	const unbounded = "external_id: {any: true, unbounded: true}"
	path, _ := quickstart(t, rule, unbounded, `deny: [acme.com, "*.acme.com"]`, "deny: [acme.com]")
	out, warnings, err := invoke(t, "", "config", "check", path)
	const warned = "callers[0].grants[0].email_domains.deny[0]: denies acme.com, but not its subdomains"
	if err != nil || !strings.Contains(out, "ok, 1 configuration") || !strings.Contains(warnings, warned) {
		t.Errorf("unbounded, and a domain without its subdomains: %v\n%s%s", err, out, warnings)
	}
}

// TestBrandIsNoBoundary checks that a token that was minted under a grant for one brand signs in at
// another brand of the account. A token names no brand.
func TestBrandIsNoBoundary(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	oneBrand := strings.NewReplacer(`brands: ["*"]`, `brands: ["77"]`, "return_to_hosts: [shop.zendesk.com]",
		"return_to_hosts: []")
	dir := folder(t, map[string]string{"deskmint.yaml": oneBrand.Replace(ownConfiguration(hash))})
	d := dev(t, "--config", filepath.Join(dir, "deskmint.yaml"))
	const mint = "/v1/configurations/shop:mintToken"
	if got := d.post(t, key, mint,
		strings.Replace(anaJSON, "{", `{"brandId":"78",`, 1)); got.reason != "BRAND_NOT_ALLOWED" {
		t.Fatalf("the other brand: %d %s", got.status, got.body)
	}
	minted := d.post(t, key, mint, strings.Replace(anaJSON, "{", `{"brandId":"77",`, 1))
	if minted.status != http.StatusOK || !strings.Contains(minted.form.Action, "//shop.localhost:") {
		t.Fatalf("%d %s", minted.status, minted.body)
	}
	elsewhere := minted.form
	elsewhere.Action = strings.Replace(elsewhere.Action, "//shop.", "//outlet.", 1)
	elsewhere.Fields["return_to"] = "/hc/en-us/orders" // a token doesn't name return_to either
	page := checkPost(t, d.sandbox, elsewhere, "Ana")
	if !strings.Contains(page, "is signed in to Outlet") || !strings.Contains(page, "/hc/en-us/orders") {
		t.Errorf("at the other brand:\n%s", page)
	}
}
