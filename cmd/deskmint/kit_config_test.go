package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// The secrets are markers. The tests search all output for them.
const (
	customersSecret = "MARKER-customers-secret-0123456789abcdef"
	nextSecret      = "MARKER-next-secret-0123456789abcdefghijk"
)

// onFile returns a configuration with a file of secrets in the same folder.
func onFile(hash string) string {
	return `secrets: {source: file, file: {path: secrets.yaml}, refresh: 1s}
` + acme(hash)
}

// audited is added to onFile to record the people who are signed in. Without it there is a warning.
const audited = "audit: {plain_email: true}\n"

// acme returns the configuration without the store: one configuration with one brand, and one
// caller.
func acme(hash string) string {
	return `configurations:
  - name: acme-customers
    secret: {path: sso/acme-customers}
    zendesk_sso:
      audiences: [end_user]
      origins: [https://login.acme.com]
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

// files writes the files of a service with the file source, and returns their paths and the
// caller's key.
func files(t *testing.T) (config, secrets, key string) {
	t.Helper()
	key, hash := caller.NewKey()
	dir := folder(t, map[string]string{"deskmint.yaml": onFile(hash), "secrets.yaml": secretsYAML(customersSecret)})
	return filepath.Join(dir, "deskmint.yaml"), filepath.Join(dir, "secrets.yaml"), key
}

// configurationState is the state of a configuration in /readyz.
type configurationState struct {
	State  string
	Active int `json:"active_version"`
	Staged int `json:"staged_version"`
	Fault  string
	// Success is the time of the last successful read of the secret, in whole seconds.
	Success time.Time `json:"last_success"`
}

// readyz reads /readyz of the ops listener.
func (d *deskmint) readyz(t *testing.T) (ready bool, configurations map[string]configurationState) {
	t.Helper()
	response, err := http.Get("http://" + d.ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	a := readAnswer(t, response)
	var parsed struct {
		Ready          bool
		Configurations map[string]configurationState
	}
	if err := json.Unmarshal([]byte(a.body), &parsed); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if parsed.Ready != (a.status == http.StatusOK) {
		t.Errorf("/readyz has status %d and %s", a.status, a.body)
	}
	return parsed.Ready, parsed.Configurations
}

const anyVersion = -1

// awaitState waits until acme-customers has this state. The service must be ready all the time.
func (d *deskmint) awaitState(t *testing.T, state string, active int, fault string) {
	t.Helper()
	eventually(t, func() error {
		ready, configurations := d.readyz(t)
		got := configurations["acme-customers"]
		if !ready || got.State != state || got.Active != active && active != anyVersion ||
			(fault == "") != (got.Fault == "") || !strings.Contains(got.Fault, fault) {
			return fmt.Errorf("/readyz: ready %v, %+v; want %s with version %d and the fault %q", ready, got, state,
				active, fault)
		}
		return nil
	})
}

// awaitUnready waits until acme-customers has this state with a fault. The service must not be
// ready, because it has no other configuration.
func (d *deskmint) awaitUnready(t *testing.T, state, fault string) {
	t.Helper()
	eventually(t, func() error {
		ready, configurations := d.readyz(t)
		if got := configurations["acme-customers"]; ready || got.State != state || !strings.Contains(got.Fault, fault) {
			return fmt.Errorf("/readyz: ready %v, %+v; want it unready and %s with the fault %q", ready, got,
				state, fault)
		}
		return nil
	})
	if strings.Contains(d.out.String(), "\nready\n") {
		t.Error("it prints ready")
	}
}

// onVault returns a configuration with a Vault at an address.
func onVault(address, hash string) string {
	return fmt.Sprintf(`secrets: {source: vault, refresh: 1s, vault: {addresses: [%q],
  auth: {method: approle, role_id_file: role-id, secret_id_file: secret-id}}}
`, address) + acme(hash)
}

// blockingVault writes the files of a service whose Vault accepts requests and doesn't respond. The
// channel receives a value for each request.
func blockingVault(t *testing.T) (config string, received <-chan struct{}) {
	t.Helper()
	requests, silence := make(chan struct{}, 1000), make(chan struct{})
	store := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		requests <- struct{}{}
		<-silence
	}))
	t.Cleanup(store.Close)
	t.Cleanup(func() { close(silence) })
	_, hash := caller.NewKey()
	dir := folder(t, map[string]string{
		"role-id":       "role",
		"secret-id":     "secret",
		"deskmint.yaml": onVault(store.URL, hash),
	})
	return filepath.Join(dir, "deskmint.yaml"), requests
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
