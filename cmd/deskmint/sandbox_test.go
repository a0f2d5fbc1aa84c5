package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/deskmint/deskmint/service/config"
)

// signInRecord is the part of a sign-in in the sandbox's API that these tests check.
type signInRecord struct {
	Brand, Configuration, Outcome, Reason string

	Claims  map[string]any
	BrandID string `json:"brand_id"`
}

// lastSignIn reads the latest sign-in from the API of a sandbox.
func lastSignIn(t *testing.T, address string) (last signInRecord) {
	t.Helper()
	response, err := http.Get("http://" + address + "/sandbox/v1/sign-ins/last")
	if err != nil {
		t.Fatal(err)
	}
	got := readAnswer(t, response)
	if err := json.Unmarshal([]byte(got.body), &last); err != nil || got.status != http.StatusOK {
		t.Fatalf("the last sign-in: %d %v %s", got.status, err, got.body)
	}
	return last
}

// lineOf returns the value of a line NAME=VALUE on standard output.
func (d *deskmint) lineOf(name string) string {
	for line := range strings.Lines(d.out.String()) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	return ""
}

// nodeSignIn signs a token with what Node has built in, and posts it under a path of the address.
const nodeSignIn = `
const { createHmac, randomUUID } = require("node:crypto");
const [base, secret] = process.argv.slice(1);
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const signed = part({ typ: "JWT", alg: "HS256" }) + "." + part({
  iat: Math.floor(Date.now() / 1000), jti: randomUUID(), email: "nora@customer.example", name: "Nora Node",
});
const jwt = signed + "." + createHmac("sha256", secret).update(signed).digest("base64url");
fetch(base + "/brands/labs/access/jwt", {
  method: "POST", redirect: "manual", body: new URLSearchParams({ jwt, return_to: "/hc/en-us" }),
}).then((r) => console.log(r.status, r.headers.get("location"), r.headers.get("sandbox-sign-in")));
`

// testSandbox runs the sandbox alone, and signs people in with tokens that Deskmint hasn't signed.
func testSandbox(t *testing.T, binary string) {
	d := spawn(t, binary, "sandbox", "--listen", "127.0.0.1:0", "--brand", "acme", "--brand", "labs=77")
	d.awaitStart(t)
	secret := d.lineOf("secret")
	if !strings.HasPrefix(d.out.String(), "sandbox="+d.sandbox+"\nsecret="+secret+"\nready\n") || len(secret) < 40 {
		t.Errorf("standard output begins:\n%s", d.out.String())
	}
	sign := func(secret string) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iat": time.Now().Unix(), "jti": jwtID(), "email": "gus@customer.example", "name": "Gus Go",
		}).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for secret, want := range map[string]signInRecord{
		secret:  {Outcome: "signed_in", Configuration: "default"},
		"wrong": {Outcome: "refused", Reason: "signature"},
	} {
		response, err := client.PostForm("http://"+d.sandbox+"/brands/acme/access/jwt",
			url.Values{"jwt": {sign(secret)}, "return_to": {"/hc/en-us"}})
		if err != nil {
			t.Fatal(err)
		}
		got := readAnswer(t, response)
		last := lastSignIn(t, d.sandbox)
		if got.status != http.StatusFound || last.Outcome != want.Outcome || last.Reason != want.Reason ||
			last.Configuration != want.Configuration || last.BrandID != "360001" ||
			(last.Claims["email"] == "gus@customer.example") != (want.Reason == "") {
			t.Errorf("golang-jwt: %d %v, and recorded is %+v, want %+v", got.status, got.header, last, want)
		}
	}
	// make test needs npm, and so Node is there.
	if node, err := exec.LookPath("node"); err == nil {
		script := exec.CommandContext(t.Context(), node, "-e", nodeSignIn, "http://"+d.sandbox, secret)
		out, err := script.CombinedOutput()
		const want = "302 /brands/labs/hc/en-us 3\n"
		if last := lastSignIn(t, d.sandbox); err != nil || string(out) != want ||
			last.Outcome != "signed_in" || last.Brand != "labs" || last.BrandID != "77" {
			t.Errorf("Node: %v %s, and recorded is %+v", err, out, last)
		}
	}
	checkShown(t, false, d.err.String(), secret, tokenStart, "customer.example")
}

// jwtID returns a new jti.
func jwtID() string { return time.Now().Format(time.RFC3339Nano) }

const teamSecret = "team-team-team-team-team-team-team-team-team-team1"

// TestSandboxSecrets checks the secrets that a sandbox is given, by a file and by standard input.
func TestSandboxSecrets(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"customers": customersSecret + "\n", "team": teamSecret, "empty": "\n",
		"long": strings.Repeat(customersSecret, 3000)})
	d := launch(t, "sandbox", "--listen", "127.0.0.1:0", "--secret-file", filepath.Join(dir, "customers"),
		"--team-secret-file", filepath.Join(dir, "team"))
	checkShown(t, false, d.out.String()+d.err.String(), "secret=", customersSecret, teamSecret)
	for role, want := range map[string]string{"end_user": "end-users", "agent": "team-members"} {
		secret := map[string]string{"end_user": customersSecret, "agent": teamSecret}[role]
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iat": time.Now().Unix(), "jti": jwtID(), "email": "a@b.example", "name": "A", "role": role,
		}).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.PostForm("http://"+d.sandbox+"/brands/acme/access/jwt", url.Values{"jwt": {token}})
		if err != nil {
			t.Fatal(err)
		}
		page := readAnswer(t, response)
		if last := lastSignIn(t, d.sandbox); last.Outcome != "signed_in" || last.Configuration != want {
			t.Errorf("%s: %+v %s", role, last, page.body)
		}
	}
	for _, c := range []struct{ want, flag, value string }{
		{"is empty", "--secret-file", filepath.Join(dir, "empty")},
		{"no such file", "--secret-file", filepath.Join(dir, "nowhere")},
		{"--team-secret-file: the secret is empty", "--team-secret-file", "-"},
		{"more than 64 KiB", "--secret-file", filepath.Join(dir, "long")},
		{"lower-case letters", "--brand", "Acme"},
		{"lower-case letters", "--brand", "a.b"},
		{"remote login URL", "--remote-login", "acme.example/login"},
		{"HOST:PORT", "--listen", "8081"},
		{"--allow-remote", "--listen", "0.0.0.0:0"},
		{"--allow-remote", "--listen", ":0"},
		{"--allow-remote", "--listen", "sandbox.example:0"},
	} {
		out, _, err := invoke(t, "", "sandbox", "--listen", "127.0.0.1:0", c.flag, c.value)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(out, "ready") {
			t.Errorf("%s %s: %v, want %q\n%s", c.flag, c.value, err, c.want, out)
		}
	}
}

// TestSandboxForContainers checks that other machines reach the sandbox only with a flag, which
// gives a warning. Other host names are then known, too.
func TestSandboxForContainers(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]int{"--allow-remote": http.StatusOK, "--browsers-only": http.StatusNotFound} {
		d := launch(t, "sandbox", "--listen", "127.0.0.1:0", flag)
		address := "http://" + d.sandbox + "/brands/acme/hc"
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "zendesk:" + portOf(t, d.sandbox)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAnswer(t, response); got.status != want {
			t.Errorf("%s: %d, want %d", flag, got.status, want)
		}
		if warned := strings.Contains(d.err.String(), "warning: --allow-remote"); warned != (want == http.StatusOK) {
			t.Errorf("%s: standard error is %s", flag, &d.err)
		}
	}
}

// TestDevServesSandboxPaths checks that programs reach the sandbox of dev without *.localhost.
func TestDevServesSandboxPaths(t *testing.T) {
	t.Parallel()
	d := dev(t)
	minted := d.post(t, config.DevKey, "/v1/configurations/acme-customers:mintToken", anaJSON)
	action, err := url.Parse(minted.form.Action)
	if err != nil {
		t.Fatal(err)
	}
	subdomain, _, _ := strings.Cut(action.Host, ".")
	response, err := http.PostForm("http://"+net.JoinHostPort("127.0.0.1", portOf(t, d.sandbox))+
		"/brands/"+subdomain+"/access/jwt", url.Values{"jwt": {minted.token}, "return_to": {"/hc/en-us"}})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "a redirect without cookies", readAnswer(t, response).body, "Signed out")
	if last := lastSignIn(t, d.sandbox); last.Outcome != "signed_in" || last.Claims["name"] != "Ana" {
		t.Errorf("recorded %+v", last)
	}
	if got := d.visit(t, "/brands/nobody/"); got.status != http.StatusNotFound {
		t.Errorf("an unknown brand: %d", got.status)
	}
}
