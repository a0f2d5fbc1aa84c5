package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// client is a command line that talks to a server, without its command.
func (d *deskmint) client(t *testing.T, configuration string, more ...string) []string {
	t.Helper()
	key := filepath.Join(folder(t, map[string]string{"key": config.DevKey + "\n"}), "key")
	return append([]string{"--address", d.grpc, "--api-key-file", key, "--configuration", configuration}, more...)
}

func line(command string, args []string, more ...string) []string {
	return append(append([]string{command}, args...), more...)
}

func TestMint(t *testing.T) {
	t.Parallel()
	d := dev(t)
	dir := folder(t, map[string]string{"request.json": `{"brandId":"360001","user":{"email":"file@b.example","email_verified":true,"name":"File","phone":"+4930123456"},"return_to":"/hc"}`})
	request := filepath.Join(dir, "request.json")
	for name, c := range map[string]struct {
		configuration, stdin string
		args                 []string
		who                  string
		claims               []string // of the page where the person lands
	}{
		"flags":       {"acme-customers", "", []string{"--email", "Ana@Customer.example", "--name", "Ana"}, "Ana", []string{"ana@customer.example", "signed in to Acme and"}},
		"full name":   {"configurations/acme-customers", "", []string{"--email", "a@b.example", "--name", "Ana"}, "Ana", nil},
		"brand, role": {"acme-customers", "", []string{"--email", "a@b.example", "--name", "Ana", "--brand", "360002", "--role", "end_user", "--return-to", "/hc/x"}, "Ana", []string{"signed in to Acme Labs", "/hc/x", "end_user"}},
		"staff":       {"acme-staff", "", []string{"--email", "a@b.example", "--name", "Chidi", "--role", "agent"}, "Chidi", []string{"agent"}},
		"file":        {"acme-customers", "", []string{"--request", request}, "File", []string{"file@b.example", "4930123456", "<code>/hc</code>"}},
		"stdin":       {"acme-customers", anaJSON, []string{"--request", "-"}, "Ana", []string{"ana@customer.example"}},
		"flags win":   {"acme-customers", "", []string{"--request", request, "--email", "flag@b.example", "--name", "Flag", "--brand", "360002"}, "Flag", []string{"flag@b.example", "4930123456", "Acme Labs"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, c.stdin, line("mint", d.client(t, c.configuration), c.args...)...)
			if err != nil || logged != "" {
				t.Fatalf("%v %s", err, logged)
			}
			var minted struct{ Form form }
			if err := json.Unmarshal([]byte(out), &minted); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			page := signedInAt(t, d.sandbox, minted.Form, c.who)
			for _, want := range c.claims {
				if !strings.Contains(page, want) {
					t.Errorf("no %q in %s", want, page)
				}
			}
		})
	}
	out, _, err := invoke(t, "", line("mint", d.client(t, "acme-customers"), "--email", "a@b.example", "--name", "A", "--validate-only")...)
	if err != nil || strings.Contains(out, "token") || !strings.Contains(out, "secretVersion") {
		t.Errorf("validate only: %v %s", err, out)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	d := dev(t)
	person := []string{"--email", "a@b.example", "--name", "Ana", "--return-to", "/hc/x"}
	out, _, err := invoke(t, "", line("render", d.client(t, "acme-customers"), person...)...)
	if err != nil || !strings.HasPrefix(out, "<!doctype html>") || !strings.Contains(out, `lang="en"`) {
		t.Fatalf("%v %s", err, out)
	}
	find := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("no %s in %s", pattern, out)
		}
		return found[1]
	}
	signedInAt(t, d.sandbox, form{find(`action="([^"]+)"`), map[string]string{"jwt": find(`name="jwt" value="([^"]+)"`), "return_to": find(`name="return_to" value="([^"]+)"`)}}, "Ana")

	out, _, err = invoke(t, "", line("render", d.client(t, "acme-customers"), append(person, "--role", "admin")...)...)
	if err == nil || !strings.Contains(err.Error(), "ROLE_NOT_ALLOWED") || out != "" {
		t.Errorf("an admin: %v %s", err, out)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	d := dev(t)
	minted := d.post(t, config.DevKey, "/v1/configurations/acme-customers:mintToken", anaJSON)
	header, rest, _ := strings.Cut(minted.token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for name, c := range map[string]struct {
		configuration, token string
		flags                []string
		fails                bool
		want                 string // a pattern of the whole output
	}{
		"good":                  {"acme-customers", minted.token, nil, false, `^acceptable until \d\d:\d\d:\d\d UTC, signed with version 1\n$`},
		"with white space":      {"acme-customers", "  " + minted.token + "\r\n", nil, false, `^acceptable`},
		"another configuration": {"acme-staff", minted.token, nil, true, `(?m)^signature: \S`},
		"tampered":              {"acme-customers", header + "." + payload[:len(payload)-2] + "." + signature, nil, true, `(?m)^signature: \S`},
		"unsigned":              {"acme-customers", header + "." + payload + ".", nil, true, `(?m)^signature: \S`},
		"no token":              {"acme-customers", "hello.there", nil, true, `^form: has 2 parts`},
		"as JSON":               {"acme-customers", minted.token, []string{"--json"}, false, `(?s)^\{.*"acceptable": +true.*"email": +"ana@customer.example".*\}\n$`},
		"refused, as JSON":      {"acme-staff", minted.token, []string{"--json"}, true, `(?s)^\{.*"TOKEN_PART_SIGNATURE".*\}\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, c.token, line("inspect", d.client(t, c.configuration), c.flags...)...)
			if (err != nil) != c.fails || !regexp.MustCompile(c.want).MatchString(out) || logged != "" {
				t.Errorf("%v %s%s", err, out, logged)
			}
			if err != nil && err.Error() != "" {
				t.Errorf("the output has said why; the error says %q too", err)
			}
			shows(t, false, out, minted.token)
		})
	}
	if out, _, err := invoke(t, " \n", line("inspect", d.client(t, "acme-customers"))...); err == nil || err.Error() != "no token on standard input" {
		t.Errorf("nothing: %v %s", err, out)
	}
}

// TestClientRefusals: what goes wrong between a command and the service, in words that help; a key
// or a token is in none of them, wherever it was pasted.
func TestClientRefusals(t *testing.T) {
	t.Parallel()
	d := dev(t)
	key, _ := caller.NewKey()
	dir := folder(t, map[string]string{"key": key, "empty": " \n", "two": key + "\n" + key, "odd": key + "\x01", "request.json": `{"user":{"rolle":"x"}}`})
	at := func(file string) string { return filepath.Join(dir, file) }
	token := d.post(t, config.DevKey, "/v1/configurations/acme-customers:mintToken", anaJSON).token
	good := d.client(t, "acme-customers")
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"the service's no": {line("mint", good, "--email", "ab.example"), []string{"InvalidArgument", "INVALID_FIELD", "\n  user.email must have exactly one @", "\n  user.name is required"}},
		"no grant":         {line("mint", good, "--email", "a@b.example", "--name", "A", "--role", "agent"), []string{"PermissionDenied", "ROLE_NOT_ALLOWED", "\n  user.role"}},
		"unknown key":      {line("mint", good, "--api-key-file", at("key")), []string{"Unauthenticated", "CALLER_UNAUTHENTICATED"}},
		"empty key":        {line("mint", good, "--api-key-file", at("empty")), []string{"no credential", "DESKMINT_API_KEY", "--api-key-file", "--cert"}},
		"two keys":         {line("mint", good, "--api-key-file", at("two")), []string{"API key", at("two")}},
		"odd key":          {line("mint", good, "--api-key-file", at("odd")), []string{"API key", at("odd")}},
		"no such file":     {line("mint", good, "--api-key-file", at("nowhere")), []string{"--api-key-file", at("nowhere"), "no such file"}},
		"no certificate":   {line("mint", good, "--cert", at("nowhere"), "--key", at("key")), []string{"--cert", at("nowhere"), "no such file"}},
		"no private key":   {line("mint", good, "--cert", at("key")), []string{"--cert and --key"}},
		"key for a file":   {line("mint", good, "--api-key-file", key), []string{"--api-key-file", "no such file"}},
		"key as argument":  {line("mint", good, key), []string{"unexpected argument"}},
		"key as a flag":    {line("mint", good, "--api-key", key), []string{"unknown flag --api-key"}},
		"key as a flag, =": {line("mint", good, "--api-key="+key), []string{"unknown flag --api-key"}},
		"token, argument":  {line("inspect", good, token), []string{"unexpected argument"}},
		"token for a file": {line("mint", good, "--request", token), []string{"--request", "no such file"}},
		"unknown field":    {line("mint", good, "--request", at("request.json")), []string{"--request", at("request.json"), "1:10", "rolle"}},
		"unknown role":     {line("mint", good, "--role", "boss"), []string{"--role", "end_user", "agent", "admin"}},
		"no configuration": {[]string{"mint", "--email", "a@b.example"}, []string{"--configuration"}},
		"no address":       {line("mint", good, "--address", "nowhere"), []string{"--address", "nowhere"}},
		"nobody there":     {line("mint", good, "--address", freeAddress(t)), []string{"Unavailable", "refused"}},
		"no CA":            {line("mint", good, "--ca", at("nowhere")), []string{"--ca", at("nowhere")}},
		"CA of no kind":    {line("mint", good, "--ca", at("request.json")), []string{"--ca", at("request.json"), "no certificate"}},
		"no time":          {line("mint", good, "--timeout", "1ns"), []string{"DeadlineExceeded"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, "", c.args...)
			if err == nil || out != "" || logged != "" {
				t.Fatalf("%v %s%s", err, out, logged)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			shows(t, false, err.Error(), key, config.DevKey, token, tokenStart)
		})
	}
	d.silent(t, key, token)
}

// TestAPIKeyFromEnvironment is by itself because the environment is the process's.
func TestAPIKeyFromEnvironment(t *testing.T) {
	d := dev(t)
	args := []string{"mint", "--address", d.grpc, "--configuration", "acme-customers", "--email", "a@b.example", "--name", "A", "--validate-only"}
	t.Setenv("DESKMINT_API_KEY", "")
	if _, _, err := invoke(t, "", args...); err == nil || !strings.Contains(err.Error(), "set DESKMINT_API_KEY") {
		t.Errorf("none: %v", err)
	}
	t.Setenv("DESKMINT_API_KEY", config.DevKey+"\n")
	if _, _, err := invoke(t, "", args...); err != nil {
		t.Error(err)
	}
	t.Setenv("DESKMINT_API_KEY", "dmk_other")
	if _, _, err := invoke(t, "", args...); err == nil || !strings.Contains(err.Error(), "CALLER_UNAUTHENTICATED") {
		t.Errorf("another's: %v", err)
	}
	// The file that was asked for wins over the environment.
	key := filepath.Join(folder(t, map[string]string{"key": config.DevKey}), "key")
	if _, _, err := invoke(t, "", append(args, "--api-key-file", key)...); err != nil {
		t.Error(err)
	}
}

// TestKeyNew: the hash that is printed lets in who has the key that is printed.
func TestKeyNew(t *testing.T) {
	t.Parallel()
	out, told, err := invoke(t, "", "key", "new")
	printed := regexp.MustCompile(`^key=(dmk_[A-Za-z0-9_-]{43})\napi_key_sha256=([0-9a-f]{64})\n$`).FindStringSubmatch(out)
	if err != nil || printed == nil {
		t.Fatalf("%v %s", err, out)
	}
	if !strings.Contains(told, "hash") || strings.Contains(told, printed[1]) {
		t.Errorf("standard error: %s", told)
	}
	if again, _, _ := invoke(t, "", "key", "new"); again == out {
		t.Error("the same key twice")
	}
	dir := folder(t, map[string]string{"deskmint.yaml": onFile(printed[2]), "secrets.yaml": secretsYAML(customersSecret)})
	d := serve(t, filepath.Join(dir, "deskmint.yaml"))
	if got := d.mint(t, printed[1], "acme-customers"); got.token == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := d.mint(t, printed[2], "acme-customers"); got.reason != "CALLER_UNAUTHENTICATED" {
		t.Errorf("the hash in the key's place: %d %s", got.status, got.body)
	}
	d.silent(t, printed[1])
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	good := onFile(hash) + audited
	check := func(files map[string]string) (out, faults string, err error) {
		t.Helper()
		dir := folder(t, files)
		out, faults, err = invoke(t, "", "config", "check", filepath.Join(dir, "deskmint.yaml"))
		shows(t, false, out+faults+fmt.Sprint(err), key)
		return strings.ReplaceAll(out, dir+string(os.PathSeparator), ""), strings.ReplaceAll(faults, dir+string(os.PathSeparator), ""), err
	}
	if out, faults, err := check(map[string]string{"deskmint.yaml": good}); err != nil || out != "deskmint.yaml: ok, 1 configurations\n" || faults != "" {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	// Every fault of every file, in order, each a line with its place.
	out, faults, err := check(map[string]string{
		"deskmint.yaml": strings.NewReplacer("secret:", "sekret:", "[sign_in, read", "[sign_on, read", hash, key).Replace(good) + "include: [team.yaml]\n",
		"team.yaml":     "configurations:\n  - {name: acme-customers, secret: {path: ../x}}\nlisten: {}\n",
	})
	want := regexp.MustCompile(`^deskmint\.yaml:4: configurations\[0\]\.sekret: .+
deskmint\.yaml:12: callers\[0\]\.identities\[0\]\.api_key_sha256: .+
deskmint\.yaml:16: callers\[0\]\.grants\[0\]\.actions.*: .+
team\.yaml:2: configurations\[0\]\.name: .+
team\.yaml:2: configurations\[0\]\.secret.*: .+
team\.yaml:2: configurations\[0\]\.zendesk_sso: .+
team\.yaml:3: listen: .+
$`)
	if err == nil || out != "" || !want.MatchString(faults) {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	// What is odd but not wrong is told, and passes.
	out, faults, err = check(map[string]string{"deskmint.yaml": onFile(hash)})
	if err != nil || !strings.Contains(out, "ok") || !strings.HasPrefix(faults, "warning: deskmint.yaml:1: audit: has no email_key_file") {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	out, faults, err = check(map[string]string{"deskmint.yaml": strings.Replace(good, "source: file, file: {path: secrets.yaml}", "source: memory", 1)})
	if err != nil || !strings.Contains(out, "ok") || !strings.HasPrefix(faults, "warning: deskmint.yaml:1: secrets.source: ") {
		t.Errorf("%v\n%s%s", err, out, faults)
	}
	if _, faults, err := invoke(t, "", "config", "check", "nowhere.yaml"); err == nil || faults != "nowhere.yaml: can't be read: no such file or directory\n" {
		t.Errorf("%v\n%s", err, faults)
	}
}

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"config", "schema"}, {"config", "schema", "any.yaml"}} {
		out, _, err := invoke(t, "", args...)
		var schema struct {
			Schema     string `json:"$schema"`
			Properties map[string]any
		}
		if err != nil || json.Unmarshal([]byte(out), &schema) != nil || schema.Schema == "" || schema.Properties["configurations"] == nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	whole, logged, err := invoke(t, "", "--help")
	if err != nil || logged != "" {
		t.Fatalf("%v %s", err, logged)
	}
	if bare, _, err := invoke(t, ""); err != nil || bare != whole {
		t.Errorf("without arguments: %v\n%s", err, bare)
	}
	for command, want := range map[string]string{
		"dev": "--sandbox-listen", "serve": "--config", "config check": "<file>", "config schema": "Schema", "mint": "--address", "render": "--language",
		"inspect": "--json", "key new": "API key", "explain": "--caller", "audit find": "--record-id", "version": "version",
	} {
		if !strings.Contains(whole, "\n  "+command+" ") {
			t.Errorf("--help doesn't tell of %s:\n%s", command, whole)
		}
		out, logged, err := invoke(t, "", append(strings.Fields(command), "--help")...)
		if err != nil || logged != "" || !strings.HasPrefix(out, "Usage: deskmint "+command) || !strings.Contains(out, want) {
			t.Errorf("%s --help: %v\n%s%s", command, err, out, logged)
		}
	}
	if out, _, err := invoke(t, "", "version"); err != nil || strings.TrimSpace(out) == "" {
		t.Errorf("version: %v %q", err, out)
	}
	for line, help := range map[string]string{
		"nonsense": "deskmint --help", "config": "deskmint config --help", "key": "deskmint key --help",
		"serve --nonsense": "deskmint serve --help", "dev nonsense": "deskmint dev --help",
	} {
		out, _, err := invoke(t, "", strings.Fields(line)...)
		if err == nil || out != "" || !strings.HasSuffix(err.Error(), "(see "+help+")") {
			t.Errorf("%q: %v %s", line, err, out)
		}
	}
}

// A limit is told by its name, with the time after which one request passes.
func TestClientIsLimited(t *testing.T) {
	t.Parallel()
	d := dev(t)
	var err error
	for range 40 { // more than a person's sign-ins at once
		if _, _, err = invoke(t, "", line("mint", d.client(t, "acme-customers"), "--email", "a@b.example", "--name", "A")...); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "(RATE_LIMITED)\n  the limit is user_rate\n  try again in ") {
		t.Errorf("got %v", err)
	}
}
