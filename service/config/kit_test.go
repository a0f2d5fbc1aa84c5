package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/service/policy"
)

// storefrontHash is the hash of the API key of the caller in minimal.
const storefrontHash = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"

// minimal is the configuration that most tests change.
const minimal = `listen: {grpc: "127.0.0.1:9090"}
secrets:
  source: file
  file: {path: secrets.yaml}
configurations:
  - name: acme-customers
    secret: {path: sso/acme-customers}
    zendesk_sso:
      audiences: [end_user]
      origins: [https://login.acme.com]
      brands: [{id: "360001", subdomain: acme, hosts: [help.acme.com]}]
callers:
  - name: storefront
    identities:
      - api_key_sha256: ` + storefrontHash + `
    grants:
      - configurations: [acme-customers]
        brands: ["*"]
        actions: [sign_in, read]
        roles: [end_user]
        email_domains: {allow: ["*"]}
        return_to_hosts: [help.acme.com]
`

// audited is added to the end of minimal, so that there is no warning about audit records.
const audited = "audit: {plain_email: true}\n"

// change replaces the only occurrence of a part of minimal.
func change(t *testing.T, old, with string) string {
	t.Helper()
	if strings.Count(minimal, old) != 1 {
		t.Fatalf("%q is %d times in the minimal configuration", old, strings.Count(minimal, old))
	}
	return strings.Replace(minimal, old, with, 1)
}

// parsed parses a configuration that must be valid.
func parsed(t *testing.T, text string, o Options) *Snapshot {
	t.Helper()
	s, err := Parse("deskmint.yaml", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// problems returns the problems of an error, each as "file:line key", and the error's text.
func problems(t *testing.T, err error) (places []string, text string) {
	t.Helper()
	var e *ProblemsError
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *ProblemsError", err)
	}
	for _, f := range e.Problems {
		places = append(places, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Key))
	}
	return places, e.Error()
}

// write writes files to a folder. Their names are relative to it.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mainFile includes the other files.
const (
	mainFile = "include: [team.yaml, 'conf.d/*.yaml']\nsecrets: {source: file, file: {path: secrets.yaml}}\n"
	teamFile = `configurations:
  - name: team
    secret: {path: sso/team}
    zendesk_sso: {audiences: [team_member], origins: [https://a.example], brands: [{id: "1", subdomain: acme}]}
`
	shopFile = `configurations:
  - name: shop
    secret: {path: sso/shop}
    zendesk_sso: {audiences: [end_user], origins: [https://a.example], brands: [{id: "1", subdomain: acme}]}
`
	callerFile = `callers:
  - name: storefront
    identities: [{api_key_sha256: ` + storefrontHash + `}]
    grants: [{configurations: [team, shop], actions: [read]}]
`
)

// readOf returns a request to read a configuration.
func readOf(configuration string) policy.Request {
	return policy.Request{Configuration: configuration, Actions: []policy.Action{policy.Read}}
}

// example returns the content of an example file.
func example(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// each calls f for every node, including keys.
func each(n *yaml.Node, f func(*yaml.Node)) {
	if n.Kind != yaml.DocumentNode {
		f(n)
	}
	for _, below := range n.Content {
		each(below, f)
	}
}
