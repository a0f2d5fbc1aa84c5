package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// problemCase changes one part of the minimal configuration. Its problems are "LINE KEY",
// all of them; says is a part of the first one's message.
type problemCase struct {
	name, old, with string
	problems        []string
	says            string
}

var structureProblems = []problemCase{
	{"syntax", "  source: file", "  source: [file", []string{"2 "}, "is not valid YAML"},
	{"tab", "  source: file", "\tsource: file", []string{"3 "}, "is not valid YAML"},
	{"undefined alias", "source: file", "source: *store", []string{"1 "}, "an alias (*…) has no anchor"},
	{"two documents", "callers:", "---\ncallers:", []string{"12 "}, "several documents"},
	{"not a mapping", minimal, "- a\n- b\n", []string{"1 "}, "must be a block of keys"},
	{"empty", minimal, "# nothing\n", []string{"1 configurations", "1 secrets.source"}, "is required"},
	{"empty document", minimal, "---\n", []string{"1 configurations", "1 secrets.source"}, "is required"},
	{"unknown key, near", "callers:", "callerz:", []string{"12 callerz"}, "did you mean callers?"},
	{"unknown key, far", "listen: {grpc", "listen: {rest", []string{"1 listen.rest"}, "there are grpc, http, ops"},
	{"unknown key of a brand", "subdomain: acme,", "subdomian: acme,", []string{"11 configurations[0].zendesk_sso.brands[0].subdomian"}, "did you mean subdomain?"},
	{"unknown key of another package", "audiences: [end_user]", "audiences: [end_user]\n      omit_rolle: true", []string{"10 configurations[0].zendesk_sso.omit_rolle"}, "did you mean omit_role?"},
	{"key that would be a path", "listen: {grpc", `listen: {"a.b[0]": 1, grpc`, []string{`1 listen."a.b[0]"`}, "is no key"},
	{"key twice", "  source: file", "  source: file\n  refresh: 10s\n  source: vault", []string{"5 secrets.source"}, "is given twice, first in line 3"},
	{"claim twice", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: any, phone: any}", []string{"21 callers[0].grants[0].claims.phone"}, "is given twice"},
	{"merge key", "  - name: storefront", "  - <<: {name: storefront}\n    name: storefront", []string{"13 callers[0]"}, "merge key"},
	{"key that is a number", "listen: {grpc", "listen: {7: x, grpc", []string{"1 listen"}, "isn't plain text"},
	{"key that is a list", "listen: {grpc", "listen: {[a]: x, grpc", []string{"1 listen"}, "isn't plain text"},
	{"key that isn't text, and another problem", "listen: {grpc: \"127.0.0.1:9090\"}\nsecrets:\n  source: file", "? [a]\n: b\nsecrets:\n  source: files", []string{"1 ", "4 secrets.source"}, "isn't plain text"},
	{"tag", "source: file", "source: !!str file", []string{"3 secrets.source"}, "has a YAML tag"},
	{"no value", "  source: file", "  source:", []string{"3 secrets.source"}, "has no value"},
	{"no value in a list", "[end_user]\n      brands", "[end_user, ~]\n      brands", []string{"9 configurations[0].zendesk_sso.audiences[1]"}, "has no value"},
	{"list for a block", "  file: {path: secrets.yaml}", "  file: [secrets.yaml]", []string{"4 secrets.file"}, "must be a block of keys"},
	{"block for a list", "audiences: [end_user]", "audiences: {end_user: true}", []string{"9 configurations[0].zendesk_sso.audiences"}, "must be a list"},
	{"text for a list", "audiences: [end_user]", "audiences: end_user", []string{"9 configurations[0].zendesk_sso.audiences"}, "must be a list"},
	{"block for text", "name: storefront", "name: {a: b}", []string{"13 callers[0].name"}, "must be a single value"},
	{"number for text", `id: "360001"`, "id: 360001", []string{"11 configurations[0].zendesk_sso.brands[0].id"}, "must be text: put it in quotes"},
	{"yes for true", "audiences: [end_user]", "audiences: [end_user]\n      omit_role: yes", []string{"10 configurations[0].zendesk_sso.omit_role"}, "must be true or false"},
	{"text for a number", "source: file", "source: file\n  max_rate: '5'", []string{"4 secrets.max_rate"}, "must be a whole number"},
	{"fraction for a whole number", "source: file", "source: file\n  max_rate: 5.5", []string{"4 secrets.max_rate"}, "must be a whole number"},
	{"hexadecimal", "source: file", "source: file\n  max_rate: 0x10", []string{"4 secrets.max_rate"}, "must be a whole number"},
	{"text for a fraction", "[help.acme.com]\n", "[help.acme.com]\n        rate: {per_second: fast}\n", []string{"23 callers[0].grants[0].rate.per_second"}, "must be a number"},
	{"duration without unit", "source: file", "source: file\n  refresh: 10", []string{"4 secrets.refresh"}, "with its unit"},
	{"duration in days", "source: file", "source: file\n  max_stale: 1d", []string{"4 secrets.max_stale"}, "with its unit"},
	{"nested too deeply", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: [x, [y]]}", []string{"21 callers[0].grants[0].claims.phone[1]"}, "must be a single value"},
	{"prefix of nothing", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: {prefix: }}", []string{"21 callers[0].grants[0].claims.phone.prefix"}, "has no value"},
	{"alias of itself", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: &a [*a]}", []string{"21 callers[0].grants[0].claims.phone[0]"}, "must be a single value"},
}

var settingsProblems = []problemCase{
	{"no source", "  source: file\n", "", []string{"2 secrets.source"}, "is required"},
	{"unknown source", "source: file", "source: keychain", []string{"3 secrets.source"}, "use vault, file or memory"},
	{"file without path", "  file: {path: secrets.yaml}\n", "", []string{"2 secrets.file.path"}, "is required"},
	{"vault without settings", "source: file", "source: vault", []string{"2 secrets.vault.addresses", "2 secrets.vault.auth.method"}, "is required"},
	{"vault unverified beside its ca", "source: file", "source: vault\n  vault: {addresses: ['https://v'], ca: ca.pem, skip_verify: true, auth: {method: token}}", []string{"4 secrets.vault.skip_verify"}, "contradicts ca"},
	{"vault in plaintext", "source: file", "source: vault\n  vault: {addresses: ['http://vault.internal'], auth: {method: token}}", []string{"4 secrets.vault.addresses"}, "https"},
	{"refresh too short", "source: file", "source: file\n  refresh: 999ms", []string{"4 secrets.refresh"}, "at least 1s"},
	{"refresh of nothing", "source: file", "source: file\n  refresh: 0s", []string{"4 secrets.refresh"}, "at least 1s"},
	{"max_stale below refresh", "source: file", "source: file\n  refresh: 1m\n  max_stale: 59s", []string{"5 secrets.max_stale"}, "at least 1m0s"},
	{"no reads", "source: file", "source: file\n  max_rate: 0", []string{"4 secrets.max_rate"}, "1 or more"},
	{"address without port", "127.0.0.1:9090", "127.0.0.1", []string{"1 listen.grpc"}, "host:port"},
	{"address with a service's name", "127.0.0.1:9090", "127.0.0.1:http", []string{"1 listen.grpc"}, "host:port"},
	{"port out of range", "127.0.0.1:9090", "127.0.0.1:65536", []string{"1 listen.grpc"}, "host:port"},
	{"plaintext everywhere", "127.0.0.1:9090", ":9090", []string{"1 listen.grpc"}, "plaintext beyond this machine"},
	{"one address for two", "127.0.0.1:9090", "127.0.0.1:8080", []string{"1 listen.http"}, "is the address of grpc, too"},
	{"include", "callers:", "include: [a.yaml]\ncallers:", []string{"12 include"}, "one document"},
	{"certificate without key", "callers:", "tls: {certificate: a}\ncallers:", []string{"12 tls.key"}, "is required"},
	{"key without certificate", "callers:", "tls: {key: a}\ncallers:", []string{"12 tls.certificate"}, "is required"},
	{"client_ca alone", "callers:", "tls: {client_ca: a, allow_plaintext: true}\ncallers:", []string{"12 tls.certificate"}, "is required"},
	{"tls of nothing", "callers:", "tls: {}\ncallers:", []string{"12 tls.certificate"}, "allow_plaintext"},
	{"tls and plaintext", "callers:", "tls: {certificate: a, key: b, allow_plaintext: true}\ncallers:", []string{"12 tls.allow_plaintext"}, "contradicts"},
	{"issuer of nothing", "callers:", "issuers: [{}]\ncallers:", []string{"12 issuers[0].audience", "12 issuers[0].issuer", "12 issuers[0].name"}, "is required"},
	{"issuer in plaintext", "callers:", "issuers: [{name: a, audience: b, issuer: 'http://a.example', jwks: 'http://localhost:1/'}]\ncallers:", []string{"12 issuers[0].issuer"}, "https"},
	{"keys in plaintext", "callers:", "issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'http://a.example/'}]\ncallers:", []string{"12 issuers[0].jwks"}, "or the path of a file"},
	{"keys by another scheme", "callers:", "issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'file:///etc/keys'}]\ncallers:", []string{"12 issuers[0].jwks"}, "or the path of a file"},
	{"issuer with a password", "callers:", "issuers: [{name: a, audience: b, issuer: 'https://u:p@a.example'}]\ncallers:", []string{"12 issuers[0].issuer"}, "https"},
	{"issuer that can't be discovered", "callers:", "issuers: [{name: a, audience: b, issuer: 'https://a.example?x'}]\ncallers:", []string{"12 issuers[0].issuer"}, "give jwks"},
	{"ca and token beside a file", "callers:", "issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: keys.json, ca: ca.pem, token_file: token}]\ncallers:", []string{"12 issuers[0].ca", "12 issuers[0].token_file"}, "has no use"},
	{"one issuer, two names", "callers:", "issuers:\n  - {name: a, audience: b, issuer: 'https://a.example'}\n  - {name: b, audience: c, issuer: 'https://a.example'}\ncallers:", []string{"14 issuers[1].issuer"}, "is the same issuer as in line 13"},
	{"one name, two issuers", "callers:", "issuers:\n  - {name: a, audience: b, issuer: 'https://a.example'}\n  - {name: a, audience: b, issuer: 'https://b.example'}\ncallers:", []string{"14 issuers[1].name"}, "is the same name as in line 13"},
}

var configurationProblems = []problemCase{
	{"no configurations", minimal, "secrets: {source: memory}\nconfigurations: []\n", []string{"2 configurations"}, "at least one"},
	{"no name", "name: acme-customers", "display_name: x", []string{"6 configurations[0].name", "17 callers[0].grants[0].configurations[0]"}, "is required"},
	{"bad name", "name: acme-customers", "name: Acme", []string{"6 configurations[0].name", "17 callers[0].grants[0].configurations[0]"}, "lower-case letters"},
	{"display name that can't be seen", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u202eb\"", []string{"7 configurations[0].display_name"}, "can't be seen"},
	{"display name with U+00AD", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u00ADb\"", []string{"7 configurations[0].display_name"}, "can't be seen"},
	{"display name with U+180E", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u180Eb\"", []string{"7 configurations[0].display_name"}, "can't be seen"},
	{"display name with U+2061", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u2061b\"", []string{"7 configurations[0].display_name"}, "can't be seen"},
	{"display name with U+3164", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u3164b\"", []string{"7 configurations[0].display_name"}, "can't be seen"},
	{"display name with U+FFF9", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\uFFF9b\"", []string{"7 configurations[0].display_name"}, "can't be seen"},
	{"display name with U+E0001", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\U000E0001b\"", []string{"7 configurations[0].display_name"}, "can't be seen"},
	{"display name too long", "name: acme-customers", "name: acme-customers\n    display_name: " + strings.Repeat("a ", 60) + "b", []string{"7 configurations[0].display_name"}, "100"},
	{"no secret", "    secret: {path: sso/acme-customers}\n", "", []string{"6 configurations[0].secret.path"}, "is required"},
	{"dotted path", "path: sso/acme-customers", "path: sso/../x", []string{"7 configurations[0].secret"}, ""},
	{"empty field", "path: sso/acme-customers", "path: a, field: ''", []string{"7 configurations[0].secret.field"}, "shared_secret"},
	{"max_stale of nothing", "secret: {", "max_stale: 0s\n    secret: {", []string{"7 configurations[0].max_stale"}, "at least 10s"},
	{"negative max_stale", "secret: {", "max_stale: -1h\n    secret: {", []string{"7 configurations[0].max_stale"}, "at least 10s"},
	{"loop of one", "secret: {", "loop: {limit: 1}\n    secret: {", []string{"7 configurations[0].loop.limit"}, "2 or more"},
	{"loop of none", "secret: {", "loop: {limit: 0}\n    secret: {", []string{"7 configurations[0].loop.limit"}, "2 or more"},
	{"loop too long to count", "secret: {", "loop: {limit: 101}\n    secret: {", []string{"7 configurations[0].loop.limit"}, "100 or less"},
	{"window too short", "secret: {", "loop: {window: 1ms}\n    secret: {", []string{"7 configurations[0].loop.window"}, "at least 1s"},
	{"window too long", "secret: {", "loop: {window: 25h}\n    secret: {", []string{"7 configurations[0].loop.window"}, "24h"},
	{"protected email", "secret: {", "protected: {emails: [a@b.example, Boss <a@b.example>]}\n    secret: {", []string{"7 configurations[0].protected.emails[1]"}, ""},
	{"protected email in upper case", "secret: {", "protected: {emails: [CEO@b.example]}\n    secret: {", []string{"7 configurations[0].protected.emails[0]"}, "lower case"},
	{"protected domain", "secret: {", "protected: {domains: [acme, '*acme.com', Acme.com, '@acme.com']}\n    secret: {", []string{"7 configurations[0].protected.domains[0]", "7 configurations[0].protected.domains[1]", "7 configurations[0].protected.domains[2]", "7 configurations[0].protected.domains[3]"}, "is no domain"},
	{"no profile", "    zendesk_sso:\n      audiences: [end_user]\n      brands:\n        - {id: \"360001\", subdomain: acme, hosts: [help.acme.com]}\n", "", []string{"6 configurations[0].zendesk_sso"}, "exactly one profile block"},
	{"audience", "audiences: [end_user]", "audiences: [everybody]", []string{"9 configurations[0].zendesk_sso.audiences[0]"}, ""},
	{"no brands", "        - {id: \"360001\", subdomain: acme, hosts: [help.acme.com]}", "          []", []string{"10 configurations[0].zendesk_sso.brands"}, "is required"},
	{"brand's id", `id: "360001"`, `id: "acme"`, []string{"11 configurations[0].zendesk_sso.brands[0].id"}, ""},
	{"brand's name too long", "subdomain: acme,", "name: " + strings.Repeat("a ", 60) + "b, subdomain: acme,", []string{"11 configurations[0].zendesk_sso.brands[0]"}, "brand name"},
	{"referrer policy", "audiences: [end_user]", "audiences: [end_user]\n      referrer_policy: origin", []string{"10 configurations[0].zendesk_sso.referrer_policy"}, "no-referrer, strict-origin"},
	{"look of the page", "subdomain: acme,", "subdomain: acme, page: {language: en_US, color: blue},", []string{"11 configurations[0].zendesk_sso.brands[0].page.color", "11 configurations[0].zendesk_sso.brands[0].page.language"}, "colour"},
	{"start of the page", "subdomain: acme,", "subdomain: acme, page: {start: //acme.com},", []string{"11 configurations[0].zendesk_sso.brands[0].page.start"}, "one slash"},
	{"name twice", "callers:", "  - name: acme-customers\n    secret: {path: x}\n    zendesk_sso: {audiences: [end_user], brands: [{id: \"1\", subdomain: a}]}\ncallers:", []string{"12 configurations[1].name"}, "is the same name as in line 6"},
}

var callerProblems = []problemCase{
	{"no identities", "    identities:\n      - api_key_sha256: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945\n", "", []string{"13 callers[0].identities"}, "is required"},
	{"identity of nothing", "api_key_sha256: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", "{}", []string{"15 callers[0].identities[0]"}, "exactly one of"},
	{"two in one identity", "      - api_key_sha256:", "      - mtls_dns: a.example\n        api_key_sha256:", []string{"15 callers[0].identities[0]"}, "exactly one of"},
	{"no hash", "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", "4f53", []string{"15 callers[0].identities[0].api_key_sha256"}, "is no SHA-256"},
	{"key for a hash", "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", "dmk_x", []string{"15 callers[0].identities[0].api_key_sha256"}, "is an API key, where its SHA-256 belongs"},
	{"URI", "      - api_key_sha256:", "      - mtls_uri: storefront\n      - api_key_sha256:", []string{"15 callers[0].identities[0].mtls_uri"}, "spiffe://"},
	{"URI that no certificate has", "      - api_key_sha256:", "      - mtls_uri: SPIFFE://acme.internal/x\n      - api_key_sha256:", []string{"15 callers[0].identities[0].mtls_uri"}, "spiffe://"},
	{"DNS name", "      - api_key_sha256:", "      - mtls_dns: '*.acme.internal'\n      - api_key_sha256:", []string{"15 callers[0].identities[0].mtls_dns"}, "no DNS name"},
	{"issuer that isn't there", "      - api_key_sha256:", "      - jwt: {issuer: a, subject: b}\n      - api_key_sha256:", []string{"15 callers[0].identities[0].jwt.issuer"}, "is the name of no issuer"},
	{"JWT of anybody", "      - api_key_sha256:", "      - jwt: {}\n      - api_key_sha256:", []string{"15 callers[0].identities[0].jwt.issuer", "15 callers[0].identities[0].jwt.subject"}, "is required"},
	{"JWT claim", "callers:\n", "issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'https://a.example/'}]\ncallers:\n  - name: x\n    identities: [{jwt: {issuer: a, claims: {b: [c]}}}]\n", []string{"15 callers[0].identities[0].jwt.claims.b"}, "single value"},
	{"one JWT, two callers", "callers:\n", "issuers: [{name: a, audience: b, issuer: 'https://a.example'}]\ncallers:\n  - {name: x, identities: [{jwt: {issuer: a, subject: s, claims: {b: true, c: 1}}}]}\n  - {name: y, identities: [{jwt: {issuer: a, subject: s, claims: {c: '1', b: 'true'}}}]}\n", []string{"15 callers[1].identities[0].jwt"}, "is the same identity as in line 14"},
	{"one key, two callers", "callers:\n", "callers:\n  - {name: x, identities: [{api_key_sha256: 4F53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945}]}\n", []string{"16 callers[1].identities[0].api_key_sha256"}, "is the same API key as in line 13"},
	{"one name, two callers", "callers:\n", "callers:\n  - {name: storefront, identities: [{mtls_dns: a}]}\n", []string{"14 callers[1].name"}, "is the same name as in line 13"},
	{"one identity, two callers", "callers:\n", "callers:\n  - {name: x, identities: [{mtls_dns: a}]}\n  - {name: y, identities: [{mtls_dns: a}]}\n", []string{"14 callers[1].identities[0].mtls_dns"}, "is the same identity as in line 13"},
	{"grant of nothing", "configurations: [acme-customers]", "configurations: []", []string{"17 callers[0].grants[0].configurations"}, "is required"},
	{"action", "actions: [sign_in, read]", "actions: [sign_in, mint]", []string{"19 callers[0].grants[0].actions[1]"}, ""},
	{"claim", "roles: [end_user]", "roles: [end_user]\n        claims: {jti: any}", []string{"21 callers[0].grants[0].claims.jti"}, ""},
	{"claim's rule", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: every}", []string{"21 callers[0].grants[0].claims.phone"}, ""},
	{"unknown configuration, near", "configurations: [acme-customers]", "configurations: [acme-costumers]", []string{"17 callers[0].grants[0].configurations[0]"}, "did you mean acme-customers?"},
	{"unknown configuration, far", "configurations: [acme-customers]", "configurations: [acme-customers, shop]", []string{"17 callers[0].grants[0].configurations[1]"}, "names no configuration"},
	{"unknown brand", `brands: ["*"]`, `brands: ["360001", "360009"]`, []string{"18 callers[0].grants[0].brands[1]"}, "no brand"},
	{"foreign host", "return_to_hosts: [help.acme.com]", "return_to_hosts: [help.acme.com, acme.zendesk.com, evil.example]", []string{"22 callers[0].grants[0].return_to_hosts[2]"}, "no host of the grant's brands"},
}

func TestProblems(t *testing.T) {
	groups := map[string][]problemCase{
		"structure": structureProblems, "settings": settingsProblems, "configurations": configurationProblems, "callers": callerProblems,
	}
	for _, group := range sortedKeys(groups) {
		for _, test := range groups[group] {
			t.Run(group+"/"+test.name, func(t *testing.T) {
				_, err := Parse("deskmint.yaml", []byte(change(t, test.old, test.with)), Options{})
				places, text := problems(t, err)
				var want []string
				for _, f := range test.problems {
					want = append(want, "deskmint.yaml:"+f)
				}
				if !slices.Equal(places, want) {
					t.Errorf("problems at %q\nwant      %q\n%s", places, want, text)
				}
				if first, _, _ := strings.Cut(text, "\n"); !strings.Contains(first, test.says) {
					t.Errorf("the first problem is\n%s\nand doesn't say %q", first, test.says)
				}
			})
		}
	}
}

// TestProblemsDontCascade has values that can't be read, and others that refer to them:
// only the first ones are at fault.
func TestProblemsDontCascade(t *testing.T) {
	limited := strings.Replace(minimal, `brands: ["*"]`, `brands: ["360001"]`, 1)
	for _, test := range []struct{ old, with, problem string }{
		{`id: "360001"`, `id: 360001`, "11 configurations[0].zendesk_sso.brands[0].id"},
		{`{id: "360001", subdomain: acme, hosts: [help.acme.com]}`, `acme`, "11 configurations[0].zendesk_sso.brands[0]"},
		{"acme, hosts: [help.acme.com]", "acme, hosts: help.acme.com", "11 configurations[0].zendesk_sso.brands[0].hosts"},
		{"acme, hosts: [help.acme.com]", "acme, host: [help.acme.com]", "11 configurations[0].zendesk_sso.brands[0].host"},
		{"zendesk_sso:", "zendesk-sso:", "8 configurations[0].zendesk-sso"},
		{"name: acme-customers", "name: 5", "6 configurations[0].name"},
		{"name: acme-customers", "nam: acme-customers", "6 configurations[0].nam"},
		{"configurations:\n", "configuration:\n", "5 configuration"},
		{"callers:\n", "issuers: {a: b}\ncallers:\n  - {name: x, identities: [{jwt: {issuer: a, subject: b}}]}\n", "12 issuers"},
	} {
		if strings.Count(limited, test.old) != 1 {
			t.Fatalf("%q doesn't stand once", test.old)
		}
		_, err := Parse("deskmint.yaml", []byte(strings.Replace(limited, test.old, test.with, 1)), Options{})
		if places, text := problems(t, err); !slices.Equal(places, []string{"deskmint.yaml:" + test.problem}) {
			t.Errorf("%s: problems\n%s", test.with, text)
		}
	}
}

// TestAliases lets one list stand for several, but not for any number of them.
func TestAliases(t *testing.T) {
	shared := strings.NewReplacer(`roles: [end_user]`, "roles: &roles [end_user]\n        claims: {tags: *roles}").Replace(minimal)
	parsed(t, shared, Options{})

	_, err := Parse("deskmint.yaml", []byte(strings.Replace(shared, "*roles", "*role", 1)), Options{})
	if _, text := problems(t, err); !strings.Contains(text, "an alias") {
		t.Errorf("problems %s", text)
	}

	many := func(item string) string { return "[" + strings.Repeat(item+",", 70) + item + "]" }
	bomb := minimal + "  - name: x\n    grants: " + many("{roles: "+many("agent")+"}")
	bomb = strings.Replace(bomb, "grants: [{roles: [", "grants: &grants [{roles: &roles [", 1) + strings.Repeat("\n  - {name: x, grants: *grants}", 70)
	_, err = Parse("deskmint.yaml", []byte(bomb), Options{})
	if places, text := problems(t, err); len(places) != 1 || !strings.Contains(text, "too large") {
		t.Errorf("%d problems, the first %s", len(places), text[:100])
	}
}

// TestManyValues reads a file as large as honest ones get. What is written out needs
// no limit but the file's own length.
func TestManyValues(t *testing.T) {
	const many = 10_000
	text := "configurations:\n" + strings.Repeat(`  - name: acme
    display_name: Acme
    secret: {path: sso/acme, field: shared_secret}
    max_stale: 12h
    loop: {limit: 4, window: 60s}
    zendesk_sso:
      audiences: [end_user]
      on_bad_return_to: home
      brands: [{id: "1", name: Acme, subdomain: acme, hosts: [help.acme.com], page: {language: en, color: "#1f73b7"}}]
`, many)
	doc, got := newDocument("deskmint.yaml"), File{}
	decode(doc, []byte(text), &got)
	if len(doc.problems) > 0 || len(got.Configurations) != many || got.Configurations[many-1].Loop.Limit != 4 {
		t.Errorf("%d configurations, problems %v", len(got.Configurations), doc.problems)
	}
}

func TestGrantOfOneBrand(t *testing.T) {
	text := strings.NewReplacer(
		"        - {id", "        - {id: \"360002\", subdomain: labs, default: true, hosts: [help.labs.example]}\n        - {id",
		`brands: ["*"]`, `brands: ["360002"]`,
	).Replace(minimal)
	_, err := Parse("deskmint.yaml", []byte(text), Options{})
	if places, text := problems(t, err); !slices.Equal(places, []string{"deskmint.yaml:23 callers[0].grants[0].return_to_hosts[0]"}) {
		t.Errorf("problems %s", text)
	}
	parsed(t, strings.Replace(text, "return_to_hosts: [help.acme.com]", "return_to_hosts: [help.labs.example, labs.zendesk.com]", 1), Options{})
}

// TestAllAtOnce holds a file in which nearly everything is wrong against the list of
// its problems. `go test -update` writes the list anew.
func TestAllAtOnce(t *testing.T) {
	path := filepath.Join("testdata", "broken.yaml")
	_, err := Load(path, Options{})
	_, text := problems(t, err)
	golden := strings.TrimSuffix(path, ".yaml") + ".golden"
	if *update {
		if err := os.WriteFile(golden, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text+"\n" != string(want) {
		t.Errorf("problems\n%s\nwant\n%s", text, want)
	}
}

func TestFaultString(t *testing.T) {
	for want, f := range map[string]Problem{
		"a.yaml:3: b.c: is required": {File: "a.yaml", Line: 3, Key: "b.c", Message: "is required"},
		"a.yaml:3: is not valid":     {File: "a.yaml", Line: 3, Message: "is not valid"},
		"a.yaml: can't be read":      {File: "a.yaml", Message: "can't be read"},
	} {
		if got := fmt.Sprint(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
