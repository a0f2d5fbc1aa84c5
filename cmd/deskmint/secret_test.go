package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/rotation"
	"github.com/deskmint/deskmint/service/caller"
)

// runSecret runs a secret command to its end. It checks that the output contains none of the
// secrets.
func runSecret(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	stdout, stderr, err = invoke(t, stdin, append([]string{"secret"}, args...)...)
	checkShown(t, false, stdout+stderr+fmt.Sprint(err), customersSecret, nextSecret, thirdSecret, shortSecret)
	return stdout, stderr, err
}

// mustRunSecret is runSecret for a command that must succeed, with want on standard output.
func mustRunSecret(t *testing.T, want, stdin string, args ...string) {
	t.Helper()
	stdout, stderr, err := runSecret(t, stdin, args...)
	if err != nil || stdout != want {
		t.Fatalf("secret %q: %v\n%s%swant\n%s", args, err, stdout, stderr, want)
	}
}

const thirdSecret = "MARKER-third-secret-0123456789abcdefghij"

// TestSecret rotates the secret of a running service in a file.
func TestSecret(t *testing.T) {
	t.Parallel()
	config, secretsFile, key := files(t)
	d := serve(t, config)
	of := func(act string, more ...string) []string {
		return append([]string{act, "acme-customers", "--config", config}, more...)
	}
	wait := []string{"--replicas", d.ops}
	signs := func(version uint32, secret string) {
		t.Helper()
		got := d.mint(t, key, "acme-customers")
		if got.signed != version {
			t.Fatalf("version %d signs, want %d: %s", got.signed, version, got.body)
		}
		claims(t, got.token, secret)
	}

	before := readFile(t, secretsFile)
	mustRunSecret(t, "would pin version 1 as the active one\nwould write version 2\n", nextSecret+"\n",
		of("stage", "--dry-run")...)
	mustRunSecret(t,
		"would pin version 1 as the active one\nwould write version 2\nwould make version 2 active (previous 1)\n",
		nextSecret, of("replace", "--dry-run")...)
	mustRunSecret(t, "would switch the secret off\n", "", of("disable", "--dry-run")...)
	if after := readFile(t, secretsFile); after != before {
		t.Fatalf("dry runs have changed the file to\n%s", after)
	}

	mustRunSecret(t, "done: pin version 1 as the active one\ndone: write version 2\n"+
		"acme-customers: version 2 is staged: try it (secret_version 2 in a request), then activate it\n"+
		"acme-customers: every replica follows (1)\n", nextSecret+"\n", of("stage", wait...)...)
	signs(1, customersSecret)
	if tried := d.post(t, key, "/v1/configurations/acme-customers:mintToken",
		`{"secretVersion":2,`+anaJSON[1:]); tried.signed != 2 {
		t.Fatalf("trying the staged version: %d %s", tried.status, tried.body)
	}
	mustRunSecret(t, "done: make version 2 active (previous 1)\nacme-customers: every replica follows (1)\n", "",
		of("activate", wait...)...)
	signs(2, nextSecret)
	stdout, stderr, err := runSecret(t, "", of("rollback", wait...)...)
	const back = "done: make version 1 active (previous 2)\nacme-customers: every replica follows (1)\n"
	if err != nil || stdout != back ||
		!strings.Contains(stderr, "WARNING: Zendesk takes only") {
		t.Fatalf("rollback: %v\n%s%s", err, stdout, stderr)
	}
	signs(1, customersSecret)
	mustRunSecret(t,
		"done: write version 3\ndone: make version 3 active (previous 1)\nacme-customers: every replica follows (1)\n",
		thirdSecret+"\r\n", of("replace", wait...)...)
	signs(3, thirdSecret)
	mustRunSecret(t, "done: switch the secret off\nacme-customers: every replica follows (1)\n", "",
		of("disable", wait...)...)
	if got := d.mint(t, key, "acme-customers"); got.reason != "CONFIGURATION_DISABLED" {
		t.Errorf("disabled: %d %s", got.status, got.body)
	}
	mustRunSecret(t, "done: switch the secret on\nacme-customers: every replica follows (1)\n", "",
		of("enable", wait...)...)
	signs(3, thirdSecret)
	mustRunSecret(t,
		"done: make version 2 active (previous 3)\nacme-customers: replicas follow within about 1s (--replicas waits "+
			"for them)\n", "", of("activate", "--version", "2")...)
	d.checkNoSecrets(t, customersSecret, nextSecret, thirdSecret)
}

func TestSecretStatus(t *testing.T) {
	t.Parallel()
	config, secretsFile, _ := files(t)
	write(t, secretsFile, `secrets:
  sso/acme-customers:
    active: 2
    previous: 1
    versions:
      1: {shared_secret: "`+customersSecret+`", created: 2026-01-10T09:00:00Z}
      2: {shared_secret: "`+nextSecret+`", created: 2026-06-01T11:00:00+02:00}
      3: {shared_secret: "`+shortSecret+`"}
      4: {shared_secret: "`+customersSecret+`"}
`)
	stdout, stderr, err := runSecret(t, "", "status", "acme-customers", "--config", config, "--prefix", "MARKER-c")
	if err != nil || stderr != "" {
		t.Fatalf("%v %s", err, stderr)
	}
	prints := regexp.MustCompile(`\b[0-9a-f]{8}\b`).FindAllString(stdout, -1)
	if len(prints) != 3 || prints[0] != prints[2] || prints[0] == prints[1] {
		t.Fatalf("fingerprints %v in\n%s", prints, stdout)
	}
	want := "acme-customers: " + secretsFile + `:2: sso/acme-customers, field shared_secret
VERSION  CREATED               FINGERPRINT  STATE
4        -                     AAAAAAAA     staged, match
3        -                     -            no match, ` + secretsFile +
		`:8: sso/acme-customers:shared_secret: unusable: version 3 is too short (16 to 31 bytes; at least 32 are needed)
2        2026-06-01T09:00:00Z  BBBBBBBB     active, no match
1        2026-01-10T09:00:00Z  AAAAAAAA     previous, match
`
	want = strings.NewReplacer("AAAAAAAA", prints[0], "BBBBBBBB", prints[1]).Replace(want)
	if stdout != want {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}

	stdout, _, err = runSecret(t, "", "status", "configurations/acme-customers", "--config", config, "--json")
	var parsed rotation.Status
	if err != nil || json.Unmarshal([]byte(stdout), &parsed) != nil {
		t.Fatalf("%v %s", err, stdout)
	}
	if parsed.Active != 2 || parsed.Staged != 4 || parsed.Previous != 1 || !parsed.Pinned ||
		len(parsed.Versions) != 4 ||
		parsed.Versions[0].Match != nil || parsed.Versions[2].State[0] != "active" {
		t.Errorf("%s", stdout)
	}
	write(t, secretsFile,
		strings.Replace(secretsYAML(customersSecret), "    versions:", "    disabled: true\n    versions:", 1))
	if err := os.Chmod(secretsFile, 0o400); err != nil {
		t.Fatal(err)
	}
	stdout, _, err = runSecret(t, "", "status", "acme-customers", "--config", config)
	for _, part := range []string{
		"no pointer is set: the latest version is active\n", "DISABLED: nothing is signed with it\n",
		"warning: the file is read-only (0400)",
	} {
		if err != nil || !strings.Contains(stdout, part) {
			t.Errorf("%v: no %q in\n%s", err, part, stdout)
		}
	}
}

// TestSecretRefusals checks that an error says what to do, and that the command changes nothing.
func TestSecretRefusals(t *testing.T) {
	t.Parallel()
	config, secretsFile, _ := files(t)
	memory := filepath.Join(filepath.Dir(config), "memory.yaml")
	write(t, memory, strings.Replace(readFile(t, config), "source: file", "source: memory", 1))
	before := readFile(t, secretsFile)
	for _, tc := range []struct{ stdin, args, says string }{
		{nextSecret, "stage acme-customers --config CONFIG " + nextSecret, "a secret is never an argument"},
		{nextSecret, "stage acme-customers " + nextSecret + " --config CONFIG", "a secret is never an argument"},
		{nextSecret, "replace acme-customers --config CONFIG - " + nextSecret, "a secret is never an argument"},
		{
			nextSecret, "stage " + nextSecret + " --config CONFIG",
			"no configuration has that name: it has acme-customers",
		},
		{nextSecret, "stage --config CONFIG --secret=" + nextSecret + " acme-customers", "unknown flag --secret"},
		{"", "status acme-customers --config CONFIG --prefix " + nextSecret, "at most 8 characters"},
		{"", "stage acme-customers --config CONFIG", "standard input is empty"},
		{"\n", "stage acme-customers --config CONFIG", "standard input is empty"},
		{nextSecret + "\n\n", "stage acme-customers --config CONFIG", "ends with white space"},
		{" " + nextSecret, "stage acme-customers --config CONFIG", "white space"},
		{shortSecret, "stage acme-customers --config CONFIG", "too short (16 to 31 bytes; at least 32 are needed)"},
		{nextSecret + "\n" + nextSecret, "stage acme-customers --config CONFIG", "more than one line?"},
		{strings.Repeat(nextSecret, 2000), "stage acme-customers --config CONFIG", "more than 64 KiB"},
		{
			customersSecret, "stage acme-customers --config CONFIG",
			secretsFile + ":2: sso/acme-customers: refused: the value is that of version 1, which is active",
		},
		{customersSecret, "replace acme-customers --config CONFIG", "version 1, which is active"},
		{"", "activate acme-customers --config CONFIG", "nothing is staged"},
		{"", "activate acme-customers --config CONFIG --version 7", "there is no version 7: the latest is 1"},
		{"", "rollback acme-customers --config CONFIG", "there is no pointer"},
		{"", "enable acme-customers --config CONFIG", "it isn't switched off"},
		{"", "disable acme-customers --config CONFIG --replicas 9091", "must be HOST:PORT"},
		{"", "disable acme-customers --config CONFIG --replicas :9091", "must be HOST:PORT"},
		{nextSecret, "stage acme-customers --config MEMORY", "nothing to rotate: use vault or file"},
		{nextSecret, "stage acme-customers --config nowhere.yaml", "can't be read"},
		{nextSecret, "stage acme-customers", "--config"},
	} {
		args := strings.Fields(strings.NewReplacer("CONFIG", config, "MEMORY", memory).Replace(tc.args))
		_, _, err := runSecret(t, tc.stdin, args...)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("secret %s: %v, want %q", tc.args, err, tc.says)
		}
	}
	if after := readFile(t, secretsFile); after != before {
		t.Errorf("the file was changed to\n%s", after)
	}
}

// TestSecretSharedPath checks configurations that share a path, and so share its pointer. A command
// for one of them names the other.
func TestSecretSharedPath(t *testing.T) {
	t.Parallel()
	config, secretsFile, _ := files(t)
	text := readFile(t, config)
	block := text[strings.Index(text, "  - name: acme-customers"):strings.Index(text, "callers:")]
	other := strings.NewReplacer("acme-customers", "acme-staff", "sso/acme-customers",
		"sso/acme-customers, field: staff").Replace(block)
	other = strings.Replace(other, "{path: sso/acme-staff}", "{path: sso/acme-customers, field: staff}", 1)
	write(t, config, strings.Replace(text, "callers:", other+"callers:", 1))
	write(t, secretsFile,
		strings.Replace(secretsYAML(customersSecret), "{shared_secret", "{staff: \""+thirdSecret+"\", shared_secret",
			1))

	_, stderr, err := runSecret(t, nextSecret, "replace", "acme-customers", "--config", config)
	if err != nil || !strings.Contains(stderr, "note: acme-staff signs with the same path") {
		t.Fatalf("%v\n%s", err, stderr)
	}
	// The new version also has the other configuration's field, so that configuration still signs.
	if after := readFile(t, secretsFile); strings.Count(after, thirdSecret) != 2 {
		t.Errorf("the other field is lost:\n%s", after)
	}
	// A version without that field can't be activated.
	write(t, secretsFile,
		strings.Replace(readFile(t, secretsFile), "versions:\n",
			"versions:\n      9: {shared_secret: \""+shortSecret+shortSecret+"\"}\n", 1))
	if _, _, err := runSecret(t, "", "activate", "acme-customers", "--config", config, "--version", "9"); err == nil ||
		!strings.Contains(err.Error(), "field staff of the same path, but it is not usable in version 9") {
		t.Errorf("%v", err)
	}
	if _, _, err := runSecret(t, "", "status", "acme-staff", "--config", config); err != nil {
		t.Error(err)
	}
}

// TestSecretUsesOperatorToken checks that the commands use the operator's credential, and never log
// in as the service.
func TestSecretUsesOperatorToken(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("HOME", t.TempDir())
	requests := make(chan string, 100)
	vault := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests <- r.URL.Path
	}))
	t.Cleanup(vault.Close)
	_, hash := caller.NewKey()
	dir := folder(t, map[string]string{"deskmint.yaml": onVault(vault.URL, hash), "role-id": "r", "secret-id": "s"})
	_, _, err := runSecret(t, nextSecret, "stage", "acme-customers", "--config", filepath.Join(dir, "deskmint.yaml"))
	if err == nil || !strings.Contains(err.Error(), "log in (`vault login`)") || len(requests) > 0 {
		t.Errorf("%v, %d requests", err, len(requests))
	}
}
