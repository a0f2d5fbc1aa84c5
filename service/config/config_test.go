package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/policy"
)

func TestDefaults(t *testing.T) {
	s := parsed(t, strings.TrimPrefix(minimal, `listen: {grpc: "127.0.0.1:9090"}`)+audited, Options{})
	if want := (Listen{GRPC: "127.0.0.1:9090", HTTP: "127.0.0.1:8080", Ops: "127.0.0.1:9091"}); s.Listen != want {
		t.Errorf("listen %+v", s.Listen)
	}
	store := s.Secrets
	if s.TLS != nil || store.Refresh != 10*time.Second || store.MaxRate != 50 || store.MaxStale != 12*time.Hour {
		t.Errorf("tls %v, secrets %+v", s.TLS, s.Secrets)
	}
	c, ok := s.Configuration("acme-customers")
	if !ok {
		t.Fatal("no configuration")
	}
	if c.DisplayName != "acme-customers" || c.MaxStale != 12*time.Hour ||
		c.LoopLimit != 4 || c.LoopWindow != time.Minute {
		t.Errorf("configuration %+v", c)
	}
	if want := (secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"}); c.Secret != want {
		t.Errorf("secret %v", c.Secret)
	}
	if _, ok := s.Configuration("other"); ok {
		t.Error("an unknown configuration was found")
	}
	if len(s.Warnings) != 0 {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestGivenValues(t *testing.T) {
	text := strings.NewReplacer(
		"source: file", "source: file\n  refresh: 1s\n  max_rate: 7\n  max_stale: 2h30m",
		"secret: {path: sso/acme-customers}", `secret: {path: sso/acme-customers, field: key}
    loop: {limit: 100, window: 5m}
    display_name: Acme customers`,
	).Replace(minimal)
	s := parsed(t, text, Options{})
	c, _ := s.Configuration("acme-customers")
	if s.Secrets.Refresh != time.Second || s.Secrets.MaxRate != 7 || s.Secrets.MaxStale != 150*time.Minute {
		t.Errorf("secrets %+v", s.Secrets)
	}
	if c.MaxStale != 150*time.Minute {
		t.Errorf("max_stale is %s, not that of secrets", c.MaxStale)
	}
	if c.Secret.Field != "key" || c.LoopLimit != 100 || c.LoopWindow != 5*time.Minute ||
		c.DisplayName != "Acme customers" {
		t.Errorf("configuration %+v", c)
	}
}

func TestCallersAndPolicy(t *testing.T) {
	key := "dmk_made-up-for-this-test"
	s := parsed(t, change(t, storefrontHash, caller.HashKey(key))+
		"  - {name: idle, identities: [{mtls_dns: idle.acme.internal}]}\n", Options{})
	who, err := s.Callers.Authenticate(t.Context(), caller.Credentials{Authorization: []string{"Bearer " + key}})
	if err != nil || who.Name != "storefront" {
		t.Fatalf("caller %v, %v", who, err)
	}
	ask := policy.Request{
		Configuration: "acme-customers", Actions: []policy.Action{policy.SignIn}, Brand: "360001",
		Role: "end_user", Email: "a@example.com", ReturnToHosts: []string{"help.acme.com"},
	}
	grant, err := s.Policy.Allow(who.Name, ask)
	if err != nil || grant.Place != "callers[0].grants[0]" {
		t.Errorf("grant %v, %v", grant, err)
	}
	for name, want := range map[string]string{"idle": "no grant of caller idle", "nope": "no such caller"} {
		if _, err := s.Policy.Allow(name, ask); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("caller %s: %v, want … %s …", name, err, want)
		}
	}
	ask.Role = "admin"
	if _, err := s.Policy.Allow(who.Name, ask); err == nil {
		t.Error("a role that isn't granted was allowed")
	}
}

func TestRefs(t *testing.T) {
	second := `
  - name: acme-aaa
    secret: {path: sso/acme-customers}
    zendesk_sso: {audiences: [team_member], origins: [https://a.example], brands: [{id: "1", subdomain: acme}]}
  - name: acme-bbb
    secret: {path: sso/another}
    zendesk_sso: {audiences: [team_member], origins: [https://a.example], brands: [{id: "1", subdomain: acme}]}
callers:`
	s := parsed(t, change(t, "\ncallers:", second)+audited, Options{})
	if got := fmt.Sprint(s.Names()); got != "[acme-aaa acme-bbb acme-customers]" {
		t.Errorf("names %s", got)
	}
	if got := fmt.Sprint(s.Refs()); got != "[sso/acme-customers:shared_secret sso/another:shared_secret]" {
		t.Errorf("refs %s", got)
	}
	want := "deskmint.yaml:13: configurations[1].secret: is the same as in line 7: " +
		"to rotate, stage or disable one is to do it to both"
	if len(s.Warnings) != 1 || s.Warnings[0].String() != want {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestProtects(t *testing.T) {
	text := change(t, "    zendesk_sso:", `    protected:
      emails: [ceo@acme.com]
      domains: [board.acme.com, "*.vip.example"]
    zendesk_sso:`)
	s := parsed(t, text, Options{})
	c, _ := s.Configuration("acme-customers")
	for email, want := range map[string]bool{
		"ceo@acme.com":         true,
		"xceo@acme.com":        false,
		"a@acme.com":           false,
		"a@board.acme.com":     true,
		"a@x.board.acme.com":   false,
		"a@xboard.acme.com":    false,
		"a@vip.example":        false,
		"a@b.vip.example":      true,
		"a@xvip.example":       false,
		"a@b.vip.example.com":  false,
		"ceo@acme.com.example": false,
	} {
		if got := c.Protects(email); got != want {
			t.Errorf("Protects(%q) is %v", email, got)
		}
	}
	text = change(t, "    zendesk_sso:", "    protected: {domains: ['*']}\n    zendesk_sso:")
	if c, _ := parsed(t, text, Options{}).Configuration("acme-customers"); !c.Protects("a@example.com") {
		t.Error("* doesn't protect all people")
	}
}

func TestPages(t *testing.T) {
	text := change(t, ` [{id: "360001", subdomain: acme, hosts: [help.acme.com]}]`, `
        - {id: "360001", subdomain: acme, hosts: [help.acme.com], default: true}
        - {id: "360002", subdomain: acme-labs, page: {language: de-AT, title: Hereinspaziert}}
        - {id: "360003", subdomain: acme-uk, page: {language: en-GB, title: Signing you in}}`)
	s := parsed(t, text, Options{})
	c, _ := s.Configuration("acme-customers")
	html := func(brand, language string) string { return string(c.Page(brand, language).Render("TOKEN", "")) }
	for _, test := range []struct{ brand, language, holds, lacks string }{
		{"", "", "https://acme.zendesk.com/access/jwt", "Hereinspaziert"},
		{"360001", "de", `lang="de"`, "Hereinspaziert"},
		{"360001", "pt-PT", `lang="pt-BR"`, ""},
		{"360001", "ar-EG", `dir="rtl"`, ""},
		{"360001", "ko", `lang="en"`, ""},
		{"360002", "", `lang="de-AT"`, `lang="en"`},
		{"360002", "", "Hereinspaziert", ""},
		{"360002", "de", "Hereinspaziert", ""},
		{"360002", "ja", `lang="ja"`, "Hereinspaziert"},
		{"360002", "ko", "Hereinspaziert", ""},
		{"360002", "not_a*tag", "Hereinspaziert", ""},
		{"360002", "en-GB", `lang="en"`, "Hereinspaziert"},
		{"360002", "", "https://acme-labs.zendesk.com/access/jwt", ""},
		{"360002", "", "acme-customers/360002", ""},
		{"360003", "en", "Signing you in", ""},
		{"360003", "en-US", `lang="en-GB"`, ""},
	} {
		got := html(test.brand, test.language)
		if !strings.Contains(got, test.holds) {
			t.Errorf("the page of brand %q in %q has no %s", test.brand, test.language, test.holds)
		}
		if test.lacks != "" && strings.Contains(got, test.lacks) {
			t.Errorf("the page of brand %q in %q has %s", test.brand, test.language, test.lacks)
		}
	}
	if c.Page("360009", "") != nil {
		t.Error("an unknown brand has a page")
	}
}

// TestRewrite shows that a file is checked after Rewrite has changed it.
func TestRewrite(t *testing.T) {
	rewrite := func(endpoint string) Options {
		return Options{Rewrite: func(f *File, warn func(key, message string)) {
			f.Configurations[0].ZendeskSSO.Endpoint = endpoint
			warn("configurations[0].zendesk_sso.origins", "is a warning")
		}}
	}
	text := change(t, "audiences: [end_user]", "audiences: [end_user]\n      endpoint: http://acme.com")
	s := parsed(t, text, rewrite("http://{subdomain}.localhost:7000"))
	want := "deskmint.yaml:11: configurations[0].zendesk_sso.origins: is a warning"
	if !slices.ContainsFunc(s.Warnings, func(w Problem) bool { return w.String() == want }) {
		t.Errorf("warnings %v, want %s", s.Warnings, want)
	}
	c, _ := s.Configuration("acme-customers")
	if got := c.Profile.Brand("").Action; got != "http://acme.localhost:7000/access/jwt" {
		t.Errorf("the form posts to %s", got)
	}
	page := string(c.Page("", "").Render("TOKEN", ""))
	if !strings.Contains(page, "http://acme.localhost:7000/access/jwt") {
		t.Error("the page posts to another URL")
	}
	for text, want := range map[string]string{
		text:    "[deskmint.yaml:10 configurations[0].zendesk_sso.endpoint]",
		minimal: "[deskmint.yaml:8 configurations[0].zendesk_sso.endpoint]", // the line of the block
	} {
		_, err := Parse("deskmint.yaml", []byte(text), rewrite("http://example.com"))
		if places, _ := problems(t, err); fmt.Sprint(places) != want {
			t.Errorf("problems %v, want %s", places, want)
		}
	}
}

func TestDevKey(t *testing.T) {
	text := change(t, storefrontHash, strings.ToUpper(caller.HashKey(DevKey)))
	s := parsed(t, text, Options{Development: true})
	_, err := s.Callers.Authenticate(t.Context(), caller.Credentials{Authorization: []string{"Bearer dmk_dev"}})
	if err != nil {
		t.Errorf("dev's own key: %v", err)
	}
	_, err = Parse("deskmint.yaml", []byte(text), Options{})
	want := "[deskmint.yaml:15 callers[0].identities[0].api_key_sha256]"
	if places, _ := problems(t, err); fmt.Sprint(places) != want {
		t.Errorf("problems %v", places)
	}
}

// TestSnapshotsAreIndependent changes a snapshot through its exported fields, and shows that other
// snapshots of the same text don't change.
func TestSnapshotsAreIndependent(t *testing.T) {
	text := strings.NewReplacer(
		"source: file", "source: memory",
		"callers:", `tls: {allow_plaintext: true}
issuers: [{name: a, issuer: "https://a.example", audience: a, jwks: "https://a.example/k"}]
callers:`,
	).Replace(minimal)
	first, second := parsed(t, text, Options{}), parsed(t, text, Options{})
	if first.Digest != second.Digest || len(first.Digest) != 64 {
		t.Errorf("digests %q and %q", first.Digest, second.Digest)
	}
	a, _ := first.Configuration("acme-customers")
	b, _ := second.Configuration("acme-customers")
	if a == b || a.Profile == b.Profile || a.Page("", "") == b.Page("", "") ||
		first.Policy == second.Policy || first.TLS == second.TLS {
		t.Error("two snapshots share values")
	}
	first.TLS.AllowPlaintext, first.Issuers[0].Name, first.Warnings[0].Key = false, "b", "x"
	first.Names()[0], first.Refs()[0].Path = "x", "x"
	if first.Names()[0] != "acme-customers" || first.Refs()[0].Path != "sso/acme-customers" {
		t.Error("a snapshot returned a slice without copying it")
	}
	a.Name, a.protectedEmails = "other", []string{"a@b.example"}
	third := parsed(t, text, Options{})
	if c, _ := third.Configuration("acme-customers"); c.Name != b.Name || c.Protects("a@b.example") {
		t.Error("a change of one snapshot shows in the next")
	}
	if !second.TLS.AllowPlaintext || second.Issuers[0].Name != "a" || second.Warnings[0].Key == "x" {
		t.Error("a change of one snapshot shows in another")
	}
	if other := parsed(t, minimal, Options{}); other.Digest == first.Digest {
		t.Error("two texts have one digest")
	}
}

// TestClaimValuesAreText shows that a value in a grant's list is read as text.
func TestClaimValuesAreText(t *testing.T) {
	text := `
secrets: {source: memory}
configurations:
  - {name: acme, secret: {path: a}, zendesk_sso: {audiences: [end_user], brands: [{id: "1", subdomain: acme}]}}
callers:
  - name: shop
    identities: [{api_key_sha256: ` + caller.HashKey("dmk_x") + `}]
    grants:
      - {configurations: [acme], brands: ["*"], actions: [sign_in], roles: [unset], email_domains: {allow: ["*"]},
         claims: {external_id: [0123, 1_000, 0x1F, 7, true, 1.50]}}
`
	snapshot, err := Parse("t.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for value, allowed := range map[string]bool{
		"0123": true, "1_000": true, "0x1F": true, "7": true, "true": true, "1.50": true,
		"83": false, "123": false, "1000": false, "31": false, "1.5": false,
	} {
		ask := policy.Request{
			Configuration: "acme", Actions: []policy.Action{policy.SignIn}, Brand: "1", Role: policy.RoleUnset,
			Claims: []policy.Claim{{Name: policy.ClaimExternalID, Field: "user.external_id", Values: []string{value}}},
		}
		if _, err := snapshot.Policy.Allow("shop", ask); (err == nil) != allowed {
			t.Errorf("%s: %v, want allowed %v", value, err, allowed)
		}
	}
}
