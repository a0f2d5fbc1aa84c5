//go:build long

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
	"github.com/deskmint/deskmint/service/caller"
)

// These are the secrets of the runbook. Zendesk generates one at each reset.
const (
	blueSecret   = "abc123-MARKER-blue-0123456789-0123456789-012345"
	greenSecret  = "def456-MARKER-green-0123456789-0123456789-01234"
	resetSecret  = "ghi789-MARKER-reset-0123456789-0123456789-01234"
	leakedSecret = "jkl012-MARKER-leaked-0123456789-0123456789-0123"
	portalSecret = "mno345-MARKER-portal-0123456789-0123456789-0123"
)

// step is a block of the runbook. It has the operator's input at the prompt, what the test does at
// Zendesk before the block, and what it checks afterwards.
type step struct {
	types  string
	before func(t *testing.T)
	after  func(t *testing.T, stdout, stderr string)
}

var runbookBlock = regexp.MustCompile("(?m)^ *<!-- test: ([a-z]+) -->\n( *)```sh\n((?s).*?)^ *```$")

// TestRunbook follows docs/rotation.md from its first block to its last. It uses the policies and
// the commands of the document unchanged, with a real Vault, two replicas and the sandbox instead
// of Zendesk.
func TestRunbook(t *testing.T) {
	t.Parallel()
	text := readFile(t, "../../docs/rotation.md")
	for _, policy := range []string{"service", "operator"} {
		if !strings.Contains(text, "```hcl\n"+readFile(t, "../../deploy/vault/"+policy+".hcl")+"```\n") {
			t.Errorf("the runbook's policy isn't deploy/vault/%s.hcl", policy)
		}
	}
	r := newRunbook(t)
	steps := r.steps()
	for _, block := range runbookBlock.FindAllStringSubmatch(text, -1) {
		name, indent, commands := block[1], block[2], block[3]
		s, ok := steps[name]
		if !ok {
			t.Fatalf("the runbook's step %s is unknown, or a duplicate", name)
		}
		delete(steps, name)
		if s.before != nil {
			s.before(t)
		}
		stdout, stderr := r.run(t, name, strings.ReplaceAll("\n"+commands, "\n"+indent, "\n"), s.types)
		if s.after != nil {
			s.after(t, stdout, stderr)
		}
		if t.Failed() {
			t.Fatalf("in step %s:\n%s%s", name, stdout, stderr)
		}
	}
	if len(steps) > 0 || strings.Count(text, "```sh") != strings.Count(text, "<!-- test: ") {
		t.Errorf("steps that are missing in the runbook: %v; or a block that isn't run", steps)
	}
	for _, d := range r.replicas {
		d.checkNoSecrets(t, blueSecret, greenSecret, resetSecret, leakedSecret, portalSecret)
	}
}

// runbook is the environment of the runbook.
type runbook struct {
	vault    *vaulttest.Server
	zendesk  *account
	replicas []*deskmint
	key      string
	dir      string // where the commands run
	bin      string // where deskmint and vault are
	token    string // of the operator who runs the next command
	finish   func(t *testing.T)
}

func newRunbook(t *testing.T) *runbook {
	vault := vaulttest.Start(t)
	r := &runbook{vault: vault, zendesk: newAccount(t), bin: filepath.Dir(build(t)), token: vault.RootToken}
	key, hash := caller.NewKey()
	r.key = key
	r.dir = folder(t, map[string]string{"deskmint.yaml": r.configuration(hash)})
	deploy, err := filepath.Abs("../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	command := os.Getenv("VAULT_BIN")
	if command == "" {
		if command, err = exec.LookPath("vault"); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		filepath.Join(r.dir, "deploy"): deploy,
		filepath.Join(r.bin, "vault"):  command,
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// configuration returns a file with two configurations that post to the sandbox.
func (r *runbook) configuration(hash string) string {
	text := strings.Replace(onVault(r.vault.Addr, hash), "audiences: [end_user]", `audiences: [end_user]
      endpoint: "http://{subdomain}.localhost:`+r.zendesk.port+`"`, 1)
	begin, end := strings.Index(text, "  - name: acme-customers"), strings.Index(text, "callers:")
	portal := strings.NewReplacer("acme-customers", "acme-portal", "360001", "360002", "subdomain: acme",
		"subdomain: acme-portal").Replace(text[begin:end])
	return text[:end] + portal + text[end:]
}

// serve starts two replicas, which log in with a role that has the runbook's policy.
func (r *runbook) serve(t *testing.T) {
	roleID, secretID := r.vault.AppRole(t, "deskmint", "", "deskmint")
	write(t, filepath.Join(r.dir, "role-id"), roleID)
	write(t, filepath.Join(r.dir, "secret-id"), secretID)
	for range 2 {
		// They have no secret yet, so they become ready when the first version is active.
		r.replicas = append(r.replicas, serveUnready(t, filepath.Join(r.dir, "deskmint.yaml")))
	}
	r.token = r.vault.Token(t, "1h", "deskmint-operator")
}

// run runs a block. It changes only the addresses in it.
func (r *runbook) run(t *testing.T, name, commands, types string) (stdout, stderr string) {
	t.Helper()
	if len(r.replicas) == 2 {
		commands = strings.NewReplacer(
			"--replicas deskmint-ops.internal:9091", "--replicas "+r.replicas[0].ops+" --replicas "+r.replicas[1].ops,
			"deskmint-ops.internal:9091", r.replicas[0].ops,
			"deskmint.internal:9090", r.replicas[0].grpc,
		).Replace(commands)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*longTimeout)
	defer cancel()
	bash := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	bash.Dir = r.dir
	bash.Env = []string{
		"PATH=" + r.bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "no_proxy=*",
		"VAULT_ADDR=" + r.vault.Addr, "VAULT_TOKEN=" + r.token, "DESKMINT_API_KEY=" + r.key,
	}
	var out, errs bytes.Buffer
	bash.Stdin, bash.Stdout, bash.Stderr = strings.NewReader(types), &out, &errs
	if err := bash.Run(); err != nil {
		t.Fatalf("step %s: %v\n%s\n%s%s", name, err, commands, &out, &errs)
	}
	checkShown(t, false, out.String()+errs.String(), blueSecret, greenSecret, resetSecret, leakedSecret, portalSecret,
		r.token)
	return out.String(), errs.String()
}

// checkSignIn signs a person in through every replica. It checks which configuration at Zendesk
// accepts the token. If by is "", none must accept it.
func (r *runbook) checkSignIn(t *testing.T, configuration, by string) {
	t.Helper()
	for _, d := range r.replicas {
		got := d.post(t, r.key, "/v1/configurations/"+configuration+":mintToken", anaJSON)
		if taken := r.zendesk.postForm(t, got.form); taken != by {
			t.Errorf("%s: version %d was accepted by %q, want %q: %d %s", configuration, got.signed, taken, by,
				got.status,
				got.reason)
		}
	}
}

// keepSigningIn signs people in through every replica, at most 200 a second, until finish is
// called. finish fails the test if Zendesk has refused a sign-in.
func (r *runbook) keepSigningIn(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	count, refused := make([]int, len(r.replicas)), make([]string, len(r.replicas))
	for i, d := range r.replicas {
		running.Go(func() {
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for ; ctx.Err() == nil && refused[i] == ""; count[i]++ {
				<-pace.C
				got := d.post(t, r.key, "/v1/configurations/acme-customers:mintToken", anaJSON)
				if r.zendesk.postForm(t, got.form) == "" {
					refused[i] = fmt.Sprintf("version %d: %d %s", got.signed, got.status, got.reason)
				}
			}
		})
	}
	r.finish = func(t *testing.T) {
		stop()
		running.Wait()
		t.Logf("%v sign-ins while the secret was rotated", count)
		for i, refused := range refused {
			if refused != "" || count[i] < 10 {
				t.Errorf("replica %d: after %d sign-ins one was refused: %s", i, count[i], refused)
			}
		}
	}
}

// checkVersion checks that every replica signs with a version.
func (r *runbook) checkVersion(t *testing.T, active int) {
	t.Helper()
	for _, d := range r.replicas {
		if _, all := d.readyz(t); all["acme-customers"].Active != active || all["acme-customers"].State != "usable" {
			t.Errorf("%+v, want version %d", all["acme-customers"], active)
		}
	}
}

// checkWaited checks that a command has waited for both replicas, and that they sign with a
// version.
func (r *runbook) checkWaited(t *testing.T, stdout string, active int) {
	t.Helper()
	if !strings.Contains(stdout, "acme-customers: every replica follows (2)\n") {
		t.Errorf("the command hasn't waited: %s", stdout)
	}
	r.checkVersion(t, active)
}

// metadata returns Vault's metadata of the secret that is rotated.
func (r *runbook) metadata(t *testing.T) map[string]any {
	return r.vault.Do(t, "GET", "secret/metadata/sso/acme-customers", nil)["data"].(map[string]any)
}

// windowSince logs how long sign-ins failed. This is the time that the machine needs. A person who
// copies and pastes needs more.
func windowSince(t *testing.T, reset time.Time) {
	t.Logf("sign-ins failed for %v", time.Since(reset).Round(time.Millisecond))
}
