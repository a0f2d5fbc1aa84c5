package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
)

// TestRestartRequired shows that each key that needs a restart is reported with its line and
// without its value. All other keys may change.
func TestRestartRequired(t *testing.T) {
	const vault = `secrets:
  source: vault
  vault: {addresses: ["https://vault.internal"], auth: {method: token, token_file: token}}
tls: {allow_plaintext: true}
`
	load := func(text string, running *Snapshot) (*Snapshot, error) {
		dir := "/etc/deskmint"
		l := newLoader(dir+"/deskmint.yaml", Options{})
		l.running = running
		l.add(dir+"/deskmint.yaml", []byte(text))
		return l.snapshot(false)
	}
	base := vault + teamFile
	first, err := load(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, problems string }{
		{"", "", ""},
		{"source: vault", "source: vault\n  refresh: 5s\n  max_rate: 7\n  max_stale: 1h", ""},
		{"source: vault", "source: vault\n  file: {path: other.yaml}", ""},
		{"secrets:", "listen: {grpc: 127.0.0.1:9090}\naudit: {output: stdout}\nsecrets:", ""},
		{"source: vault", "source: file\n  file: {path: other.yaml}", "2 secrets.source"},
		{"vault.internal", "other.internal", "3 secrets.vault.addresses"},
		{
			"method: token, token_file: token", "method: approle, role_id_file: a, secret_id_file: b",
			"3 secrets.vault.auth.method, 3 secrets.vault.auth.role_id_file, " +
				"3 secrets.vault.auth.secret_id_file, 3 secrets.vault.auth.token_file",
		},
		{"secrets:", "listen: {http: 127.0.0.1:1, ops: 127.0.0.1:2}\nsecrets:", "1 listen.http, 1 listen.ops"},
		{"tls: {allow_plaintext: true}\n", "", "1 tls.allow_plaintext"},
		{
			"allow_plaintext: true", "certificate: a, key: b, client_ca: c",
			"4 tls.allow_plaintext, 4 tls.certificate, 4 tls.client_ca, 4 tls.key",
		},
		{
			"tls:", "audit: {output: audit.log, plain_email: true, email_key_file: k}\ntls:",
			"4 audit.email_key_file, 4 audit.output, 4 audit.plain_email",
		},
	} {
		text := strings.Replace(base, test.old, test.new, 1)
		s, err := load(text, first)
		if test.problems == "" {
			if err != nil || s == nil {
				t.Errorf("%s: %v", test.new, err)
			}
			continue
		}
		places, messages := problems(t, err)
		got := strings.ReplaceAll(strings.Join(places, ", "), "/etc/deskmint/deskmint.yaml:", "")
		if got != test.problems {
			t.Errorf("%s: problems at %s, want %s", test.new, got, test.problems)
		}
		if !strings.Contains(messages, "restart to change it") || strings.Contains(messages, "internal") {
			t.Errorf("%s: %s", test.new, messages)
		}
	}
}

// TestRestartSettingsAreComplete compares the keys with the fields of the settings types.
func TestRestartSettingsAreComplete(t *testing.T) {
	blocks := map[string]reflect.Type{
		"listen":        reflect.TypeFor[Listen](),
		"tls":           reflect.TypeFor[TLS](),
		"audit":         reflect.TypeFor[audit.Settings](),
		"secrets.vault": reflect.TypeFor[vault.Settings](),
		"secrets.file":  reflect.TypeFor[file.Settings](),
	}
	want := map[string]bool{"secrets.source": true}
	var add func(key string, of reflect.Type)
	add = func(key string, of reflect.Type) {
		for name, index := range yamlfile.Fields(of) {
			if field := of.FieldByIndex(index).Type; field.Kind() == reflect.Struct {
				add(key+"."+name, field)
			} else {
				want[key+"."+name] = true
			}
		}
	}
	for key, of := range blocks {
		add(key, of)
	}
	got := map[string]any{}
	for _, source := range []string{"vault", "file"} {
		maps.Copy(got, restartSettings(Listen{}, nil, audit.Settings{}, Secrets{Source: source}))
	}
	if !slices.Equal(sortedKeys(got), sortedKeys(want)) {
		t.Errorf("keys\n%q, want\n%q", sortedKeys(got), sortedKeys(want))
	}
}
