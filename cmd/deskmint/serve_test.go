package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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

func TestServe(t *testing.T) {
	t.Parallel()
	config, _, key := files(t)
	d := serve(t, config)
	d.awaitState(t, "usable", 1, "")
	minted := d.mint(t, key, "acme-customers")
	if minted.status != http.StatusOK || minted.signed != 1 ||
		minted.form.Action != "https://acme.zendesk.com/access/jwt" {
		t.Fatalf("%d %s", minted.status, minted.body)
	}
	if got := claims(t, minted.token, customersSecret); got["email"] != "ana@customer.example" || got["name"] != "Ana" {
		t.Errorf("claims %v", got)
	}
	if got := d.mint(t, "dmk_wrong", "acme-customers"); got.reason != "CALLER_UNAUTHENTICATED" {
		t.Errorf("a wrong key: %s", got.body)
	}
	// Only the ops listener reports health by configuration, so that strangers learn no names.
	for address, want := range map[string]codes.Code{d.ops: codes.OK, d.grpc: codes.NotFound} {
		conn := (&deskmint{grpc: address}).dial(t)
		answer, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{
			Service: "acme-customers",
		})
		if status.Code(err) != want || err == nil && answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of acme-customers at %s: %v %v", address, answer, err)
		}
	}
	// Standard output has a record of each decision, after the addresses.
	if records := linesWith(d.out.String(), `{"schema":`); len(records) != 4 {
		t.Errorf("records:\n%s", d.out.String())
	}
	if err := d.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	d.checkNoSecrets(t, customersSecret, key, "dmk_wrong", "ana@customer.example")
}

// TestSecretsFile checks that a fault of the file is logged and reported at /readyz, and that a
// corrected file is used without a restart.
func TestSecretsFile(t *testing.T) {
	t.Parallel()
	config, secrets, key := files(t)
	if err := os.Chmod(secrets, 0o644); err != nil {
		t.Fatal(err)
	}
	d := serveUnready(t, config)
	d.awaitUnready(t, "unusable", "chmod")
	if log := d.err.String(); !strings.Contains(log, secrets) || !strings.Contains(log, "0644") {
		t.Errorf("the log doesn't report the fault of the file:\n%s", log)
	}
	if err := os.Chmod(secrets, 0o600); err != nil {
		t.Fatal(err)
	}
	d.awaitReady(t)
	signs := func(state, fault, secret string) {
		t.Helper()
		d.awaitState(t, state, 1, fault)
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
	d.checkNoSecrets(t, customersSecret, nextSecret, "MARKER-short", key)
}

// TestSecretFaults checks faults at the start. The replica isn't ready, because it can sign
// nothing, until an operator corrects the fault.
func TestSecretFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, fault string }{
		"short":             {secretsYAML("MARKER-0123456789-0123456789-31"), "32"},
		"outer white space": {secretsYAML(customersSecret + " "), "white space"},
		"another field": {
			strings.Replace(secretsYAML(customersSecret), "shared_secret", "password", 1), "shared_secret",
		},
		"another path": {
			strings.Replace(secretsYAML(customersSecret), "acme-customers", "acme", 1), "no such secret",
		},
		"no YAML":        {"secrets: [" + customersSecret, "unusable"},
		"an unknown key": {secretsYAML(customersSecret) + "active: 1\n", "active"},
		"an active unknown": {
			strings.Replace(secretsYAML(customersSecret), "versions", "active: 7\n    versions", 1), "7",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, secrets, key := files(t)
			write(t, secrets, c.file)
			d := serveUnready(t, config)
			d.awaitUnready(t, "unusable", c.fault)
			write(t, secrets, secretsYAML(customersSecret))
			d.awaitReady(t)
			if got := d.mint(t, key, "acme-customers"); got.token == "" {
				t.Errorf("after the correction: %d %s", got.status, got.body)
			}
			d.checkNoSecrets(t, "MARKER-0123456789", customersSecret, key)
		})
	}
	// A configuration that is at fault refuses, and others keep the replica ready.
	t.Run("one of two", func(t *testing.T) {
		t.Parallel()
		config, secrets, key := files(t)
		text := strings.Replace(readFile(t, config), "callers:", `  - name: acme-short
    secret: {path: sso/short}
    zendesk_sso: {audiences: [end_user], brands: [{id: "7", subdomain: acme-short}]}
callers:`, 1)
		write(t, config, text)
		write(t, secrets, secretsYAML(customersSecret)+
			"  sso/short:\n    versions:\n      1: {shared_secret: \"MARKER-0123456789-0123456789-31\"}\n")
		d := serve(t, config)
		if got := d.mint(t, key, "acme-short"); got.status != http.StatusInternalServerError ||
			got.reason != "SECRET_UNUSABLE" || strings.Contains(got.body, "secrets.yaml") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := d.mint(t, key, "acme-customers"); got.token == "" {
			t.Errorf("the other: %d %s", got.status, got.body)
		}
		d.checkNoSecrets(t, "MARKER-0123456789", customersSecret, key)
	})
	// A disabled secret is not a fault, in any spelling.
	config, secrets, key := files(t)
	write(t, secrets, strings.Replace(secretsYAML(customersSecret), "versions", "disabled: maybe\n    versions", 1))
	d := serve(t, config)
	d.awaitState(t, "disabled", 1, "")
	if got := d.mint(t, key, "acme-customers"); got.status != http.StatusServiceUnavailable ||
		got.reason != "CONFIGURATION_DISABLED" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// serveRefusal is a change of a valid configuration, and parts of the error.
type serveRefusal struct {
	edit  [2]string // what to replace, and by what; HASH is the caller's hash, and KEY the caller's key
	add   string    // text for the end
	flags []string
	want  []string
}

// serveRefusals has a configuration for each fault that prevents a start.
var serveRefusals = map[string]serveRefusal{
	"unknown key": {
		edit: [2]string{"    secret:", "    sekret:"},
		want: []string{"deskmint.yaml:4", "configurations[0].sekret", "did you mean secret?"},
	},
	"every fault at once": {
		edit: [2]string{"zendesk_sso", "zendesk"}, add: "listn: {}\n",
		want: []string{":5:", "configurations[0].zendesk", ":21:", "listn"},
	},
	"the key of dev": {
		edit: [2]string{"HASH", caller.HashKey(config.DevKey)},
		want: []string{":13:", "callers[0].identities[0].api_key_sha256", "deskmint dev"},
	},
	"the key, not its hash": {edit: [2]string{"HASH", "KEY"}, want: []string{":13:", "SHA-256", "key new"}},
	"memory": {
		edit: [2]string{"source: file, file: {path: secrets.yaml}", "source: memory"},
		want: []string{"memory", "deskmint dev"},
	},
	"plaintext, by file": {
		add:  "listen: {http: \"0.0.0.0:0\"}\n",
		want: []string{":21:", "listen.http", "plaintext"},
	},
	"plaintext, by flag": {
		flags: []string{"--grpc-listen", "0.0.0.0:0"},
		want:  []string{"listen.grpc", "plaintext"},
	},
	"no address": {
		flags: []string{"--http-listen", "nowhere"},
		want:  []string{"listen.http", "host:port"},
	},
	"certificate not there": {
		add:  "tls: {certificate: tls.crt, key: tls.key}\n",
		want: []string{":21:", "tls.certificate", "can't be read"},
	},
	"audit folder not there": {
		add:  "audit: {output: nowhere/audit.log}\n",
		want: []string{":21:", "audit.output"},
	},
	"included file not there": {
		add:  "include: [team.yaml]\n",
		want: []string{":21:", "include[0]", "can't be found"},
	},
	"no YAML": {add: "\t", want: []string{"deskmint.yaml:21"}},
}

// TestServeRefuses checks the faults that prevent a start. The error has the place of the fault.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	for name, c := range serveRefusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			placeholders := strings.NewReplacer("HASH", hash, "KEY", key)
			old, text := placeholders.Replace(c.edit[0]), onFile(hash)
			if !strings.Contains(text, old) {
				t.Fatalf("no %q", old)
			}
			if old != "" {
				text = strings.Replace(text, old, placeholders.Replace(c.edit[1]), 1)
			}
			dir := folder(t, map[string]string{
				"deskmint.yaml": text + c.add,
				"secrets.yaml":  secretsYAML(customersSecret),
			})
			args := append(append([]string{"serve", "--config", filepath.Join(dir, "deskmint.yaml")}, anyPort...),
				c.flags...)
			out, logged, err := invoke(t, "", args...)
			if err == nil || errors.Is(err, errRefused) {
				t.Fatalf("it served:\n%s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			checkShown(t, false, out+logged+err.Error(), key, customersSecret, "grpc=")
		})
	}
	missing := filepath.Join(t.TempDir(), "nowhere.yaml")
	if _, _, err := invoke(t, "", "serve", "--config", missing); err == nil ||
		!strings.Contains(err.Error(), missing+": can't be read: no such file") {
		t.Errorf("a file that isn't there: %v", err)
	}
	if _, _, err := invoke(t, "", "serve"); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("no file: %v", err)
	}
}

// TestAuditFile checks that a record is in the file before the response is sent. Without a record
// nothing is signed.
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
		if err != nil || strings.Count(string(lines), "\n") != n+1 ||
			!strings.Contains(string(lines), "ana@customer.example") {
			t.Errorf("after %d responses: %v\n%s", n+1, err, lines)
		}
		checkShown(t, false, string(lines), customersSecret, key, tokenStart)
	}
	if strings.Contains(d.out.String(), `{"time"`) {
		t.Errorf("records on standard output too:\n%s", d.out.String())
	}
	write(t, config, string(text)+"audit: {output: /dev/full}\n")
	full := serve(t, config)
	if got := full.mint(t, key, "acme-customers"); got.status != http.StatusServiceUnavailable ||
		got.reason != "AUDIT_UNAVAILABLE" || got.token != "" {
		t.Errorf("a disk that is full: %d %s", got.status, got.body)
	}
	full.checkNoSecrets(t, customersSecret, key)
}

// TestServeShutdownDuringWarmUp checks that a service is alive but not ready until the store has
// responded. If it is stopped then, it ends at once and in order.
func TestServeShutdownDuringWarmUp(t *testing.T) {
	t.Parallel()
	config, requests := blockingVault(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	address, ops := freeAddress(t), freeAddress(t)
	var out transcript
	go func() {
		args := append(append([]string{"serve", "--config", config}, anyPort...), "--http-listen", address,
			"--ops-listen", ops)
		ended <- run(ctx, args, streams{strings.NewReader(""), &out, io.Discard})
	}()
	<-requests
	for path, want := range map[string]int{
		"/healthz": http.StatusOK,
		"/readyz":  http.StatusServiceUnavailable,
		"/metrics": http.StatusOK,
	} {
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
			t.Errorf("it started nevertheless:\n%s", out.String())
		}
	case <-time.After(longTimeout):
		t.Fatal("it waits for the store")
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Errorf("%s is still in use", address)
	}
}
