package config

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/certs/certstest"

	"github.com/deskmint/deskmint/secrets/file"
)

// TestReferenceExample loads the complete example together with the files that it names.
func TestReferenceExample(t *testing.T) {
	text := example(t, "deskmint.yaml")
	if err := validate(compiled(t), text); err != nil {
		t.Error(err)
	}
	ours := certstest.New(t, "ours")
	server := ours.Server(t)
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"deskmint.yaml": text, "tls.crt": server.Certificate, "tls.key": server.Key,
		"clients.pem": ours.PEM, "vault-ca.pem": ours.PEM, "cluster-ca.pem": ours.PEM,
		"audit.key": strings.Repeat("k", 32), "conf.d/shop.yaml": shopFile,
	})
	s, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Names(), " "); got != "acme-customers acme-staff shop" {
		t.Errorf("configurations %s", got)
	}
	if len(s.Warnings) > 0 {
		t.Errorf("warnings %v", s.Warnings)
	}
}

// TestReferenceExampleHasEveryKey shows that the example is complete. Keys that exclude each other
// are in its comments.
func TestReferenceExampleHasEveryKey(t *testing.T) {
	text := example(t, "deskmint.yaml")
	var schema any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if properties, ok := v["properties"].(map[string]any); ok {
				for key := range properties {
					if !regexp.MustCompile(`(^|[^a-z_])` + key + `(:|[ ,])`).MatchString(text) {
						t.Errorf("the key %s isn't in the example", key)
					}
				}
			}
			for _, below := range v {
				walk(below)
			}
		case []any:
			for _, below := range v {
				walk(below)
			}
		}
	}
	walk(schema)
}

// TestQuickstart follows the instructions of the quick start up to the first secret.
func TestQuickstart(t *testing.T) {
	text := example(t, "quickstart.yaml")
	if err := validate(compiled(t), text); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{ // with mode 0600
		"quickstart.yaml": text,
		"secrets.yaml":    example(t, "secrets.yaml"),
		"audit.key":       example(t, "audit.key"),
	})
	s, err := Load(filepath.Join(dir, "quickstart.yaml"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) > 0 {
		t.Errorf("warnings %v", s.Warnings)
	}
	store := file.New(s.Secrets.File)
	for _, ref := range s.Refs() {
		status, err := store.Status(t.Context(), ref.Path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Key(t.Context(), ref, status.Active); err != nil {
			t.Error(err)
		}
	}
}
