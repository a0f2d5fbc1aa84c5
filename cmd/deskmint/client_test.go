package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

func TestMint(t *testing.T) {
	t.Parallel()
	d := dev(t)
	dir := folder(t, map[string]string{
		"request.json": `{
			"brandId": "360001",
			"user": {"email": "file@b.example", "email_verified": true, "name": "File", "phone": "+4930123456"},
			"return_to": "/hc"
		}`,
	})
	request := filepath.Join(dir, "request.json")
	for name, c := range map[string]struct {
		configuration, stdin string
		args                 []string
		who                  string
		claims               []string // on the page that the person ends at
	}{
		"flags": {
			"acme-customers", "", []string{"--email", "Ana@Customer.example", "--name", "Ana"}, "Ana", []string{
				"ana@customer.example", "signed in to Acme and",
			},
		},
		"full name": {
			"configurations/acme-customers", "", []string{"--email", "a@b.example", "--name", "Ana"}, "Ana", nil,
		},
		"brand, role": {
			"acme-customers", "",
			[]string{"--email", "a@b.example", "--name", "Ana", "--brand", "360002", "--role", "end_user",
				"--return-to", "/hc/x"}, "Ana", []string{"signed in to Acme Labs", "/hc/x", "end_user"},
		},
		"staff": {
			"acme-staff", "", []string{"--email", "a@b.example", "--name", "Chidi", "--role", "agent"}, "Chidi",
			[]string{"agent"},
		},
		"file": {
			"acme-customers", "", []string{"--request", request}, "File", []string{
				"file@b.example", "4930123456", "<code>/hc</code>",
			},
		},
		"stdin": {"acme-customers", anaJSON, []string{"--request", "-"}, "Ana", []string{"ana@customer.example"}},
		"flags win": {
			"acme-customers", "",
			[]string{"--request", request, "--email", "flag@b.example", "--name", "Flag", "--brand", "360002"}, "Flag",
			[]string{"flag@b.example", "4930123456", "Acme Labs"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, c.stdin, commandLine("mint", d.clientArgs(t, c.configuration), c.args...)...)
			if err != nil || logged != "" {
				t.Fatalf("%v %s", err, logged)
			}
			d.checkMinted(t, out, c.who, c.claims)
		})
	}
	out, _, err := invoke(t, "",
		commandLine("mint", d.clientArgs(t, "acme-customers"), "--email", "a@b.example", "--name", "A",
			"--validate-only")...)
	if err != nil || strings.Contains(out, "token") || !strings.Contains(out, "secretVersion") {
		t.Errorf("validate only: %v %s", err, out)
	}
}

// checkMinted posts a printed token to the sandbox, and checks the claims on the page that the
// person ends at.
func (d *deskmint) checkMinted(t *testing.T, printed, who string, claims []string) {
	t.Helper()
	var minted struct{ Form form }
	if err := json.Unmarshal([]byte(printed), &minted); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	page := checkPost(t, d.sandbox, minted.Form, who)
	for _, want := range claims {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	d := dev(t)
	person := []string{"--email", "a@b.example", "--name", "Ana", "--return-to", "/hc/x"}
	out, _, err := invoke(t, "", commandLine("render", d.clientArgs(t, "acme-customers"), person...)...)
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
	checkPost(t, d.sandbox,
		form{find(`action="([^"]+)"`),
			map[string]string{"jwt": find(`name="jwt" value="([^"]+)"`),
				"return_to": find(`name="return_to" value="([^"]+)"`)}}, "Ana")

	out, _, err = invoke(t, "",
		commandLine("render", d.clientArgs(t, "acme-customers"), append(person, "--role", "admin")...)...)
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
		"good": {
			"acme-customers", minted.token, nil, false,
			`^acceptable until \d\d:\d\d:\d\d UTC, signed with version 1\n$`,
		},
		"with white space":      {"acme-customers", "  " + minted.token + "\r\n", nil, false, `^acceptable`},
		"another configuration": {"acme-staff", minted.token, nil, true, `(?m)^signature: \S`},
		"tampered": {
			"acme-customers", header + "." + payload[:len(payload)-2] + "." + signature, nil, true,
			`(?m)^signature: \S`,
		},
		"unsigned": {"acme-customers", header + "." + payload + ".", nil, true, `(?m)^signature: \S`},
		"no token": {"acme-customers", "hello.there", nil, true, `^form: has 2 parts`},
		"as JSON": {
			"acme-customers", minted.token, []string{"--json"}, false,
			`(?s)^\{.*"acceptable": +true.*"email": +"ana@customer.example".*\}\n$`,
		},
		"refused, as JSON": {
			"acme-staff", minted.token, []string{"--json"}, true, `(?s)^\{.*"TOKEN_PART_SIGNATURE".*\}\n$`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, c.token,
				commandLine("inspect", d.clientArgs(t, c.configuration), c.flags...)...)
			if (err != nil) != c.fails || !regexp.MustCompile(c.want).MatchString(out) || logged != "" {
				t.Errorf("%v %s%s", err, out, logged)
			}
			if err != nil && err.Error() != "" {
				t.Errorf("the output has said why; the error says %q too", err)
			}
			checkShown(t, false, out, minted.token)
		})
	}
	if out, _, err := invoke(t, " \n", commandLine("inspect", d.clientArgs(t, "acme-customers"))...); err == nil ||
		err.Error() != "no token on standard input" {
		t.Errorf("nothing: %v %s", err, out)
	}
}

// clientFixture is a server, and files and arguments for the client commands.
type clientFixture struct {
	*deskmint

	dir        string
	args       []string // to mint
	key, token string   // an unknown key, and a token of the server
}

func newClientFixture(t *testing.T) *clientFixture {
	t.Helper()
	c := &clientFixture{deskmint: dev(t)}
	c.key, _ = caller.NewKey()
	c.dir = folder(t, map[string]string{
		"key":          c.key,
		"empty":        " \n",
		"two":          c.key + "\n" + c.key,
		"odd":          c.key + "\x01",
		"request.json": `{"user":{"rolle":"x"}}`,
	})
	c.token = c.post(t, config.DevKey, "/v1/configurations/acme-customers:mintToken", anaJSON).token
	c.args = c.clientArgs(t, "acme-customers")
	return c
}

// at returns the path of a file.
func (c *clientFixture) at(file string) string { return filepath.Join(c.dir, file) }

// clientRefusal is a command line that fails, and parts of the error.
type clientRefusal struct{ args, want []string }

// check checks that the commands fail, and that no error contains a key or a token.
func (c *clientFixture) check(t *testing.T, tests map[string]clientRefusal) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, "", test.args...)
			if err == nil || out != "" || logged != "" {
				t.Fatalf("%v %s%s", err, out, logged)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			checkShown(t, false, err.Error(), c.key, config.DevKey, c.token, tokenStart)
		})
	}
	c.checkNoSecrets(t, c.key, c.token)
}

// TestClientRefusals checks that errors of the client commands say what to do. None of them
// contains a key or a token, whichever flag it was pasted into.
func TestClientRefusals(t *testing.T) {
	t.Parallel()
	c := newClientFixture(t)
	c.check(t, map[string]clientRefusal{
		"the service's no": {
			commandLine("mint", c.args, "--email", "ab.example"), []string{
				"InvalidArgument", "INVALID_FIELD", "\n  user.email must have exactly one @",
				"\n  user.name is required",
			},
		},
		"no grant": {
			commandLine("mint", c.args, "--email", "a@b.example", "--name", "A", "--role", "agent"), []string{
				"PermissionDenied", "ROLE_NOT_ALLOWED", "\n  user.role",
			},
		},
		"unknown key": {
			commandLine("mint", c.args, "--api-key-file", c.at("key")), []string{
				"Unauthenticated", "CALLER_UNAUTHENTICATED",
			},
		},
		"empty key": {
			commandLine("mint", c.args, "--api-key-file", c.at("empty")), []string{
				"no credential", "DESKMINT_API_KEY", "--api-key-file", "--cert",
			},
		},
		"two keys": {commandLine("mint", c.args, "--api-key-file", c.at("two")), []string{"API key", c.at("two")}},
		"odd key":  {commandLine("mint", c.args, "--api-key-file", c.at("odd")), []string{"API key", c.at("odd")}},
		"no such file": {
			commandLine("mint", c.args, "--api-key-file", c.at("nowhere")), []string{
				"--api-key-file", c.at("nowhere"), "no such file",
			},
		},
		"no certificate": {
			commandLine("mint", c.args, "--cert", c.at("nowhere"), "--key", c.at("key")), []string{
				"--cert", c.at("nowhere"), "no such file",
			},
		},
		"no private key": {commandLine("mint", c.args, "--cert", c.at("key")), []string{"--cert and --key"}},
	})
}

// TestClientFlagRefusals is TestClientRefusals for wrong arguments and flags.
func TestClientFlagRefusals(t *testing.T) {
	t.Parallel()
	c := newClientFixture(t)
	c.check(t, map[string]clientRefusal{
		"key for a file": {
			commandLine("mint", c.args, "--api-key-file", c.key), []string{"--api-key-file", "no such file"},
		},
		"key as argument":  {commandLine("mint", c.args, c.key), []string{"unexpected argument"}},
		"key as a flag":    {commandLine("mint", c.args, "--api-key", c.key), []string{"unknown flag --api-key"}},
		"key as a flag, =": {commandLine("mint", c.args, "--api-key="+c.key), []string{"unknown flag --api-key"}},
		"token, argument":  {commandLine("inspect", c.args, c.token), []string{"unexpected argument"}},
		"token for a file": {commandLine("mint", c.args, "--request", c.token), []string{"--request", "no such file"}},
		"unknown field": {
			commandLine("mint", c.args, "--request", c.at("request.json")), []string{
				"--request", c.at("request.json"), "1:10", "rolle",
			},
		},
		"unknown role": {
			commandLine("mint", c.args, "--role", "boss"), []string{"--role", "end_user", "agent", "admin"},
		},
		"no configuration": {[]string{"mint", "--email", "a@b.example"}, []string{"--configuration"}},
		"no address":       {commandLine("mint", c.args, "--address", "nowhere"), []string{"--address", "nowhere"}},
		"no server": {
			commandLine("mint", c.args, "--address", freeAddress(t)), []string{"Unavailable", "refused"},
		},
		"no CA": {commandLine("mint", c.args, "--ca", c.at("nowhere")), []string{"--ca", c.at("nowhere")}},
		"CA of no kind": {
			commandLine("mint", c.args, "--ca", c.at("request.json")), []string{
				"--ca", c.at("request.json"), "no certificate",
			},
		},
		"no time": {commandLine("mint", c.args, "--timeout", "1ns"), []string{"DeadlineExceeded"}},
	})
}

// TestAPIKeyFromEnvironment isn't parallel, because it changes the environment of the process.
func TestAPIKeyFromEnvironment(t *testing.T) {
	d := dev(t)
	args := []string{
		"mint", "--address", d.grpc, "--configuration", "acme-customers", "--email", "a@b.example", "--name", "A",
		"--validate-only",
	}
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
		t.Errorf("of another service: %v", err)
	}
	// --api-key-file has precedence over the environment.
	key := filepath.Join(folder(t, map[string]string{"key": config.DevKey}), "key")
	if _, _, err := invoke(t, "", append(args, "--api-key-file", key)...); err != nil {
		t.Error(err)
	}
}

// TestClientIsLimited checks that the error names the limit, and the time until a request is
// accepted again.
func TestClientIsLimited(t *testing.T) {
	t.Parallel()
	d := dev(t)
	var err error
	for range 40 { // more than a person's burst
		if _, _, err = invoke(t, "",
			commandLine("mint", d.clientArgs(t, "acme-customers"), "--email", "a@b.example",
				"--name", "A")...); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "(RATE_LIMITED)\n  the limit is user_rate\n  try again in ") {
		t.Errorf("got %v", err)
	}
}
