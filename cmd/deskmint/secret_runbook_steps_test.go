//go:build long

package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/sandbox"
)

// account is the company's account at Zendesk, played by the sandbox. Its JWT configurations are
// added, reset and removed.
type account struct {
	sandbox *sandbox.Sandbox
	address string
	port    string

	mu      sync.Mutex
	secrets map[string]string // by configuration; only for those that exist
}

func newAccount(t *testing.T) *account {
	t.Helper()
	a := &account{secrets: map[string]string{"blue": blueSecret, "portal": portalSecret}}
	configuration := func(name, brand string) sandbox.Configuration {
		return sandbox.Configuration{Name: name, Audiences: []string{"end_user"}, Brands: []string{brand},
			Secret: func() []byte {
				a.mu.Lock()
				defer a.mu.Unlock()
				return []byte(a.secrets[name])
			}}
	}
	var err error
	a.sandbox, err = sandbox.New(sandbox.Options{
		Brands: []sandbox.Brand{
			{ID: "360001", Name: "Acme", Subdomain: "acme"},
			{ID: "360002", Name: "Portal", Subdomain: "acme-portal"},
		},
		Configurations: []sandbox.Configuration{
			configuration("blue", "360001"), configuration("green", "360001"), configuration("portal", "360002"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.sandbox)
	t.Cleanup(server.Close)
	a.address = server.Listener.Addr().String()
	a.port = portOf(t, a.address)
	return a
}

// setSecret adds a configuration or resets its secret. If secret is empty, it removes the
// configuration.
func (a *account) setSecret(configuration, secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[configuration] = secret
}

// postForm posts a form as a browser does, and returns the configuration whose secret was accepted.
// It returns "" if the sign-in was refused, or if there is no form.
func (a *account) postForm(t *testing.T, f form) (configuration string) {
	if f.Action == "" {
		return ""
	}
	response, err := toSandbox(a.address).PostForm(f.Action, url.Values{"jwt": {f.Fields["jwt"]}})
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	if strings.Contains(response.Header.Get("Refresh"), "/access/unauthenticated") {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, secret := range a.secrets {
		parts := strings.Split(f.Fields["jwt"], ".")
		if secret != "" && len(parts) == 3 && hs256(secret, parts[0]+"."+parts[1]) == parts[2] {
			configuration = name
		}
	}
	return configuration
}

func hs256(secret, input string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// tokenOfOldCode returns a token as hand-written code makes it.
func tokenOfOldCode(secret string) string {
	claims := fmt.Sprintf(`{"iat":%d,"jti":%q,"email":"ana@customer.example","name":"Ana"}`, time.Now().Unix(),
		rand.Text())
	input := tokenStart + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return input + "." + hs256(secret, input)
}

// steps returns the steps of the runbook, by name.
func (r *runbook) steps() map[string]step {
	all := map[string]step{}
	for _, part := range []map[string]step{
		r.firstSteps(), r.rotationSteps(), r.resetSteps(), r.moveSteps(), r.restoreSteps(),
	} {
		maps.Copy(all, part)
	}
	return all
}

// firstSteps returns the steps of the part that stores the first secret.
func (r *runbook) firstSteps() map[string]step {
	return map[string]step{
		"policies": {after: func(t *testing.T, _, _ string) { r.serve(t) }},
		"first": {types: blueSecret + "\n", after: func(t *testing.T, _, stderr string) {
			if !strings.Contains(stderr, "first version ever: it becomes active at once") {
				t.Error("the note is missing")
			}
			for _, d := range r.replicas {
				d.awaitState(t, "usable", 1, "")
			}
			r.checkSignIn(t, "acme-customers", "blue")
		}},
		"prefix": {after: func(t *testing.T, stdout, _ string) {
			if !strings.Contains(stdout, "active, match\n") {
				t.Error("no match")
			}
		}},
	}
}

// rotationSteps returns the steps of the part that rotates with a second configuration at Zendesk.
func (r *runbook) rotationSteps() map[string]step {
	return map[string]step{
		"stage": {types: greenSecret + "\n", before: func(t *testing.T) {
			r.zendesk.setSecret("green", greenSecret)
			r.keepSigningIn(t)
		}, after: func(t *testing.T, stdout, _ string) {
			r.checkWaited(t, stdout, 1)
			r.checkSignIn(t, "acme-customers", "blue")
		}},
		"try": {after: func(t *testing.T, _, _ string) {
			page := readFile(t, filepath.Join(r.dir, "try.html"))
			action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
			token := regexp.MustCompile(`name="jwt" value="([^"]+)"`).FindStringSubmatch(page)
			if action == nil || token == nil {
				t.Fatalf("no form in %s", page)
			}
			if by := r.zendesk.postForm(t, form{action[1], map[string]string{"jwt": token[1]}}); by != "green" {
				t.Errorf("the configuration %q accepted the try", by)
			}
			r.checkVersion(t, 1)
		}},
		"activate": {after: func(t *testing.T, stdout, _ string) {
			r.checkWaited(t, stdout, 2)
			r.checkSignIn(t, "acme-customers", "green")
		}},
		"back": {after: func(t *testing.T, stdout, stderr string) {
			if !strings.Contains(stderr, "WARNING") {
				t.Error("no warning")
			}
			r.checkWaited(t, stdout, 1)
			r.checkSignIn(t, "acme-customers", "blue")
		}},
		"forward": {after: func(t *testing.T, stdout, _ string) {
			r.checkWaited(t, stdout, 2)
			r.zendesk.setSecret("blue", "") // removed
			r.checkSignIn(t, "acme-customers", "green")
			r.finish(t) // no sign-in was refused, from the stage to the removal
		}},
	}
}

// resetSteps returns the steps of the part that rotates by a reset, and after a leak.
func (r *runbook) resetSteps() map[string]step {
	var reset time.Time
	return map[string]step{
		"rehearse": {after: func(t *testing.T, stdout, _ string) {
			if !regexp.MustCompile(`(?m)^2 .* active$`).MatchString(stdout) {
				t.Error("version 2 isn't active")
			}
			for _, d := range r.replicas {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(d.ops) + ` +usable +2 +- .* -$`).MatchString(stdout) {
					t.Errorf("nothing about %s", d.ops)
				}
			}
		}},
		"replace": {types: resetSecret + "\n", before: func(t *testing.T) {
			r.zendesk.setSecret("green", resetSecret)
			reset = time.Now()
			r.checkSignIn(t, "acme-customers", "") // the time during which sign-ins fail
		}, after: func(t *testing.T, stdout, _ string) {
			windowSince(t, reset)
			r.checkWaited(t, stdout, 3)
			r.checkSignIn(t, "acme-customers", "green")
		}},
		"leaked": {types: leakedSecret + "\n", before: func(t *testing.T) {
			r.zendesk.setSecret("green", leakedSecret)
		},
			after: func(t *testing.T, stdout, _ string) {
				r.checkWaited(t, stdout, 4)
				r.checkSignIn(t, "acme-customers", "green")
			}},
		"disable": {after: func(t *testing.T, _, _ string) {
			for _, d := range r.replicas {
				if got := d.post(t, r.key, "/v1/configurations/acme-customers:mintToken",
					anaJSON); got.reason != "CONFIGURATION_DISABLED" {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
		}},
		"enable": {after: func(t *testing.T, stdout, _ string) {
			r.checkWaited(t, stdout, 4)
			r.checkSignIn(t, "acme-customers", "green")
		}},
		"byhand": {after: func(t *testing.T, _, _ string) {
			for _, d := range r.replicas {
				d.awaitState(t, "disabled", 4, "")
			}
			r.run(t, "enable", "deskmint secret enable acme-customers --config deskmint.yaml"+
				" --replicas deskmint-ops.internal:9091", "")
			r.checkSignIn(t, "acme-customers", "green")
		}},
	}
}

// moveSteps returns the steps of the part that moves a secret from old code.
func (r *runbook) moveSteps() map[string]step {
	return map[string]step{
		"move": {types: portalSecret + "\n", after: func(t *testing.T, _, _ string) {
			r.checkSignIn(t, "acme-portal", "portal")
			write(t, filepath.Join(r.dir, "token-of-the-old-code.txt"), tokenOfOldCode(portalSecret)+"\n")
		}},
		"same": {after: func(t *testing.T, stdout, _ string) {
			if !strings.Contains(stdout, "acceptable until") {
				t.Error("not the same")
			}
		}},
	}
}

// restoreSteps returns the steps of the part that repairs and limits the metadata.
func (r *runbook) restoreSteps() map[string]step {
	return map[string]step{
		"wiped": {before: func(t *testing.T) {
			r.vault.SetMetadata(t, "sso/acme-customers", map[string]string{"owner": "terraform"})
			for _, d := range r.replicas {
				d.awaitState(t, "usable", 4, "active_version has vanished")
			}
			r.checkSignIn(t, "acme-customers", "green")
		}, after: func(t *testing.T, stdout, _ string) {
			if !strings.Contains(stdout, `"active_version":4`) {
				t.Error("the replicas don't report which version signs")
			}
			for _, d := range r.replicas {
				d.awaitState(t, "usable", 4, "") // and the alarm ends
			}
			r.checkWaited(t, stdout, 4)
			r.checkSignIn(t, "acme-customers", "green")
		}},
		"restored": {before: func(t *testing.T) {
			// These are the metadata of a backup from before the last changes. A test in
			// secrets/vault restores a real backup.
			r.vault.PatchMetadata(t, "sso/acme-customers", map[string]string{"serial": "2"})
		}, after: func(t *testing.T, stdout, _ string) {
			r.checkWaited(t, stdout, 4)
			r.checkSignIn(t, "acme-customers", "green")
		}},
		"deleted": {before: func(t *testing.T) {
			r.vault.Delete(t, "sso/acme-customers", 4)
			for _, d := range r.replicas {
				d.awaitState(t, "unusable", anyVersion, "deleted")
			}
			r.checkSignIn(t, "acme-customers", "")
		}, after: func(t *testing.T, _, _ string) {
			for _, d := range r.replicas {
				d.awaitState(t, "usable", 4, "")
			}
			r.checkSignIn(t, "acme-customers", "green")
		}},
		"destroyed": {after: func(t *testing.T, _, _ string) {
			versions := r.metadata(t)["versions"].(map[string]any)
			if versions["3"].(map[string]any)["destroyed"] != true {
				t.Errorf("versions %v", versions)
			}
			r.checkSignIn(t, "acme-customers", "green")
		}},
		"limit": {after: func(t *testing.T, _, _ string) {
			data := r.metadata(t)
			custom := data["custom_metadata"].(map[string]any)
			if data["max_versions"] != float64(20) || custom["active_version"] != "4" ||
				custom["owner"] != "terraform" {
				t.Errorf("metadata %v", data)
			}
		}},
	}
}
