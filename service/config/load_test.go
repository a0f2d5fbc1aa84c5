package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskmint/deskmint/service/certs/certstest"
)

func TestInclude(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"deskmint.yaml":         mainFile,
		"team.yaml":             teamFile,
		"conf.d/20-caller.yaml": callerFile,
		"conf.d/10-shop.yaml":   shopFile,
		"conf.d/.#shop.yaml":    "a lock file of an editor",
		"conf.d/notes.txt":      "no pattern matches this file",
	})
	path := filepath.Join(dir, "deskmint.yaml")
	s, err := Load(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Names()); got != "[shop team]" {
		t.Errorf("names %s", got)
	}
	if s.Secrets.File.Path != filepath.Join(dir, "secrets.yaml") {
		t.Errorf("the file of secrets is %s", s.Secrets.File.Path)
	}
	grants, err := s.Policy.Allow("storefront", readOf("shop"))
	want := filepath.Join(dir, "conf.d/20-caller.yaml") + ": callers[0].grants[0]"
	if err != nil || grants.Place != want {
		t.Errorf("grant %v, %v", grants, err)
	}

	write(t, dir, map[string]string{"conf.d/10-shop.yaml": shopFile + "# changed\n"})
	changed, err := Load(path, Options{})
	if err != nil || changed.Digest == s.Digest {
		t.Errorf("an included file has changed, but not the digest: %v", err)
	}
}

func TestIncludeOfItself(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(mainFile, "'conf.d/*.yaml'", "'*.yaml', team.yaml", 1) + callerFile
	write(t, dir, map[string]string{"deskmint.yaml": text, "team.yaml": teamFile, "x-shop.yaml": shopFile})
	s, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Names()); got != "[shop team]" {
		t.Errorf("names %s", got)
	}
}

func TestIncludeInAFolderWithWildcardsInItsName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[1]*")
	write(t, dir, map[string]string{"deskmint.yaml": mainFile, "team.yaml": teamFile, "conf.d/shop.yaml": shopFile})
	s, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
	if err != nil || len(s.Names()) != 2 {
		t.Errorf("%v", err)
	}
}

func TestIncludeProblems(t *testing.T) {
	for _, test := range []struct {
		name     string
		files    map[string]string
		problems []string // "FILE:LINE KEY"
		message  string
	}{
		{"no main file", map[string]string{}, []string{"deskmint.yaml:0 "}, "can't be read: no such file"},
		{
			"a folder for a file", map[string]string{"deskmint.yaml/x": ""},
			[]string{"deskmint.yaml:0 "}, "can't be read: is a directory",
		},
		{
			"no such file", map[string]string{"deskmint.yaml": mainFile + callerFile},
			[]string{"deskmint.yaml:1 include[0]"}, "can't be found",
		},
		{
			"a folder that is included", map[string]string{
				"deskmint.yaml": mainFile + callerFile, "team.yaml": teamFile, "conf.d/x.yaml/y": "",
			},
			[]string{"conf.d/x.yaml:0 "}, "is a directory",
		},
		{
			"invalid syntax, and a problem of another file", map[string]string{
				"deskmint.yaml": mainFile + "listen: {grpc: 1}\n" + callerFile, "team.yaml": "\n  a: b\n c: d\n",
			},
			[]string{"deskmint.yaml:3 listen.grpc", "team.yaml:2 "}, "must be text",
		},
		{
			"main keys in an included file", map[string]string{
				"deskmint.yaml": mainFile, "team.yaml": teamFile + "audit: {output: stderr}\ninclude: [x]\n",
			},
			[]string{"team.yaml:5 audit", "team.yaml:6 include"}, "belongs in the main file",
		},
		{
			"problems of several files", map[string]string{
				"deskmint.yaml": mainFile, "team.yaml": teamFile,
				"conf.d/a.yaml": strings.Replace(shopFile, "name: shop", "name: team", 1),
				"conf.d/b.yaml": "callers:\n  - {nam: x}\n",
			},
			[]string{
				"conf.d/a.yaml:2 configurations[0].name",
				"conf.d/b.yaml:2 callers[0].identities",
				"conf.d/b.yaml:2 callers[0].nam",
			},
			"is the same name as in team.yaml:2",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, test.files)
			_, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
			places, text := problems(t, err)
			for i := range places {
				places[i] = strings.TrimPrefix(places[i], dir+"/")
			}
			if !slices.Equal(places, test.problems) {
				t.Errorf("problems at %q\nwant      %q\n%s", places, test.problems, text)
			}
			if text = strings.ReplaceAll(text, dir, "DIR"); !strings.Contains(text, test.message) {
				t.Errorf("problems\n%s\nlack %q", text, test.message)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	ours := certstest.New(t, "ours")
	server, another := ours.Server(t), ours.Server(t)
	good := map[string]string{
		"tls.crt":   server.Certificate,
		"tls.key":   server.Key,
		"ca.pem":    ours.PEM,
		"ca2.pem":   ours.PEM,
		"audit.key": strings.Repeat("k", 32) + "\n",
		// RFC 8037, appendix A.2
		"keys.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		"deskmint.yaml": `secrets:
  source: vault
  vault: {addresses: ["https://vault.internal"], ca: ca.pem, auth: {method: token, token_file: token}}
tls:
  certificate: tls.crt
  key: tls.key
  client_ca: ca.pem
audit:
  output: audit.log
  email_key_file: audit.key
issuers:
  - {name: cluster, issuer: "https://a.example", audience: deskmint, ca: ca2.pem, token_file: token}
  - {name: other, issuer: "https://b.example", audience: deskmint, jwks: keys.json}
` + teamFile,
	}
	for _, test := range []struct {
		name, file, text string // text "-": the file is missing
		problem, message string
	}{
		{name: "valid files"},
		{"no certificate", "tls.crt", "-", "deskmint.yaml:5 tls.certificate", "no such file"},
		{"no key", "tls.key", "-", "deskmint.yaml:6 tls.key", "no such file"},
		{"key for a certificate", "tls.crt", server.Key, "deskmint.yaml:5 tls.certificate", "holds no certificate"},
		{"certificate for a key", "tls.key", server.Certificate, "deskmint.yaml:6 tls.key", "isn't the private key"},
		{"another's key", "tls.key", another.Key, "deskmint.yaml:6 tls.key", "isn't the private key"},
		{
			"a leaf for an authority", "ca.pem", server.Certificate, "deskmint.yaml:7 tls.client_ca",
			"may issue no others",
		},
		{
			"client authorities", "ca.pem", "nothing",
			"deskmint.yaml:3 secrets.vault.ca deskmint.yaml:7 tls.client_ca", "holds no certificate",
		},
		{
			"short audit key", "audit.key", strings.Repeat("k", 31) + "\n", "deskmint.yaml:10 audit.email_key_file",
			"is too short: 31 of at least 32 bytes",
		},
		{"issuer's authority", "ca2.pem", "nothing", "deskmint.yaml:12 issuers[0].ca", "holds no certificate"},
		{"no issuer's authority", "ca2.pem", "-", "deskmint.yaml:12 issuers[0].ca", "no such file"},
		{"no issuer's keys", "keys.json", "-", "deskmint.yaml:13 issuers[1].jwks", "no such file"},
		{"issuer's keys of no use", "keys.json", `{"keys":[{}]}`, "deskmint.yaml:13 issuers[1].jwks", "no JWK set"},
		{"no audit key", "audit.key", "-", "deskmint.yaml:10 audit.email_key_file", "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, good)
			if test.text == "-" {
				os.Remove(filepath.Join(dir, test.file))
			} else if test.file != "" {
				write(t, dir, map[string]string{test.file: test.text})
			}
			s, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
			if test.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{
					s.TLS.Certificate, s.TLS.Key, s.TLS.ClientCA,
					s.Audit.Output, s.Audit.EmailKeyFile,
					s.Secrets.Vault.CA, s.Secrets.Vault.Auth.TokenFile,
					s.Issuers[0].CA, s.Issuers[0].TokenFile, s.Issuers[1].JWKS,
				} {
					if filepath.Dir(path) != dir {
						t.Errorf("%s isn't in the configuration's folder", path)
					}
				}
				return
			}
			places, text := problems(t, err)
			got := strings.ReplaceAll(strings.Join(places, " "), dir+"/", "")
			if got != test.problem || !strings.Contains(text, test.message) {
				t.Errorf("problems at %q, want %q with %q\n%s", got, test.problem, test.message, text)
			}
		})
	}
}

// TestKeySetWarnings checks that an empty key set is no problem, because an operator may have
// revoked all keys, and that a weak key is a warning.
func TestKeySetWarnings(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(jose.JSONWebKey{Key: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"deskmint.yaml": minimal +
		"issuers: [{name: a, issuer: 'https://a.example', audience: deskmint, jwks: keys.json}]\n"})
	for text, want := range map[string]string{
		`{"keys":[]}`: "is an empty JWK set",
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},` + string(good) + `]}`: "keys[0] has 17 bits",
		`{"keys":[` + string(good) + `]}`:                                     "",
	} {
		write(t, dir, map[string]string{"keys.json": text})
		s, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, w := range s.Warnings {
			if w.Key == "issuers[0].jwks" {
				got += w.Message
			}
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: the warning is %q, want %q", text, got, want)
		}
	}
}

func TestAuditFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"file": "", "deskmint.yaml": minimal + "audit: {output: absent/audit.log}\n"})
	path := filepath.Join(dir, "deskmint.yaml")
	for output, message := range map[string]string{"absent/audit.log": "no such file", "file/audit.log": "no folder"} {
		write(t, dir, map[string]string{"deskmint.yaml": minimal + "audit: {output: " + output + "}\n"})
		_, err := Load(path, Options{})
		places, text := problems(t, err)
		if fmt.Sprint(places) != "["+path+":23 audit.output]" || !strings.Contains(text, message) {
			t.Errorf("%s: %s", output, text)
		}
	}
}
