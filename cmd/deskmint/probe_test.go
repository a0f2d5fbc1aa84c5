package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// probing returns the command line of a probe of a server.
func probing(t *testing.T, d *deskmint, key string, more ...string) []string {
	t.Helper()
	file := filepath.Join(folder(t, map[string]string{"key": key}), "key")
	return append([]string{"probe", "--address", d.grpc, "--api-key-file", file, "--configuration", "acme-customers"},
		more...)
}

// twoConfigurations returns a configuration file. The probe has no grant for the second
// configuration.
func twoConfigurations(hash string) string {
	return strings.Replace(strings.Replace(onFile(hash), `configurations: ["*"]`, `configurations: [acme-customers]`,
		1), "callers:\n", `  - name: acme-staff
    secret: {path: sso/acme-customers}
    zendesk_sso:
      audiences: [team_member]
      origins: [https://login.acme.com]
      brands: [{id: "360001", name: Acme, subdomain: acme}]
callers:
`, 1)
}

// exit returns the exit code of a process with this error.
func exit(err error) int {
	if err == nil {
		return 0
	}
	return codeOf(err)
}

// Patterns of the output of successful checks.
const (
	probeMinted = `ok: mint at configurations/acme-customers: signed with version 1 \(\d+ ms\)\n` +
		`ok: inspect the token: acceptable until \d\d:\d\d:\d\d UTC \(\d+ ms\)\n`
	probeRefused = `ok: refused without a credential: CALLER_UNAUTHENTICATED \(\d+ ms\)\n`
)

// TestProbe checks the output and the exit code of each outcome.
func TestProbe(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	stranger, _ := caller.NewKey()
	files := map[string]string{"deskmint.yaml": twoConfigurations(hash), "secrets.yaml": secretsYAML(customersSecret)}
	d := serve(t, filepath.Join(folder(t, files), "deskmint.yaml"))
	for name, c := range map[string]struct {
		args []string
		code int
		want string // a pattern of the whole output
	}{
		"all well": {probing(t, d, key), 0, "^" + probeMinted + probeRefused + "$"},
		"no token made": {
			probing(t, d, key, "--validate-only"), 0,
			`^ok: mint at .*: would be signed with version 1; no token was made .*\n` + probeRefused + "$",
		},
		"refused as required": {
			probing(t, d, key, "--refused-configuration", "acme-staff", "--refused-role", "admin"), 0,
			"^" + probeMinted + probeRefused +
				`ok: refused at configurations/acme-staff: CALLER_NOT_ALLOWED .*\n` +
				`ok: refused the role admin: ROLE_NOT_ALLOWED .*\n$`,
		},
		"a role that is granted": {
			probing(t, d, key, "--refused-role", "end_user"), 3,
			`(?m)^FAILED: refused the role end_user: GRANTED what must be refused`,
		},
		"a configuration likewise": {
			probing(t, d, key, "--refused-configuration", "acme-customers"), 3,
			`(?m)^FAILED: refused at configurations/acme-customers: GRANTED`,
		},
		"an unknown key": {
			probing(t, d, stranger), 1,
			`^FAILED: mint at .*CALLER_UNAUTHENTICATED.*the credential is unknown.*\n` + probeRefused + "$",
		},
		"a person without a grant": {
			probing(t, d, key, "--email", "a@acme.example"), 1, `^FAILED: mint at .*EMAIL_NOT_ALLOWED`,
		},
		"no server": {
			probing(t, d, key, "--address", freeAddress(t), "--refused-role", "admin"), 1,
			`(?s)^FAILED: mint at .*` +
				`FAILED: refused without a credential: it was neither granted nor refused as expected: Unavailable.*` +
				`FAILED: refused the role admin: it was neither`,
		},
		"no such role": {probing(t, d, key, "--refused-role", "boss"), 2, "^$"},
		"no key":       {probing(t, d, " "), 2, "^$"},
		"no flag":      {[]string{"probe"}, 2, "^$"},
		"as JSON":      {probing(t, d, key, "--json"), 0, `(?s)^\{\n  "ok": true,\n  "checks": \[.*\}\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, "", c.args...)
			if exit(err) != c.code || !regexp.MustCompile(c.want).MatchString(out) || logged != "" {
				t.Errorf("code %d, want %d; %v\n%s%s", exit(err), c.code, err, out, logged)
			}
			if strings.HasSuffix(name, "JSON") && !json.Valid([]byte(out)) {
				t.Errorf("not JSON: %s", out)
			}
			checkShown(t, false, out, key, stranger, customersSecret, tokenStart)
		})
	}
	d.checkNoSecrets(t, key, stranger, customersSecret)
}

// TestProbeMissingSecret checks that the probe fails if the secret is gone, with and without a
// mint.
func TestProbeMissingSecret(t *testing.T) {
	t.Parallel()
	config, secrets, key := files(t)
	d := serve(t, config)
	if out, _, err := invoke(t, "", probing(t, d, key)...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	write(t, secrets, "secrets: {}\n")
	d.awaitState(t, "unusable", anyVersion, "no such secret")
	for _, flags := range [][]string{nil, {"--validate-only"}} {
		out, _, err := invoke(t, "", probing(t, d, key, flags...)...)
		if exit(err) != 1 || !strings.HasPrefix(out, "FAILED: mint at configurations/acme-customers: Internal: ") ||
			!strings.Contains(out, "SECRET_UNUSABLE") {
			t.Errorf("%q: %v %s", flags, err, out)
		}
	}
}
