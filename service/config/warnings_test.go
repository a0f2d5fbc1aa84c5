package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// byJWT returns a caller that is identified by a token of issuer a with these requirements.
func byJWT(name, must string) string {
	return "  - name: " + name + `
    identities: [{jwt: {issuer: a, ` + must + `}}]
    grants: [{configurations: ["*"], actions: [read]}]
`
}

func TestWarnings(t *testing.T) {
	issuers := "issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'https://a.example/'}]\n"
	for _, test := range []struct {
		name, old, with string
		warnings        []string // "LINE KEY"
		message         string
	}{
		{"none", "callers:", "callers:", nil, ""},
		{
			"no origins", "origins: [https://login.acme.com]", "origins: []",
			[]string{"10 configurations[0].zendesk_sso.origins"}, "Chromium and Safari stay",
		},
		{"memory", "source: file", "source: memory", []string{"3 secrets.source"}, "for development"},
		{"client_ca", "callers:", "tls: {certificate: a, key: b, client_ca: c}\ncallers:", nil, ""},
		{"issuers", "callers:", issuers + "callers:", nil, ""},
		{
			"mtls", "      - api_key_sha256:",
			"      - mtls_uri: spiffe://a/b\n      - mtls_dns: a.b\n      - api_key_sha256:",
			[]string{"15 callers[0].identities[0].mtls_uri", "16 callers[0].identities[1].mtls_dns"},
			"without tls.client_ca",
		},
		{
			"mtls without client_ca", "callers:\n",
			`tls: {certificate: a, key: b}
callers:
  - {name: x, identities: [{mtls_dns: a}], grants: [{configurations: ['*'], actions: [read]}]}
`,
			[]string{"14 callers[0].identities[0].mtls_dns"}, "without tls.client_ca",
		},
		{
			"mtls with client_ca", "callers:\n",
			`tls: {certificate: a, key: b, client_ca: c}
callers:
  - {name: x, identities: [{mtls_dns: a}], grants: [{configurations: ['*'], actions: [read]}]}
`,
			nil, "",
		},
		{"jwt", "callers:\n", issuers + "callers:\n" + byJWT("x", "subject: b"), nil, ""},
		{
			"jwts that differ", "callers:\n",
			issuers + "callers:\n" + byJWT("x", "subject: b") + byJWT("y", "subject: c") +
				byJWT("z", "subject: d, claims: {e: f}") + byJWT("zz", "subject: d, claims: {e: g}"),
			nil, "",
		},
		{
			"jwt that includes another", "callers:\n",
			issuers + "callers:\n" + byJWT("x", "subject: b") + byJWT("y", "subject: b, claims: {c: d}"),
			[]string{"18 callers[1].identities[0].jwt"}, "may match a token that matches caller x, too (line 15)",
		},
		{
			"jwts that overlap", "callers:\n",
			issuers + "callers:\n" + byJWT("x", "claims: {a: b}") + byJWT("y", "subject: s, claims: {c: d}"),
			[]string{"18 callers[1].identities[0].jwt"}, "such a token is refused",
		},
		{
			"jwts of one caller", "callers:\n",
			issuers + "callers:\n" + byJWT("x", "subject: b}}, {jwt: {issuer: a, claims: {c: d}"),
			nil, "",
		},
		{
			"an expired identity", "      - api_key_sha256:",
			"      - not_after: 2020-02-29\n        api_key_sha256:",
			[]string{"15 callers[0].identities[0].not_after"}, "is refused",
		},
		{
			"no grants", "callers:", "callers:\n  - {name: x, identities: [{mtls_dns: a}], grants: []}",
			[]string{"13 callers[0]", "13 callers[0].identities[0].mtls_dns"}, "everything is denied",
		},
		{
			"an endpoint that isn't Zendesk's", "audiences: [end_user]",
			"audiences: [end_user]\n      endpoint: https://{subdomain}.sandbox.acme.com",
			[]string{"10 configurations[0].zendesk_sso.endpoint"},
			"posts tokens to acme.sandbox.acme.com, which isn't Zendesk's",
		},
		{
			"endpoints of Zendesk", "audiences: [end_user]",
			"audiences: [end_user]\n      endpoint: https://acme.zendesk.com", nil, "",
		},
		{"no callers", minimal[strings.Index(minimal, "callers:"):], "", []string{"1 callers"}, "is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := parsed(t, change(t, test.old, test.with)+audited, Options{})
			var got []string
			var text strings.Builder
			for _, w := range s.Warnings {
				place := strings.Join(strings.SplitN(w.String(), ": ", 3)[:2], " ")
				got = append(got, strings.TrimPrefix(place, "deskmint.yaml:"))
				text.WriteString(w.Message + "\n")
			}
			if !slices.Equal(got, test.warnings) {
				t.Errorf("warnings at %q, want %q", got, test.warnings)
			}
			if !strings.Contains(text.String(), test.message) {
				t.Errorf("warnings\n%s\nlack %q", text.String(), test.message)
			}
		})
	}
}

// TestAnonymousRecordsWarning shows the settings with which audit records don't identify users.
func TestAnonymousRecordsWarning(t *testing.T) {
	for audit, want := range map[string]string{
		"":                                     "deskmint.yaml:1: audit: ",
		"audit: {output: stderr}\n":            "deskmint.yaml:23: audit: ",
		"audit: {plain_email: false}\n":        "deskmint.yaml:23: audit: ",
		"audit: {email_key_file: audit.key}\n": "",
		audited:                                "",
	} {
		s := parsed(t, minimal+audit, Options{})
		switch {
		case want == "" && len(s.Warnings) > 0:
			t.Errorf("%q: the warnings are %v", audit, s.Warnings)
		case want != "" && (len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0].String(), want) ||
			!strings.Contains(s.Warnings[0].Message, "openssl rand -hex 32 > audit.key")):
			t.Errorf("%q: the warnings are %v", audit, s.Warnings)
		}
	}
}

func TestEmptyIncludeFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"deskmint.yaml": "include: ['conf.d/*.yaml']\n" + minimal + audited})
	s, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) != 1 || s.Warnings[0].Key != "include[0]" || s.Warnings[0].Line != 1 {
		t.Errorf("warnings %v", s.Warnings)
	}
}

// TestMaxConnections checks the default limit of connections: without TLS here, a proxy in front
// may have all of them.
func TestMaxConnections(t *testing.T) {
	for _, test := range []struct {
		limit *int
		tls   *TLS
		want  int
	}{
		{nil, nil, 0},
		{nil, &TLS{AllowPlaintext: true}, 0},
		{nil, &TLS{Certificate: "a", Key: "b"}, 200},
		{new(0), &TLS{Certificate: "a", Key: "b"}, 0},
		{new(7), nil, 7},
	} {
		if got := (Listen{ConnectionsPerAddress: test.limit}).MaxConnections(test.tls); got != test.want {
			t.Errorf("%v, %+v: %d, want %d", test.limit, test.tls, got, test.want)
		}
	}
}

func TestListenCheck(t *testing.T) {
	certificate, plaintext := &TLS{Certificate: "a", Key: "b"}, &TLS{AllowPlaintext: true}
	for _, test := range []struct {
		listen   Listen
		tls      *TLS
		problems string
	}{
		{Listen{GRPC: "127.0.0.1:1", HTTP: "127.0.0.2:2", Ops: "127.0.0.1:3"}, nil, ""},
		{Listen{GRPC: "localhost:1", HTTP: "[::1]:2", Ops: "[::ffff:127.0.0.1]:3"}, nil, ""},
		{Listen{GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", Ops: "127.0.0.1:0"}, nil, ""},
		{Listen{GRPC: "127.0.0.1:1", HTTP: "127.0.0.1:2", Ops: "0.0.0.0:3"}, nil, ""},
		{Listen{GRPC: ":1", HTTP: "0.0.0.0:2", Ops: "127.0.0.1:3"}, nil, "grpc http"},
		{Listen{GRPC: "[::]:1", HTTP: "192.0.2.1:2", Ops: "127.0.0.1:3"}, &TLS{}, "grpc http"},
		{Listen{GRPC: "deskmint.internal:1", HTTP: "localhost.example:2", Ops: ":3"}, nil, "grpc http"},
		{Listen{GRPC: "127.0.0.1.nip.io:1", HTTP: "127.0.0.1:2", Ops: ":3"}, nil, "grpc"},
		{Listen{GRPC: ":1", HTTP: ":2", Ops: ":3"}, certificate, ""},
		{Listen{GRPC: ":1", HTTP: ":2", Ops: ":3"}, plaintext, ""},
		{Listen{GRPC: ":1", HTTP: ":2", Ops: ":2"}, plaintext, "ops"},
		{Listen{GRPC: ":1", HTTP: ":2", Ops: ":3", ConnectionsPerAddress: new(-1)}, plaintext,
			"connections_per_address"},
		{Listen{GRPC: ":1", HTTP: ":2", Ops: ":3", ConnectionsPerAddress: new(0)}, plaintext, ""},
		{Listen{GRPC: "", HTTP: "127.0.0.1", Ops: "127.0.0.1:-1"}, nil, "grpc http ops"},
	} {
		var got []string
		test.listen.Check(test.tls, func(key, message string) {
			got = append(got, key)
			if message == "" {
				t.Errorf("%v: no message for %s", test.listen, key)
			}
		})
		if strings.Join(got, " ") != test.problems {
			t.Errorf("%v with %+v: problems %q, want %q", test.listen, test.tls, got, test.problems)
		}
	}
	if (*TLS)(nil).Enabled() || plaintext.Enabled() || !certificate.Enabled() {
		t.Error("TLS is enabled without certificate, or not with it")
	}
}
