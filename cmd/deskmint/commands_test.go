package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// TestKeyNew checks that the printed hash accepts the printed key.
func TestKeyNew(t *testing.T) {
	t.Parallel()
	out, hint, err := invoke(t, "", "key", "new")
	printed := regexp.MustCompile(
		`^key=(dmk_[A-Za-z0-9_-]{43})\napi_key_sha256=([0-9a-f]{64})\n$`).FindStringSubmatch(out)
	if err != nil || printed == nil {
		t.Fatalf("%v %s", err, out)
	}
	if !strings.Contains(hint, "hash") || strings.Contains(hint, printed[1]) {
		t.Errorf("standard error: %s", hint)
	}
	if again, _, _ := invoke(t, "", "key", "new"); again == out {
		t.Error("the same key twice")
	}
	dir := folder(t, map[string]string{
		"deskmint.yaml": onFile(printed[2]),
		"secrets.yaml":  secretsYAML(customersSecret),
	})
	d := serve(t, filepath.Join(dir, "deskmint.yaml"))
	if got := d.mint(t, printed[1], "acme-customers"); got.token == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := d.mint(t, printed[2], "acme-customers"); got.reason != "CALLER_UNAUTHENTICATED" {
		t.Errorf("the hash instead of the key: %d %s", got.status, got.body)
	}
	d.checkNoSecrets(t, printed[1])
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	good := onFile(hash) + audited
	check := func(files map[string]string) (out, faults string, err error) {
		t.Helper()
		dir := folder(t, files)
		out, faults, err = invoke(t, "", "config", "check", filepath.Join(dir, "deskmint.yaml"))
		checkShown(t, false, out+faults+fmt.Sprint(err), key)
		return strings.ReplaceAll(out, dir+string(os.PathSeparator), ""), strings.ReplaceAll(faults,
			dir+string(os.PathSeparator), ""), err
	}
	if out, faults, err := check(map[string]string{"deskmint.yaml": good}); err != nil ||
		out != "deskmint.yaml: ok, 1 configuration\n" || faults != "" {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	// It prints every fault of every file in order, each on one line with its place.
	out, faults, err := check(map[string]string{
		"deskmint.yaml": strings.NewReplacer("secret:", "sekret:", "[sign_in, read", "[sign_on, read", hash,
			key).Replace(good) + "include: [team.yaml]\n",
		"team.yaml": "configurations:\n  - {name: acme-customers, secret: {path: ../x}}\nlisten: {}\n",
	})
	want := regexp.MustCompile(`^deskmint\.yaml:4: configurations\[0\]\.sekret: .+
deskmint\.yaml:13: callers\[0\]\.identities\[0\]\.api_key_sha256: .+
deskmint\.yaml:17: callers\[0\]\.grants\[0\]\.actions.*: .+
team\.yaml:2: configurations\[0\]\.name: .+
team\.yaml:2: configurations\[0\]\.secret.*: .+
team\.yaml:2: configurations\[0\]\.zendesk_sso: .+
team\.yaml:3: listen: .+
$`)
	if err == nil || out != "" || !want.MatchString(faults) {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	// A warning doesn't make it fail.
	out, faults, err = check(map[string]string{"deskmint.yaml": onFile(hash)})
	if err != nil || !strings.Contains(out, "ok") ||
		!strings.HasPrefix(faults, "warning: deskmint.yaml:1: audit: has no email_key_file") {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	out, faults, err = check(map[string]string{
		"deskmint.yaml": strings.Replace(good, "source: file, file: {path: secrets.yaml}", "source: memory", 1),
	})
	if err != nil || !strings.Contains(out, "ok") ||
		!strings.HasPrefix(faults, "warning: deskmint.yaml:1: secrets.source: ") {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	if _, faults, err := invoke(t, "", "config", "check", "nowhere.yaml"); err == nil ||
		faults != "nowhere.yaml: can't be read: no such file or directory\n" {
		t.Errorf("%v\n%s", err, faults)
	}
}

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"config", "schema"}, {"config", "schema", "any.yaml"}} {
		out, _, err := invoke(t, "", args...)
		var schema struct {
			Schema     string `json:"$schema"`
			Properties map[string]any
		}
		if err != nil || json.Unmarshal([]byte(out), &schema) != nil || schema.Schema == "" ||
			schema.Properties["configurations"] == nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	whole, logged, err := invoke(t, "", "--help")
	if err != nil || logged != "" {
		t.Fatalf("%v %s", err, logged)
	}
	if bare, _, err := invoke(t, ""); err != nil || bare != whole {
		t.Errorf("without arguments: %v\n%s", err, bare)
	}
	for command, want := range map[string]string{
		"dev": "--sandbox-listen", "serve": "--config", "config check": "<file>", "config schema": "Schema",
		"mint": "--address", "render": "--language",
		"inspect": "--json", "key new": "API key",
		"explain": "--caller", "audit find": "--record-id", "version": "version",
	} {
		if !strings.Contains(whole, "\n  "+command+" ") {
			t.Errorf("--help doesn't list %s:\n%s", command, whole)
		}
		out, logged, err := invoke(t, "", append(strings.Fields(command), "--help")...)
		if err != nil || logged != "" || !strings.HasPrefix(out, "Usage: deskmint "+command) ||
			!strings.Contains(out, want) {
			t.Errorf("%s --help: %v\n%s%s", command, err, out, logged)
		}
	}
	if out, _, err := invoke(t, "", "version"); err != nil || strings.TrimSpace(out) == "" {
		t.Errorf("version: %v %q", err, out)
	}
	for line, help := range map[string]string{
		"nonsense": "deskmint --help", "config": "deskmint config --help", "key": "deskmint key --help",
		"serve --nonsense": "deskmint serve --help", "dev nonsense": "deskmint dev --help",
	} {
		out, _, err := invoke(t, "", strings.Fields(line)...)
		if err == nil || out != "" || !strings.HasSuffix(err.Error(), "(see "+help+")") {
			t.Errorf("%q: %v %s", line, err, out)
		}
	}
}
