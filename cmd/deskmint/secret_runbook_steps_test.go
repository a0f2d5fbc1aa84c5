//go:build long

package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
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

// account is the company's account at Zendesk, as far as the sandbox goes: JWT
// configurations that come, are reset and go.
type account struct {
	sandbox *sandbox.Sandbox
	address string
	port    string

	mu      sync.Mutex
	secrets map[string]string // by configuration; absent: there is none of that name
}

func newAccount(t *testing.T) *account {
	t.Helper()
	a := &account{secrets: map[string]string{"blue": blueSecret, "portal": portalSecret}}
	configuration := func(name, brand string) sandbox.Configuration {
		return sandbox.Configuration{Name: name, Audiences: []string{"end_user"}, Brands: []string{brand}, Secret: func() []byte {
			a.mu.Lock()
			defer a.mu.Unlock()
			return []byte(a.secrets[name])
		}}
	}
	var err error
	a.sandbox, err = sandbox.New(sandbox.Options{
		Brands:         []sandbox.Brand{{ID: "360001", Name: "Acme", Subdomain: "acme"}, {ID: "360002", Name: "Portal", Subdomain: "acme-portal"}},
		Configurations: []sandbox.Configuration{configuration("blue", "360001"), configuration("green", "360001"), configuration("portal", "360002")},
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

// has makes a configuration, or resets its secret; empty: removes it.
func (a *account) has(configuration, secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[configuration] = secret
}

// takes posts a form as a browser would, and says whose secret was accepted; empty:
// the sign-in was refused, or there is no form.
func (a *account) takes(t *testing.T, f form) (configuration string) {
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

// tokenOfOldCode is a token as hand-written code makes it.
func tokenOfOldCode(secret string) string {
	claims := fmt.Sprintf(`{"iat":%d,"jti":%q,"email":"ana@customer.example","name":"Ana"}`, time.Now().Unix(), rand.Text())
	input := tokenStart + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return input + "." + hs256(secret, input)
}

// steps are those of the runbook, by name.
func (r *runbook) steps() map[string]step {
	var reset time.Time
	return map[string]step{
		"policies": {after: func(t *testing.T, _, _ string) { r.serve(t) }},
		"first": {types: blueSecret + "\n", after: func(t *testing.T, _, stderr string) {
			if !strings.Contains(stderr, "first version ever: it becomes active at once") {
				t.Error("it doesn't say so")
			}
			for _, d := range r.replicas {
				d.stands(t, "usable", 1, "")
			}
			r.signsIn(t, "acme-customers", "blue")
		}},
		"prefix": {after: func(t *testing.T, stdout, _ string) {
			if !strings.Contains(stdout, "active, match\n") {
				t.Error("no match")
			}
		}},

		"stage": {types: greenSecret + "\n", before: func(t *testing.T) {
			r.zendesk.has("green", greenSecret)
			r.keepSigningIn(t)
		}, after: func(t *testing.T, stdout, _ string) {
			r.hasWaited(t, stdout, 1)
			r.signsIn(t, "acme-customers", "blue")
		}},
		"try": {after: func(t *testing.T, _, _ string) {
			page := readFile(t, filepath.Join(r.dir, "try.html"))
			action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
			token := regexp.MustCompile(`name="jwt" value="([^"]+)"`).FindStringSubmatch(page)
			if action == nil || token == nil {
				t.Fatalf("no form in %s", page)
			}
			if by := r.zendesk.takes(t, form{action[1], map[string]string{"jwt": token[1]}}); by != "green" {
				t.Errorf("the try was taken by %q", by)
			}
			r.stands(t, 1)
		}},
		"activate": {after: func(t *testing.T, stdout, _ string) {
			r.hasWaited(t, stdout, 2)
			r.signsIn(t, "acme-customers", "green")
		}},
		"back": {after: func(t *testing.T, stdout, stderr string) {
			if !strings.Contains(stderr, "WARNING") {
				t.Error("no warning")
			}
			r.hasWaited(t, stdout, 1)
			r.signsIn(t, "acme-customers", "blue")
		}},
		"forward": {after: func(t *testing.T, stdout, _ string) {
			r.hasWaited(t, stdout, 2)
			r.zendesk.has("blue", "") // removed
			r.signsIn(t, "acme-customers", "green")
			r.finish(t) // not one was refused, from the stage to the removal
		}},

		"rehearse": {after: func(t *testing.T, stdout, _ string) {
			if !regexp.MustCompile(`(?m)^2 .* active$`).MatchString(stdout) {
				t.Error("version 2 isn't active")
			}
		}},
		"replace": {types: resetSecret + "\n", before: func(t *testing.T) {
			r.zendesk.has("green", resetSecret)
			reset = time.Now()
			r.signsIn(t, "acme-customers", "") // the window
		}, after: func(t *testing.T, stdout, _ string) {
			windowSince(t, reset)
			r.hasWaited(t, stdout, 3)
			r.signsIn(t, "acme-customers", "green")
		}},

		"leaked": {types: leakedSecret + "\n", before: func(t *testing.T) { r.zendesk.has("green", leakedSecret) }, after: func(t *testing.T, stdout, _ string) {
			r.hasWaited(t, stdout, 4)
			r.signsIn(t, "acme-customers", "green")
		}},
		"disable": {after: func(t *testing.T, _, _ string) {
			for _, d := range r.replicas {
				if got := d.post(t, r.key, "/v1/configurations/acme-customers:mintToken", anaJSON); got.reason != "CONFIGURATION_DISABLED" {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
		}},
		"enable": {after: func(t *testing.T, stdout, _ string) {
			r.hasWaited(t, stdout, 4)
			r.signsIn(t, "acme-customers", "green")
		}},

		"move": {types: portalSecret + "\n", after: func(t *testing.T, _, _ string) {
			r.signsIn(t, "acme-portal", "portal")
			write(t, filepath.Join(r.dir, "token-of-the-old-code.txt"), tokenOfOldCode(portalSecret)+"\n")
		}},
		"same": {after: func(t *testing.T, stdout, _ string) {
			if !strings.Contains(stdout, "acceptable until") {
				t.Error("not the same")
			}
		}},

		"wiped": {before: func(t *testing.T) {
			r.vault.SetMetadata(t, "sso/acme-customers", map[string]string{"owner": "terraform"})
			for _, d := range r.replicas {
				d.stands(t, "usable", 4, "active_version has vanished")
			}
			r.signsIn(t, "acme-customers", "green")
		}, after: func(t *testing.T, stdout, _ string) {
			if !strings.Contains(stdout, `"active_version":4`) {
				t.Error("the replicas don't say which version signs")
			}
			for _, d := range r.replicas {
				d.stands(t, "usable", 4, "") // and the alarm ends
			}
			r.hasWaited(t, stdout, 4)
			r.signsIn(t, "acme-customers", "green")
		}},
		"restored": {before: func(t *testing.T) {
			// What a backup from before the last moves has. The real one is restored in
			// secrets/vault.
			r.vault.PatchMetadata(t, "sso/acme-customers", map[string]string{"serial": "2"})
		}, after: func(t *testing.T, stdout, _ string) {
			r.hasWaited(t, stdout, 4)
			r.signsIn(t, "acme-customers", "green")
		}},
		"limit": {after: func(t *testing.T, _, _ string) {
			data := r.metadata(t)
			custom := data["custom_metadata"].(map[string]any)
			if data["max_versions"] != float64(20) || custom["active_version"] != "4" || custom["owner"] != "terraform" {
				t.Errorf("metadata %v", data)
			}
		}},
	}
}
