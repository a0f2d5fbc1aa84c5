package demo

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
)

const port = "7000"

const shop = `secrets: {source: file, file: {path: secrets.yaml}}
tls: {certificate: absent.crt, key: absent.key}
audit: {email_key_file: absent.key}
configurations:
  - name: shop
    secret: {path: sso/shop}
    zendesk_sso:
      audiences: [end_user]
      brands:
        - {id: "1", subdomain: shop, hosts: [help.shop.example]}
callers:
  - name: storefront
    identities: [{mtls_uri: spiffe://shop.example/storefront}]
    grants:
      - configurations: [shop]
        brands: ["*"]
        actions: [sign_in]
        roles: [end_user]
        email_domains: {allow: ["*"]}
        return_to_hosts: [shop.zendesk.com]
`

// loaded writes files to a folder and loads deskmint.yaml.
func loaded(t *testing.T, files map[string]string) (*config.Snapshot, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(filepath.Join(dir, "deskmint.yaml"), port)
}

// rewritten loads shop with replacements, which are pairs of old and new texts.
func rewritten(t *testing.T, replacements ...string) (*config.Snapshot, *config.Configuration) {
	t.Helper()
	s, err := loaded(t, map[string]string{"deskmint.yaml": strings.NewReplacer(replacements...).Replace(shop)})
	if err != nil {
		t.Fatal(err)
	}
	c, ok := s.Configuration("shop")
	if !ok {
		t.Fatal("no configuration")
	}
	return s, c
}

// allows checks whether the policy allows the storefront a sign-in with return_to at a host.
func allows(t *testing.T, s *config.Snapshot, brand, host string, want bool) {
	t.Helper()
	_, err := s.Policy.Allow("storefront", policy.Request{
		Configuration: "shop", Actions: []policy.Action{policy.SignIn}, Brand: brand,
		Role: "end_user", Email: "a@example.com", ReturnToHosts: []string{host},
	})
	if (err == nil) != want {
		t.Errorf("return_to of brand %s at %s: %v, want allowed %t", brand, host, err, want)
	}
}

func TestFormsPostToTheSandbox(t *testing.T) {
	_, c := rewritten(t)
	if got := c.Profile.Brand("").Action; got != "http://shop.localhost:7000/access/jwt" {
		t.Errorf("the form posts to %s", got)
	}
	page := string(c.Page("", "").Render("TOKEN", ""))
	if !strings.Contains(page, "http://shop.localhost:7000/access/jwt") {
		t.Error("the page posts to another URL")
	}
}

func TestReturnToHosts(t *testing.T) {
	s, _ := rewritten(t)
	allows(t, s, "1", "shop.localhost:7000", true)
	allows(t, s, "1", "shop.zendesk.com", true) // the brand keeps this host
	allows(t, s, "1", "help.shop.example", false)

	for brands, other := range map[string]bool{`["*"]`: true, `["1"]`: false} {
		s, _ = rewritten(t, // two brands with the same endpoint
			"audiences: [end_user]", "audiences: [end_user]\n      endpoint: https://sso.shop.example",
			"        - {id", "        - {id: \"2\", subdomain: outlet, default: true}\n        - {id",
			`brands: ["*"]`, "brands: "+brands, "[shop.zendesk.com]", "[sso.shop.example]",
		)
		allows(t, s, "1", "shop.localhost:7000", true)
		allows(t, s, "2", "outlet.localhost:7000", other)
	}

	s, _ = rewritten(t, "[shop.zendesk.com]", "['*', shop.zendesk.com]")
	allows(t, s, "1", "shop.localhost:7000", true)
	allows(t, s, "1", "help.shop.example", true)
}

// TestOrigins shows that the demo's origin replaces those that a file lists, and that there is a
// warning if a file lists none.
func TestOrigins(t *testing.T) {
	own := []string{"http://shop.localhost:7000", "https://shop.zendesk.com", "https://help.shop.example"}
	for origins, want := range map[string]bool{
		"":                    false,
		"\n      origins: []": false,
		"\n      origins: [https://login.shop.example, https://bye.shop.example]": true,
	} {
		s, c := rewritten(t, "audiences: [end_user]", "audiences: [end_user]"+origins)
		sources := own
		if want {
			sources = append(slices.Clone(own), "http://localhost:7000")
		}
		if got := c.Profile.Brand("").FormActionSources; !slices.Equal(got, sources) {
			t.Errorf("with %q forms may reach %q, want %q", origins, got, sources)
		}
		warned := slices.ContainsFunc(s.Warnings, func(w config.Problem) bool {
			return strings.HasSuffix(w.File, "deskmint.yaml") && w.Line >= 7 &&
				w.Key == "configurations[0].zendesk_sso.origins"
		})
		if warned == want {
			t.Errorf("with %q there are the warnings %v", origins, s.Warnings)
		}
	}
}

// TestOwnProblems shows that the values of the file are checked, although they are replaced.
func TestOwnProblems(t *testing.T) {
	for line, want := range map[string]string{
		"endpoint: http://shop.example":          "endpoint: must be https",
		"origins: ['https://shop.example/path']": "origins[0]: is no origin",
	} {
		text := strings.Replace(shop, "[end_user]\n", "[end_user]\n      "+line+"\n", 1)
		_, err := loaded(t, map[string]string{"deskmint.yaml": text})
		want = "deskmint.yaml:9: configurations[0].zendesk_sso." + want
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want only %s", line, err, want)
		}
	}
}

// TestSharedNodes shows that aliases don't spread a change to other keys.
func TestSharedNodes(t *testing.T) {
	s, c := rewritten(t, "hosts: [help.shop.example]", "hosts: &hosts [help.shop.example, shop.zendesk.com]",
		"[shop.zendesk.com]", "*hosts")
	if got := c.Profile.Brand("").Hosts; !slices.Equal(got, []string{"help.shop.example", "shop.zendesk.com"}) {
		t.Errorf("the brand has the hosts %q", got)
	}
	allows(t, s, "1", "help.shop.example", true)
	allows(t, s, "1", "shop.localhost:7000", true)
}

// TestCallerOfDev shows that the key of dev may do everything unless a file has a caller with that
// key. In this case the caller may do what its grants allow.
func TestCallerOfDev(t *testing.T) {
	hash := strings.ToUpper(caller.HashKey(config.DevKey))
	named := "  - {name: me, identities: [{api_key_sha256: " + hash + "}]}\n"
	main, _, _ := strings.Cut(shop, "configurations:\n")
	_, configurations, _ := strings.Cut(shop, main)
	configurations, _, _ = strings.Cut(configurations, "callers:\n")
	for name, c := range map[string]struct {
		files   map[string]string
		allowed bool
	}{
		"other callers":  {map[string]string{"deskmint.yaml": shop}, true},
		"no callers":     {map[string]string{"deskmint.yaml": main + configurations}, true},
		"without grants": {map[string]string{"deskmint.yaml": shop + named}, false},
		"included": {map[string]string{
			"deskmint.yaml": "include: [more.yaml]\n" + shop, "more.yaml": "callers:\n" + named,
		}, false},
		"included configurations": {map[string]string{
			"deskmint.yaml": "include: [more.yaml]\n" + main, "more.yaml": configurations,
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := loaded(t, c.files)
			if err != nil {
				t.Fatal(err)
			}
			who, err := s.Callers.Authenticate(t.Context(), caller.Credentials{
				Authorization: []string{"Bearer " + config.DevKey},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Policy.Allow(who.Name, policy.Request{
				Configuration: "shop", Actions: []policy.Action{policy.SignIn, policy.Stage}, Brand: "1",
				Role: "admin", Email: "a@b.example", Protected: true,
			})
			if (err == nil) != c.allowed {
				t.Errorf("allowed: %v, want %v", err, c.allowed)
			}
			for _, w := range s.Warnings {
				if w.Key == "callers" {
					t.Errorf("warning %s", w)
				}
			}
		})
	}
}

func TestLoadOfConfiguration(t *testing.T) {
	s, err := Load("", port)
	if err != nil || len(s.Names()) != 2 {
		t.Errorf("%v, %v", s, err)
	}
}
