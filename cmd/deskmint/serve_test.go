package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// Markers: whatever a server writes somewhere can be searched for them.
const (
	customersSecret = "MARKER-customers-secret-0123456789abcdef"
	nextSecret      = "MARKER-next-secret-0123456789abcdefghijk"
)

// onFile is a configuration with a file of secrets beside it.
func onFile(hash string) string {
	return `secrets: {source: file, file: {path: secrets.yaml}, refresh: 1s}
` + acme(hash)
}

// audited is a block for the end of onFile: records say who was signed in, so that nothing warns of
// it.
const audited = "audit: {plain_email: true}\n"

// acme is what there is besides the store: one configuration with one brand, and one caller.
func acme(hash string) string {
	return `configurations:
  - name: acme-customers
    secret: {path: sso/acme-customers}
    zendesk_sso:
      audiences: [end_user]
      brands: [{id: "360001", name: Acme, subdomain: acme}]
    user_rate: {per_minute: 60000} # one person is all of the load
callers:
  - name: storefront
    identities:
      - api_key_sha256: ` + hash + `
    grants:
      - configurations: ["*"]
        brands: ["*"]
        actions: [sign_in, read, inspect, refresh, stage]
        roles: [unset, end_user]
        email_domains: {allow: ["*"], deny: [acme.example, "*.acme.example"]}
        return_to_hosts: ["*"]
`
}

func secretsYAML(secret string) string {
	return "secrets:\n  sso/acme-customers:\n    versions:\n      1: {shared_secret: \"" + secret + "\"}\n"
}

// files are those of a service with the file source, and its caller's key.
func files(t *testing.T) (config, secrets, key string) {
	t.Helper()
	key, hash := caller.NewKey()
	dir := folder(t, map[string]string{"deskmint.yaml": onFile(hash), "secrets.yaml": secretsYAML(customersSecret)})
	return filepath.Join(dir, "deskmint.yaml"), filepath.Join(dir, "secrets.yaml"), key
}

// standing is how /readyz says that a configuration stands.
type standing struct {
	State  string
	Active int `json:"active_version"`
	Staged int `json:"staged_version"`
	Fault  string
	// Success is when the store last answered with something to sign with, in whole seconds.
	Success time.Time `json:"last_success"`
}

// readyz asks the ops listener.
func (d *deskmint) readyz(t *testing.T) (ready bool, configurations map[string]standing) {
	t.Helper()
	response, err := http.Get("http://" + d.ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	a := readAnswer(t, response)
	var said struct {
		Ready          bool
		Configurations map[string]standing
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if said.Ready != (a.status == http.StatusOK) {
		t.Errorf("/readyz answers %d with %s", a.status, a.body)
	}
	return said.Ready, said.Configurations
}

const anyVersion = -1

// stands waits until acme-customers stands like this, and the service is ready all along.
func (d *deskmint) stands(t *testing.T, state string, active int, fault string) {
	t.Helper()
	eventually(t, func() error {
		ready, configurations := d.readyz(t)
		got := configurations["acme-customers"]
		if !ready || got.State != state || got.Active != active && active != anyVersion || (fault == "") != (got.Fault == "") || !strings.Contains(got.Fault, fault) {
			return fmt.Errorf("/readyz: ready %v, %+v; want %s with version %d and the fault %q", ready, got, state, active, fault)
		}
		return nil
	})
}

func TestServe(t *testing.T) {
	t.Parallel()
	config, _, key := files(t)
	d := serve(t, config)
	d.stands(t, "usable", 1, "")
	minted := d.mint(t, key, "acme-customers")
	if minted.status != http.StatusOK || minted.signed != 1 || minted.form.Action != "https://acme.zendesk.com/access/jwt" {
		t.Fatalf("%d %s", minted.status, minted.body)
	}
	if got := claims(t, minted.token, customersSecret); got["email"] != "ana@customer.example" || got["name"] != "Ana" {
		t.Errorf("claims %v", got)
	}
	if got := d.mint(t, "dmk_wrong", "acme-customers"); got.reason != "CALLER_UNAUTHENTICATED" {
		t.Errorf("a wrong key: %s", got.body)
	}
	// Health by configuration is for operators; strangers learn no names.
	for address, want := range map[string]codes.Code{d.ops: codes.OK, d.grpc: codes.NotFound} {
		conn := (&deskmint{grpc: address}).dial(t)
		answer, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "acme-customers"})
		if status.Code(err) != want || err == nil && answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of acme-customers at %s: %v %v", address, answer, err)
		}
	}
	// Each decision is on record, beside the addresses, on standard output.
	if records := linesWith(d.out.String(), `{"schema":`); len(records) != 4 {
		t.Errorf("records:\n%s", d.out.String())
	}
	if err := d.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	d.silent(t, customersSecret, key, "dmk_wrong", "ana@customer.example")
}

// TestSecretsFile: a fault of the file is logged and on /readyz, and mended without a restart.
func TestSecretsFile(t *testing.T) {
	t.Parallel()
	config, secrets, key := files(t)
	if err := os.Chmod(secrets, 0o644); err != nil {
		t.Fatal(err)
	}
	d := serve(t, config)
	unusable := func(fault string) {
		t.Helper()
		d.stands(t, "unusable", 0, fault)
		if got := d.mint(t, key, "acme-customers"); got.status != http.StatusInternalServerError || got.reason != "SECRET_UNUSABLE" ||
			strings.Contains(got.body, "secrets.yaml") || strings.Contains(got.body, "permission") {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	unusable("chmod")
	if log := d.err.String(); !strings.Contains(log, secrets) || !strings.Contains(log, "0644") {
		t.Errorf("the log doesn't say what is wrong with the file:\n%s", log)
	}
	if err := os.Chmod(secrets, 0o600); err != nil {
		t.Fatal(err)
	}
	signs := func(state, fault, secret string) {
		t.Helper()
		d.stands(t, state, 1, fault)
		got := d.mint(t, key, "acme-customers")
		if got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		claims(t, got.token, secret)
	}
	signs("usable", "", customersSecret)

	// From here on there is a last good value.
	for fault, spoil := range map[string]func() error{
		"chmod":        func() error { return os.Chmod(secrets, 0o620) },
		"no such file": func() error { return os.Remove(secrets) },
		":4:":          func() error { write(t, secrets, secretsYAML("MARKER-short")); return nil },
		"unusable":     func() error { write(t, secrets, "secrets: ["); return nil },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		signs("stale", fault, customersSecret)
	}
	write(t, secrets, secretsYAML(nextSecret))
	signs("usable", "", nextSecret)
	d.silent(t, customersSecret, nextSecret, "MARKER-short", key)
}

// TestSecretFaults at a start: each is the one configuration's, and an operator's to mend.
func TestSecretFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, fault string }{
		"short":             {secretsYAML("MARKER-0123456789-0123456789-31"), "32"},
		"outer white space": {secretsYAML(customersSecret + " "), "white space"},
		"another field":     {strings.Replace(secretsYAML(customersSecret), "shared_secret", "password", 1), "shared_secret"},
		"another path":      {strings.Replace(secretsYAML(customersSecret), "acme-customers", "acme", 1), "no such secret"},
		"no YAML":           {"secrets: [" + customersSecret, "unusable"},
		"an unknown key":    {secretsYAML(customersSecret) + "active: 1\n", "active"},
		"an active unknown": {strings.Replace(secretsYAML(customersSecret), "versions", "active: 7\n    versions", 1), "7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, secrets, key := files(t)
			write(t, secrets, c.file)
			d := serve(t, config)
			d.stands(t, "unusable", anyVersion, c.fault)
			if got := d.mint(t, key, "acme-customers"); got.status != http.StatusInternalServerError || got.reason != "SECRET_UNUSABLE" {
				t.Errorf("%d %s", got.status, got.body)
			}
			d.silent(t, "MARKER-0123456789", customersSecret, key)
		})
	}
	// Switched off on purpose is no fault, in whatever words.
	config, secrets, key := files(t)
	write(t, secrets, strings.Replace(secretsYAML(customersSecret), "versions", "disabled: maybe\n    versions", 1))
	d := serve(t, config)
	d.stands(t, "disabled", 1, "")
	if got := d.mint(t, key, "acme-customers"); got.status != http.StatusServiceUnavailable || got.reason != "CONFIGURATION_DISABLED" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestServeRefuses what it must not start with, and says where it stands.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	good := onFile(hash)
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, c := range map[string]struct {
		config string
		flags  []string
		want   []string
	}{
		"unknown key":             {config: edit("    secret:", "    sekret:"), want: []string{"deskmint.yaml:4", "configurations[0].sekret", "did you mean secret?"}},
		"every fault at once":     {config: edit("zendesk_sso", "zendesk") + "listn: {}\n", want: []string{":5:", "configurations[0].zendesk", ":20:", "listn"}},
		"the key of dev":          {config: edit(hash, caller.HashKey(config.DevKey)), want: []string{":12:", "callers[0].identities[0].api_key_sha256", "deskmint dev"}},
		"the key, not its hash":   {config: edit(hash, key), want: []string{":12:", "SHA-256", "key new"}},
		"memory":                  {config: edit("source: file, file: {path: secrets.yaml}", "source: memory"), want: []string{"memory", "deskmint dev"}},
		"plaintext, by file":      {config: good + "listen: {http: \"0.0.0.0:0\"}\n", want: []string{":20:", "listen.http", "plaintext"}},
		"plaintext, by flag":      {config: good, flags: []string{"--grpc-listen", "0.0.0.0:0"}, want: []string{"listen.grpc", "plaintext"}},
		"no address":              {config: good, flags: []string{"--http-listen", "nowhere"}, want: []string{"listen.http", "host:port"}},
		"certificate not there":   {config: good + "tls: {certificate: tls.crt, key: tls.key}\n", want: []string{":20:", "tls.certificate", "can't be read"}},
		"audit folder not there":  {config: good + "audit: {output: nowhere/audit.log}\n", want: []string{":20:", "audit.output"}},
		"included file not there": {config: good + "include: [team.yaml]\n", want: []string{":20:", "include[0]", "can't be found"}},
		"no YAML":                 {config: good + "\t", want: []string{"deskmint.yaml:20"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{"deskmint.yaml": c.config, "secrets.yaml": secretsYAML(customersSecret)})
			args := append(append([]string{"serve", "--config", filepath.Join(dir, "deskmint.yaml")}, anyPort...), c.flags...)
			out, logged, err := invoke(t, "", args...)
			if err == nil || errors.Is(err, errRefused) {
				t.Fatalf("it served:\n%s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			shows(t, false, out+logged+err.Error(), key, customersSecret, "grpc=")
		})
	}
	missing := filepath.Join(t.TempDir(), "nowhere.yaml")
	if _, _, err := invoke(t, "", "serve", "--config", missing); err == nil || !strings.Contains(err.Error(), missing+": can't be read: no such file") {
		t.Errorf("a file that isn't there: %v", err)
	}
	if _, _, err := invoke(t, "", "serve"); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("no file: %v", err)
	}
}

// TestAuditFile: a record is in the file before its answer is out; without one nothing is signed.
func TestAuditFile(t *testing.T) {
	t.Parallel()
	config, _, key := files(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(text)+"audit: {output: audit.log, plain_email: true}\n")
	d := serve(t, config)
	record := filepath.Join(filepath.Dir(config), "audit.log")
	for n := range 3 {
		if got := d.post(t, key, "/v1/configurations/acme-customers:mintToken", anaJSON); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		lines, err := os.ReadFile(record)
		if err != nil || strings.Count(string(lines), "\n") != n+1 || !strings.Contains(string(lines), "ana@customer.example") {
			t.Errorf("after %d answers: %v\n%s", n+1, err, lines)
		}
		shows(t, false, string(lines), customersSecret, key, tokenStart)
	}
	if strings.Contains(d.out.String(), `{"time"`) {
		t.Errorf("records on standard output too:\n%s", d.out.String())
	}
	write(t, config, string(text)+"audit: {output: /dev/full}\n")
	full := serve(t, config)
	if got := full.mint(t, key, "acme-customers"); got.status != http.StatusServiceUnavailable || got.reason != "AUDIT_UNAVAILABLE" || got.token != "" {
		t.Errorf("a disk that is full: %d %s", got.status, got.body)
	}
	full.silent(t, customersSecret, key)
}

// onVault is a configuration with a Vault at an address.
func onVault(address, hash string) string {
	return fmt.Sprintf(`secrets: {source: vault, refresh: 1s, vault: {addresses: [%q], auth: {method: approle, role_id_file: role-id, secret_id_file: secret-id}}}
`, address) + acme(hash)
}

// onDumbVault makes the files of a service whose Vault takes requests and says nothing; asked tells
// of each.
func onDumbVault(t *testing.T) (config string, asked <-chan struct{}) {
	t.Helper()
	requests, silence := make(chan struct{}, 1000), make(chan struct{})
	store := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		requests <- struct{}{}
		<-silence
	}))
	t.Cleanup(store.Close)
	t.Cleanup(func() { close(silence) })
	_, hash := caller.NewKey()
	dir := folder(t, map[string]string{"role-id": "role", "secret-id": "secret", "deskmint.yaml": onVault(store.URL, hash)})
	return filepath.Join(dir, "deskmint.yaml"), requests
}

// TestServeEndsWhileWarming: before the store has answered it is alive and not ready; told to end
// then, it ends at once, and in order.
func TestServeEndsWhileWarming(t *testing.T) {
	t.Parallel()
	config, asked := onDumbVault(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	address, ops := freeAddress(t), freeAddress(t)
	var out transcript
	go func() {
		args := append(append([]string{"serve", "--config", config}, anyPort...), "--http-listen", address, "--ops-listen", ops)
		ended <- run(ctx, args, streams{strings.NewReader(""), &out, io.Discard})
	}()
	<-asked
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/metrics": http.StatusOK} {
		response, err := http.Get("http://" + ops + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAnswer(t, response); got.status != want {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.body, want)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
		if strings.Contains(out.String(), "ready") {
			t.Errorf("it began all the same:\n%s", out.String())
		}
	case <-time.After(soon):
		t.Fatal("it waits for the store")
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Errorf("%s is still taken", address)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
