package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

func TestDev(t *testing.T) {
	t.Parallel()
	d := dev(t)
	greeting := d.out.String()
	address := `127\.0\.0\.1:[1-9][0-9]*\n`
	order := regexp.MustCompile(`^grpc=` + address + `http=` + address + `ops=` + address + `sandbox=` + address +
		`ready\n`)
	if !order.MatchString(greeting) {
		t.Errorf("standard output begins:\n%s", greeting)
	}
	greeting, ok := d.out.await("Ctrl-C", d.ended)
	if !ok || !strings.Contains(greeting, "http://localhost:"+portOf(t, d.sandbox)+"/\n") ||
		!strings.Contains(greeting, config.DevKey) {
		t.Errorf("the greeting lacks the demo's address or the key:\n%s", greeting)
	}
	curls, grpcurls := linesWith(greeting, "curl "), linesWith(greeting, "grpcurl ")
	if len(curls) != 2 || len(grpcurls) != 1 {
		t.Fatalf("printed command lines: %q %q", curls, grpcurls)
	}

	t.Run("curl", func(t *testing.T) {
		if _, err := exec.LookPath("curl"); err != nil {
			t.Skipf("pastes curl's lines into a shell: %v", err)
		}
		d.postToken(t, runLine(t, curls[0], ""), "Ana Customer")
		page := runLine(t, curls[1], "")
		if !strings.HasPrefix(page, "HTTP/1.1 200 OK\r\n") ||
			!strings.Contains(page, "form-action http://acme.localhost:"+portOf(t, d.sandbox)) ||
			!strings.Contains(page, `name="jwt" value="`+tokenStart) {
			t.Errorf("the command line for the page printed:\n%s", page)
		}
	})
	t.Run("grpcurl", func(t *testing.T) {
		d.postToken(t, runLine(t, grpcurls[0], grpcurl(t)), "Ana Customer")
	})
	if posts := strings.Count(d.home(t), ">signed in<"); posts == 0 {
		t.Errorf("the demo's page doesn't list the sign-ins:\n%s", d.home(t))
	}
	d.checkNoSecretsButGreeting(t)

	if err := d.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, at := range []string{d.grpc, d.http, d.ops, d.sandbox} {
		// A program that another test starts at this moment holds the listeners until it runs.
		eventually(t, func() error {
			if conn, err := net.Dial("tcp", at); err == nil {
				return errors.Join(fmt.Errorf("%s is still in use", at), conn.Close())
			}
			return nil
		})
	}
}

// checkNoSecretsButGreeting checks that no stream has a token, and that only the greeting has the
// key.
func (d *deskmint) checkNoSecretsButGreeting(t *testing.T) {
	t.Helper()
	checkShown(t, false, d.out.String()+d.err.String(), tokenStart)
	checkShown(t, false, d.err.String(), config.DevKey)
}

// home returns the demo's home page.
func (d *deskmint) home(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + d.sandbox + "/")
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response).body
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func linesWith(text, start string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// runLine runs a printed command line unchanged. folder is the first of the PATH.
func runLine(t *testing.T, line, folder string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longTimeout)
	defer cancel()
	bash := exec.CommandContext(ctx, "bash", "-c", line)
	bash.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "no_proxy=*")
	out, err := bash.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// grpcurl returns a folder with a command grpcurl, which runs the tool of this repository.
func grpcurl(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ncd '" + root + "' && exec go tool -modfile=tools/go.mod grpcurl \"$@\"\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "grpcurl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	// The first call builds the tool, which may take minutes.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, filepath.Join(dir, "grpcurl"), "-version").CombinedOutput(); err != nil {
		t.Fatalf("building grpcurl: %v\n%s", err, out)
	}
	return dir
}

// postToken posts the form of a minted token as a browser does, and checks that this signs the
// person in.
func (d *deskmint) postToken(t *testing.T, mintResponse, name string) {
	t.Helper()
	var minted struct{ Form form }
	if err := json.Unmarshal([]byte(mintResponse), &minted); err != nil || minted.Form.Fields["jwt"] == "" {
		t.Fatalf("no token in %s: %v", mintResponse, err)
	}
	checkPost(t, d.sandbox, minted.Form, name)
}

// checkPost posts a form to a sandbox, follows the redirect, checks that the person is signed in,
// and returns the last page.
func checkPost(t *testing.T, sandbox string, f form, name string) string {
	t.Helper()
	fields := url.Values{}
	for key, value := range f.Fields {
		fields.Set(key, value)
	}
	client := toSandbox(sandbox)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.PostForm(f.Action, fields)
	if err != nil {
		t.Fatal(err)
	}
	moved := readAnswer(t, response)
	at, err := response.Request.URL.Parse(moved.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	follow, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range response.Cookies() {
		follow.AddCookie(cookie)
	}
	response, err = client.Do(follow)
	if err != nil {
		t.Fatal(err)
	}
	page := readAnswer(t, response).body
	if !strings.Contains(page, "Signed in as "+name) {
		t.Errorf("posted to %s, went to %s, which says:\n%s", f.Action, at, page)
	}
	return page
}

// TestDevsAreIsolated checks that two devs in one process share nothing.
func TestDevsAreIsolated(t *testing.T) {
	t.Parallel()
	one, other := dev(t), dev(t)
	minted := one.post(t, config.DevKey, "/v1/configurations/acme-customers:mintToken", anaJSON)
	if minted.status != http.StatusOK {
		t.Fatalf("%d %s", minted.status, minted.body)
	}
	// Each has different secrets.
	inspected := other.post(t, config.DevKey, "/v1/configurations/acme-customers:inspectToken",
		fmt.Sprintf(`{"token":%q}`, minted.token))
	if inspected.status != http.StatusOK || !strings.Contains(inspected.body, `"acceptable":false`) ||
		!strings.Contains(inspected.body, "SIGNATURE") {
		t.Errorf("the other dev inspects the token: %d %s", inspected.status, inspected.body)
	}
	if err := one.end(); err != nil {
		t.Error(err)
	}
	again := other.post(t, config.DevKey, "/v1/configurations/acme-staff:mintToken",
		`{"user":{"email":"a@b.example","emailVerified":true,"name":"A","role":"ROLE_AGENT"}}`)
	if again.status != http.StatusOK {
		t.Errorf("the other dev, after the end of the first: %d %s", again.status, again.body)
	}
}

// ownConfiguration returns a file as for `serve`. Its Vault doesn't exist.
func ownConfiguration(hash string) string {
	return `
secrets:
  source: vault
  vault:
    addresses: ["https://vault.invalid"]
    auth: {method: approle, role_id: r, secret_id_file: nowhere}
configurations:
  - name: shop
    secret: {path: sso/shop}
    zendesk_sso:
      audiences: [end_user]
      brands:
        - {id: "77", name: Shop, subdomain: shop, hosts: [help.shop.example]}
        - {id: "78", name: Outlet, subdomain: outlet, default: true}
callers:
  - name: storefront
    identities: [{api_key_sha256: ` + hash + `}]
    grants:
      - configurations: [shop]
        brands: ["*"]
        actions: [sign_in, read]
        roles: [unset]
        email_domains: {allow: ["*"]}
        return_to_hosts: [shop.zendesk.com]
`
}

// TestDevConfig checks that the forms of a given configuration post to the sandbox, and that its
// grants apply.
func TestDevConfig(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	dir := folder(t, map[string]string{"deskmint.yaml": ownConfiguration(hash)})
	d := dev(t, "--config", filepath.Join(dir, "deskmint.yaml"))
	for brand, body := range map[string]string{
		"Outlet": anaJSON,
		"Shop": strings.Replace(anaJSON, "{",
			`{"brandId":"77","returnTo":"http://shop.localhost:`+portOf(t, d.sandbox)+`/hc/en-us/orders",`, 1),
	} {
		minted := d.post(t, key, "/v1/configurations/shop:mintToken", body)
		if minted.status != http.StatusOK {
			t.Fatalf("%s: %d %s", brand, minted.status, minted.body)
		}
		page := checkPost(t, d.sandbox, minted.form, "Ana")
		if !strings.Contains(page, "is signed in to "+brand) || brand == "Shop" &&
			!strings.Contains(page, "/hc/en-us/orders") {
			t.Errorf("%s: ended at\n%s", brand, page)
		}
	}
	// The printed command lines and the demo's page also use this configuration.
	greeting, _ := d.out.await("Ctrl-C", d.ended)
	if _, err := exec.LookPath("curl"); err == nil {
		d.postToken(t, runLine(t, linesWith(greeting, "curl ")[0], ""), "Ana Customer")
	}
	response, err := http.PostForm("http://"+d.sandbox+"/sign-in", url.Values{
		"person":        {"0"},
		"configuration": {"shop"},
		"brand":         {"77"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAnswer(t, response); got.status != http.StatusOK ||
		!strings.Contains(got.body, "http://shop.localhost:"+portOf(t, d.sandbox)+"/access/jwt") {
		t.Errorf("the demo: %d %s", got.status, got.body)
	}
	if got := d.post(t, key, "/v1/configurations/shop:mintToken",
		strings.Replace(anaJSON, `"name"`, `"role":"ROLE_ADMIN","name"`, 1)); got.reason != "ROLE_NOT_ALLOWED" {
		t.Errorf("an admin: %d %s", got.status, got.body)
	}
}

// TestDevOrigins checks that the demo replaces the origins that a file lists. If a file lists none,
// dev warns, and the pages don't link to the demo, just as they wouldn't link to a company's app.
func TestDevOrigins(t *testing.T) {
	t.Parallel()
	_, hash := caller.NewKey()
	without := ownConfiguration(hash)
	with := strings.Replace(without, "      brands:", "      origins: [https://login.shop.example]\n      brands:", 1)
	for text, listed := range map[string]bool{without: false, with: true} {
		dir := folder(t, map[string]string{"deskmint.yaml": text})
		d := dev(t, "--config", filepath.Join(dir, "deskmint.yaml"))
		page := d.post(t, config.DevKey, "/v1/configurations/shop:renderPage", anaJSON)
		_, sources, _ := strings.Cut(page.header.Get("Content-Security-Policy"), "form-action ")
		if got := slices.Contains(strings.Fields(strings.ReplaceAll(sources, ";", " ")),
			"http://localhost:"+portOf(t, d.sandbox)); page.status != http.StatusOK || got != listed {
			t.Errorf("origins listed: %v, and the page (%d) may reach %s", listed, page.status, sources)
		}
		if strings.Contains(d.err.String(), "configurations[0].zendesk_sso.origins: is empty") == listed {
			t.Errorf("origins listed: %v, and standard error is\n%s", listed, d.err.String())
		}
	}
}

// TestDevListensOnLoopback checks that dev listens on loopback only, because its key is public.
func TestDevListensOnLoopback(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--grpc-listen", "--http-listen", "--ops-listen", "--sandbox-listen"} {
		for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "deskmint.example:0", "nonsense"} {
			out, _, err := invoke(t, "",
				append(append([]string{"dev", "--sandbox-listen", "127.0.0.1:0"}, anyPort...), flag, address)...)
			if err == nil || !strings.Contains(err.Error(), address) || strings.Contains(out, "ready") {
				t.Errorf("%s %s: %v\n%s", flag, address, err, out)
			}
			if address == "nonsense" {
				continue
			}
			if err != nil && !strings.Contains(err.Error(), "loopback") {
				t.Errorf("%s %s: %v", flag, address, err)
			}
		}
	}
}

// TestPortInUse checks that the error names the flag that changes the port.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	key, hash := caller.NewKey()
	dir := folder(t, map[string]string{"deskmint.yaml": onFile(hash), "secrets.yaml": secretsYAML(customersSecret)})
	for _, flag := range []string{"--grpc-listen", "--http-listen", "--ops-listen", "--sandbox-listen"} {
		for _, command := range [][]string{
			{"dev", "--sandbox-listen", "127.0.0.1:0"},
			{"serve", "--config", filepath.Join(dir, "deskmint.yaml")},
		} {
			if command[0] == "serve" && flag == "--sandbox-listen" {
				continue
			}
			out, logged, err := invoke(t, "", append(append(command, anyPort...), flag, taken.Addr().String())...)
			if err == nil || !strings.Contains(err.Error(), flag) ||
				!strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "in use") {
				t.Errorf("%s %s: %v", command[0], flag, err)
			}
			checkShown(t, false, out+logged+fmt.Sprint(err), key, customersSecret, "ready\n")
		}
	}
}
