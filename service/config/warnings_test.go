package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

func readOf(configuration string) policy.Ask {
	return policy.Ask{Configuration: configuration, Actions: []policy.Action{policy.Read}}
}

func TestWarnings(t *testing.T) {
	issuers := "issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'https://a.example/'}]\n"
	for _, test := range []struct {
		name, old, with string
		warnings        []string // "LINE KEY"
		says            string
	}{
		{"none", "callers:", "callers:", nil, ""},
		{"memory", "source: file", "source: memory", []string{"3 secrets.source"}, "for development"},
		{"client_ca", "callers:", "tls: {certificate: a, key: b, client_ca: c}\ncallers:", []string{"12 tls.client_ca"}, "no effect in this version"},
		{"issuers", "callers:", issuers + "callers:", []string{"12 issuers"}, "no effect in this version"},
		{"mtls", "      - api_key_sha256:", "      - mtls_uri: spiffe://a/b\n      - mtls_dns: a.b\n      - api_key_sha256:", []string{"15 callers[0].identities[0].mtls_uri", "16 callers[0].identities[1].mtls_dns"}, "only by API keys"},
		{"jwt", "callers:", issuers + "callers:\n  - {name: x, identities: [{jwt: {issuer: a, subject: b}}], grants: [{configurations: ['*'], actions: [read]}]}", []string{"12 issuers", "14 callers[0].identities[0].jwt"}, "no effect in this version"},
		{"no grants", "callers:", "callers:\n  - {name: x, identities: [{mtls_dns: a}], grants: []}", []string{"13 callers[0]", "13 callers[0].identities[0].mtls_dns"}, "everything is denied"},
		{"nobody", minimal[strings.Index(minimal, "callers:"):], "", []string{"1 callers"}, "names nobody"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := parsed(t, change(t, test.old, test.with), Options{})
			var got []string
			var text strings.Builder
			for _, w := range s.Warnings {
				got = append(got, strings.TrimPrefix(strings.Join(strings.SplitN(w.String(), ": ", 3)[:2], " "), "deskmint.yaml:"))
				text.WriteString(w.Message + "\n")
			}
			if !slices.Equal(got, test.warnings) {
				t.Errorf("warnings at %q, want %q", got, test.warnings)
			}
			if !strings.Contains(text.String(), test.says) {
				t.Errorf("warnings\n%s\ndon't say %q", text.String(), test.says)
			}
		})
	}
}

func TestEmptyIncludeFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"deskmint.yaml": "include: ['conf.d/*.yaml']\n" + minimal})
	s, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) != 1 || s.Warnings[0].Key != "include[0]" || s.Warnings[0].Line != 1 {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestListenCheck(t *testing.T) {
	certificate, plaintext := &TLS{Certificate: "a", Key: "b"}, &TLS{AllowPlaintext: true}
	for _, test := range []struct {
		listen Listen
		tls    *TLS
		faults string
	}{
		{Listen{"127.0.0.1:1", "127.0.0.2:2", "127.0.0.1:3"}, nil, ""},
		{Listen{"localhost:1", "[::1]:2", "[::ffff:127.0.0.1]:3"}, nil, ""},
		{Listen{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}, nil, ""},
		{Listen{"127.0.0.1:1", "127.0.0.1:2", "0.0.0.0:3"}, nil, ""},
		{Listen{":1", "0.0.0.0:2", "127.0.0.1:3"}, nil, "grpc http"},
		{Listen{"[::]:1", "192.0.2.1:2", "127.0.0.1:3"}, &TLS{}, "grpc http"},
		{Listen{"deskmint.internal:1", "localhost.example:2", ":3"}, nil, "grpc http"},
		{Listen{"127.0.0.1.nip.io:1", "127.0.0.1:2", ":3"}, nil, "grpc"},
		{Listen{":1", ":2", ":3"}, certificate, ""},
		{Listen{":1", ":2", ":3"}, plaintext, ""},
		{Listen{":1", ":2", ":2"}, plaintext, "ops"},
		{Listen{"", "127.0.0.1", "127.0.0.1:-1"}, nil, "grpc http ops"},
	} {
		var got []string
		test.listen.Check(test.tls, func(key, message string) {
			got = append(got, key)
			if message == "" {
				t.Errorf("%v: no message for %s", test.listen, key)
			}
		})
		if strings.Join(got, " ") != test.faults {
			t.Errorf("%v with %+v: faults %q, want %q", test.listen, test.tls, got, test.faults)
		}
	}
	if (*TLS)(nil).Enabled() || plaintext.Enabled() || !certificate.Enabled() {
		t.Error("TLS is enabled without certificate, or not with it")
	}
}
