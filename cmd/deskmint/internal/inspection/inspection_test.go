package inspection_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/inspection"
	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
)

// token has every character that a token can have.
const token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3NjczMjMwNDV9.b-_0aZ9xQwErTyUiOpAsDfGhJkLzXcVbNm012345"

// TestParse finds the token in everything that people paste.
func TestParse(t *testing.T) {
	const other = "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.AAAA"
	wrapped := token[:20] + "\n  " + token[20:60] + "\r\n" + token[60:]
	minted, err := protojson.MarshalOptions{Multiline: true}.Marshal(&pb.MintTokenResponse{
		Token: token, Jti: "j", Form: &pb.SignInForm{
			Action: "https://acme.zendesk.com/access/jwt", Fields: map[string]string{"jwt": token, "return_to": "/hc"},
			FormActionSources: []string{"https://acme.zendesk.com", "https://help.acme.com"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text  string
		inURL bool
	}{
		"alone":                  {token, false},
		"white space":            {" \t" + token + "\r\n", false},
		"a byte order mark":      {"\ufeff" + token + "\u200b\n", false},
		"in quotes":              {`"` + token + `"` + "\n", false},
		"in single quotes":       {"'" + token + "'", false},
		"in quotes twice":        {`"'` + token + `'"`, false},
		"wrapped":                {wrapped, false},
		"form body":              {"jwt=" + token, false},
		"form body, return_to":   {"jwt=" + token + "&return_to=https%3A%2F%2Facme.zendesk.com%2Fhc", false},
		"form body, the other":   {"return_to=%2Fhc&jwt=" + token + "\n", false},
		"form body, escaped":     {"jwt=" + strings.ReplaceAll(url.QueryEscape(token), ".", "%2E"), false},
		"form body, wrapped":     {"jwt=" + wrapped + "&return_to=%2Fhc", false},
		"URL":                    {"https://acme.zendesk.com/access/jwt?jwt=" + token, true},
		"URL, return_to":         {"https://acme.zendesk.com/access/jwt?return_to=x&jwt=" + token + "#x", true},
		"URL, wrapped":           {"https://acme.zendesk.com/access/jwt?jwt=" + wrapped, true},
		"URL in quotes":          {`"https://acme.zendesk.com/access/jwt?jwt=` + token + `"`, true},
		"path":                   {"/access/jwt?jwt=" + token, true},
		"query":                  {"?jwt=" + token, true},
		"request line":           {"GET /access/jwt?jwt=" + token + " HTTP/1.1\r\nHost: acme.zendesk.com", true},
		"Location":               {"Location: https://acme.zendesk.com/access/jwt?jwt=" + token + "&return_to=", true},
		"curl":                   {"curl https://acme.zendesk.com/access/jwt -d 'jwt=" + token + "'", false},
		"curl with a query":      {"curl 'https://acme.zendesk.com/access/jwt?b=1' -d 'jwt=" + token + "'", false},
		"JSON of mint":           {string(minted), false},
		"JSON":                   {`{"jwt":"` + token + `"}`, false},
		"JSON of another app":    {`[{"data":{"Token":"` + token + `"}}]`, false},
		"JSON with a URL":        {`{"url":"https://acme.zendesk.com/access/jwt?jwt=` + token + `"}`, true},
		"JSON with a page":       {`{"html":"<input name=\"jwt\" value=\"` + token + `\">"}`, false},
		"JSON in JSON":           {fmt.Sprintf("%q", `{"token":"`+token+`"}`), false},
		"page":                   {`<!doctype html><input value='` + token + `' type=hidden name=jwt />`, false},
		"page, with its escapes": {`<input name="jwt" value="` + strings.ReplaceAll(token, ".", "&#46;") + `">`, false},
		"page, repeated": {
			`<input name="jwt" value="` + token + `"><input name="jwt" value="` + token + `">`, false,
		},
		"header":   {"Authorization: Bearer " + token, false},
		"bearer":   {"Bearer " + token, false},
		"log line": {`level=info token="` + token + `" ok`, false},
	} {
		got, err := inspection.Parse(test.text)
		if err != nil || got.Token != token || got.InURL != test.inURL {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for name, test := range map[string]struct{ text, want string }{
		"two tokens":        {token + "\n" + other, "several"},
		"two fields":        {"jwt=" + token + "&jwt=" + other, "several"},
		"two members":       {`{"token":"` + token + `","jwt":"` + other + `"}`, "several"},
		"JSON without":      {`{"html":"<p>Signing in</p>","secret":"` + token + `"}`, "no token"},
		"page without":      {`<form><input name="token" value="` + token + `"></form>`, "no token"},
		"page, empty field": {`<input name="jwt" value="">`, "no token"},
		"a number":          {"17", "no token"},
		"quotes":            {`""`, "no token"},
	} {
		if got, err := inspection.Parse(test.text); err == nil || !strings.Contains(err.Error(), test.want) ||
			strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

// TestParseOther returns text without a token as it is, so that the inspection describes it.
func TestParseOther(t *testing.T) {
	for text, want := range map[string]string{
		"hello.there": "hello.there", "a.b.c": "a.b.c", " x \n": "x", token + ".x": token + ".x",
		token + "==": token + "==",
	} {
		if got, err := inspection.Parse(text); err != nil || got.Token != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"jwt=" + token, `{"a":[{"token":"` + token + `"}]}`, "<input name=jwt value=", `"'"`, "?jwt=%",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := inspection.Parse(text)
		if err == nil && got.Token == "" {
			t.Errorf("%q: no token and no error", text)
		}
	})
}

const secret = "MARKERmT4kQ9vXb2LrW7cYp0ZsJ6hNd8FgA1uEqKxRtO3iBy"

func sign(t *testing.T, secret, claims string) string {
	t.Helper()
	key, err := secrets.NewKey(1, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + encode([]byte(claims))
	signature, err := key.Sign(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}

// TestOffline judges tokens by secrets in files. No text has a part of the token or of the secret.
func TestOffline(t *testing.T) {
	now := time.Unix(1767323045, 0)
	const claims = `{"iat":1767323045,"jti":"j","email":"jo@example.com","name":"Jo"`
	good := sign(t, secret, claims+"}")
	for name, test := range map[string]struct {
		token, file string
		mode        os.FileMode
		acceptable  bool
		says        string // part of the output, a warning or the error
	}{
		"good":           {good, secret, 0o600, true, "until 03:07:05 UTC, signed with the secret in FILE\n"},
		"a line":         {good, secret + "\n", 0o600, true, "acceptable"},
		"a line of CRLF": {good, secret + "\r\n", 0o600, true, "acceptable"},
		"a warning":      {sign(t, secret, claims+`,"iss":"x"}`), secret, 0o600, true, "\nwarning: claims: iss is"},
		"a control code": {sign(t, secret, claims+`,"\u001b[2J":1}`), secret, 0o600, true, "claims: \ufffd[2J is not"},
		"an entry": {
			sign(t, secret, claims+`,"user_fields":{"a b":1}}`), secret, 0o600, true,
			`claims: user_fields["a b"] is no key`,
		},
		"another secret":  {good, strings.ToLower(secret), 0o600, false, "signature: fits no version"},
		"in quotes":       {good, `"` + secret + `"`, 0o600, false, "signature: fits version 1 of the secret without"},
		"a wrong paste":   {good, `"` + secret + `"`, 0o600, false, "pasted wrongly: the value begins or ends"},
		"readable by all": {good, secret, 0o644, true, "(0644) let every user of this machine read it: chmod 600 FILE"},
		"by the group":    {good, secret, 0o640, true, "acceptable"},
		"too short":       {good, "MARKER-short", 0o600, false, "the secret in FILE is far too short"},
		"white space":     {good, secret + " \n", 0o600, false, "the secret in FILE begins or ends with white space"},
		"empty":           {good, "\n", 0o600, false, "the secret in FILE is empty"},
		"too long":        {good, strings.Repeat("MARKER", 20000), 0o600, false, "FILE holds more than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, test.mode); err != nil { // whatever the umask is
				t.Fatal(err)
			}
			response, warnings, err := inspection.Offline(test.token, file, now)
			var out strings.Builder
			if err := inspection.Print(&out, response, "the secret in "+file); err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(fmt.Sprintln(out.String(), warnings, err), file, "FILE")
			if response.GetAcceptable() != test.acceptable || !strings.Contains(text, test.says) {
				t.Errorf("acceptable %v: %s", response.GetAcceptable(), text)
			}
			if strings.Contains(text, "MARKER") || strings.Contains(text, "eyJ") {
				t.Errorf("a part of the secret or the token: %s", text)
			}
			if len(response.GetConfigurationDifferences()) > 0 {
				t.Errorf("differences without a configuration: %v", response)
			}
		})
	}
	if _, _, err := inspection.Offline(good, filepath.Join(t.TempDir(), "nowhere"), now); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}
