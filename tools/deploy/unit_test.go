package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const unit = "../../deploy/systemd/deskmint.service"

// exposure is the highest result of `systemd-analyze security`, of 100, that is accepted. Access to
// the network causes most of it.
const exposure = "15"

// analyze runs systemd-analyze, which doesn't need a running systemd.
func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if strings.Contains(os.Getenv("DESKMINT_REQUIRE"), "systemd-analyze") {
			t.Fatal("there is no systemd-analyze: install systemd")
		}
		t.Skip("there is no systemd-analyze")
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	return string(out), err
}

func TestUnitIsConfined(t *testing.T) {
	if out, err := analyze(t, "security", "--offline=true", "--threshold="+exposure, unit); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// A unit with all capabilities must fail.
	loose := filepath.Join(t.TempDir(), "deskmint.service")
	write(t, loose,
		regexp.MustCompile(`(?m)^(SystemCallFilter|CapabilityBoundingSet)=.*\n`).ReplaceAllString(read(t, unit), ""))
	if out, err := analyze(t, "security", "--offline=true", "--threshold="+exposure, loose); err == nil {
		t.Errorf("a unit with every capability passes:\n%s", out)
	}
}

// TestUnitIsValid checks that systemd accepts every key and value, and finds the programs.
func TestUnitIsValid(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(read(t, unit), "/usr/local/bin/deskmint", self)
	verify := func(text string) (string, error) {
		copied := filepath.Join(t.TempDir(), "deskmint.service")
		write(t, copied, text)
		out, err := analyze(t, "verify", "--man=no", copied)
		// Ignore messages about other units of this machine, which systemd-analyze also loads.
		return regexp.MustCompile(`(?m)^/(usr/)?lib/systemd/.*\n`).ReplaceAllString(out, ""), err
	}
	if out, err := verify(text); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _ := verify(strings.Replace(text, "ProtectHome", "ProtectHomes", 1)); !strings.Contains(out,
		"ProtectHomes") {
		t.Errorf("a misspelt key passes: %s", out)
	}
}

// TestUnitConfiguration checks that the configuration in the folder of the unit passes `deskmint
// config check`, and names only files that the unit provides.
func TestUnitConfiguration(t *testing.T) {
	text, service := read(t, "../../deploy/systemd/deskmint.yaml"), read(t, unit)
	for _, name := range regexp.MustCompile(`/run/credentials/deskmint\.service/([\w.-]+)`).FindAllStringSubmatch(text,
		-1) {
		if !strings.Contains(service, "LoadCredential="+name[1]+":/etc/deskmint/"+name[1]+"\n") {
			t.Errorf("the unit loads no credential %s", name[1])
		}
	}
	root := t.TempDir()
	certificate, key := newCertificate(t)
	for name, content := range map[string]string{
		"/etc/deskmint/tls.crt": certificate, "/etc/deskmint/vault-ca.pem": certificate,
		"/run/credentials/deskmint.service/tls.key":         key,
		"/run/credentials/deskmint.service/vault-secret-id": "a secret id",
		"/run/credentials/deskmint.service/audit.key":       strings.Repeat("k", 32),
		"/var/log/deskmint/audit.jsonl":                     "",
		"/etc/deskmint/conf.d/shop.yaml": included +
			"callers:\n  - {name: shop, identities: [{api_key_sha256: " + strings.Repeat("ab", 32) +
			"}], grants: []}\n",
		"/etc/deskmint/deskmint.yaml": regexp.MustCompile(`/(run|var)/`).ReplaceAllString(text, root+"$0"),
	} {
		write(t, root+name, content)
	}
	out, err := exec.Command(binary(t), "config", "check", root+"/etc/deskmint/deskmint.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
