package main

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/config"
)

// TestInspectInputs checks that the command finds the token in what people paste, and that it never
// prints the token.
func TestInspectInputs(t *testing.T) {
	t.Parallel()
	d := dev(t)
	person := []string{"--email", "ana@customer.example", "--name", "Ana", "--return-to", "/hc/en-us"}
	minted, _, err := invoke(t, "", commandLine("mint", d.clientArgs(t, "acme-customers"), person...)...)
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := invoke(t, "", commandLine("render", d.clientArgs(t, "acme-customers"), person...)...)
	if err != nil {
		t.Fatal(err)
	}
	token := d.post(t, config.DevKey, "/v1/configurations/acme-customers:mintToken", anaJSON).token
	dir := folder(t, map[string]string{"token": token + "\n", "empty": "", "several": token + "\n" + minted})
	const deprecated = "warning: the token is in a URL, which Zendesk has deprecated"
	for name, c := range map[string]struct {
		input  string
		flags  []string
		logged string // the beginning of the warnings
		fails  string // the beginning of the error
	}{
		"what mint prints":   {minted, nil, "", ""},
		"what render prints": {page, nil, "", ""},
		"a form":             {"jwt=" + url.QueryEscape(token) + "&return_to=%2Fhc", nil, "", ""},
		"a URL":              {"https://acme.zendesk.com/access/jwt?jwt=" + token, nil, deprecated, ""},
		"a file":             {"", []string{"--token-file", filepath.Join(dir, "token")}, "", ""},
		"an empty file":      {"", []string{"--token-file", filepath.Join(dir, "empty")}, "", "no token in " + dir},
		"no file":            {"", []string{"--token-file", filepath.Join(dir, "nowhere")}, "", "open " + dir},
		"several":            {"", []string{"--token-file", filepath.Join(dir, "several")}, "", "the text in " + dir},
		"no token in it":     {`{"x":"` + token + `"}`, nil, "", "the text on standard input: there is no token"},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, c.input,
				commandLine("inspect", d.clientArgs(t, "acme-customers"), c.flags...)...)
			switch {
			case c.fails != "" && (exit(err) != codeFailed || !strings.HasPrefix(err.Error(), c.fails) || out != ""):
				t.Errorf("%v %s", err, out)
			case c.fails == "" && (err != nil || !strings.HasPrefix(out, "acceptable until ")):
				t.Errorf("%v %s", err, out)
			case !strings.HasPrefix(logged, c.logged) || c.logged == "" && logged != "":
				t.Errorf("warnings: %s", logged)
			}
			if err != nil {
				out += err.Error()
			}
			checkShown(t, false, out+logged, token, tokenStart)
		})
	}
}

// TestInspectOffline checks that the command judges a token by a secret in a file, without a
// service, and says which text in place of the secret fits a signature.
func TestInspectOffline(t *testing.T) {
	t.Parallel()
	configFile, _, key := files(t)
	token := serve(t, configFile).mint(t, key, "acme-customers").token
	dir := folder(t, map[string]string{
		"secret": customersSecret + "\n", "quoted": `"` + customersSecret + `"`, "next": nextSecret, "short": "MARKER",
	})
	for name, c := range map[string]struct {
		args   []string
		code   int
		output string // a pattern of everything that is printed
	}{
		"good": {
			[]string{"--secret-file", filepath.Join(dir, "secret")}, 0,
			`^acceptable until \d\d:\d\d:\d\d UTC, signed with the secret in \S+/secret\n$`,
		},
		"as JSON": {
			[]string{"--secret-file", filepath.Join(dir, "secret"), "--json"}, 0,
			`(?s)^\{.*"acceptable": +true.*"secretVersion": +1.*\}\n$`,
		},
		"in quotes": {
			[]string{"--secret-file", filepath.Join(dir, "quoted")}, codeFailed,
			`^signature: fits no version .*\n` +
				`signature: fits version 1 of the secret without its quotation marks\. .*\n` +
				`warning: the secret in \S+ may have been pasted wrongly: .*\n$`,
		},
		"another": {
			[]string{"--secret-file", filepath.Join(dir, "next")}, codeFailed, `^signature: fits no version .*\n$`,
		},
		"too short": {
			[]string{"--secret-file", filepath.Join(dir, "short")}, codeFailed,
			`^--secret-file: the secret in \S+ is far too short`,
		},
		"no file": {
			[]string{"--secret-file", filepath.Join(dir, "nowhere")}, codeFailed,
			`^--secret-file: open \S+: no such file`,
		},
		"the secret itself": {[]string{"--secret-file", customersSecret}, codeFailed, `^--secret-file: .*no such file`},
		"neither":           {nil, codeUsage, `^give --configuration, to ask a service, or --secret-file`},
		"both": {
			[]string{"--secret-file", "x", "--configuration", "y"}, codeUsage, `can't be used together`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, logged, err := invoke(t, token, append([]string{"inspect"}, c.args...)...)
			text := out + logged
			if err != nil {
				text += err.Error()
			}
			if exit(err) != c.code || !regexp.MustCompile(c.output).MatchString(text) {
				t.Errorf("code %d, want %d: %s", exit(err), c.code, text)
			}
			checkShown(t, false, text, token, tokenStart, nextSecret)
		})
	}
}
