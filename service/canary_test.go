package service_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
)

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestCanarySearch checks that the search for leaks finds each canary, in each encoding, at each
// position of a longer text.
func TestCanarySearch(t *testing.T) {
	canary := canaryForms()
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"iat":1}`))
	token := tokenHeader + "." + claims + "." + strings.Repeat("s1gn-_tu", 5) + "re_"
	planted := map[string]string{"a token": token, "the key dmk_slow": "dmk_slow"}
	for _, secret := range []string{customersSecret, staffSecret, nextSecret} {
		planted["the secret "+secret] = secret
	}
	alphabets := map[string]*base64.Encoding{
		"std": base64.StdEncoding, "raw std": base64.RawStdEncoding,
		"url": base64.URLEncoding, "raw url": base64.RawURLEncoding,
	}
	for name, text := range planted {
		written := map[string]string{
			"raw":                text,
			"in a header":        fmt.Sprintf("%v", http.Header{"Authorization": {"Bearer " + text}}),
			"quoted":             fmt.Sprintf("%q", text),
			"hexadecimal":        hex.EncodeToString([]byte("x" + text)),
			"in capitals":        strings.ToUpper(hex.EncodeToString([]byte(text))),
			"dumped":             fmt.Sprintf("%x", []byte(text)),
			"JSON of bytes":      mustJSON([]byte("before " + text + " after")),
			"a struct's bytes":   fmt.Sprintf("%+v", struct{ key string }{text}),
			"basic credentials":  base64.StdEncoding.EncodeToString([]byte("user:" + text)),
			"a part of a bigger": strings.Repeat("noise ", 1000) + text + strings.Repeat(" noise", 1000),
		}
		for before := range 7 {
			for after := range 4 {
				around := bytes.Repeat([]byte{0xfb}, before)
				around = append(append(around, text...), bytes.Repeat([]byte{0xff}, after)...)
				for kind, alphabet := range alphabets {
					how := fmt.Sprintf("base64 %s, %d before, %d after", kind, before, after)
					written[how] = alphabet.EncodeToString(around)
				}
			}
		}
		for how, w := range written {
			found := search(map[string]string{"a log": w}, map[string][]string{name: canary[name]})
			if len(found) != 1 || !strings.HasPrefix(found[0], name+" in a log") {
				t.Errorf("the search doesn't find %s, %s: %v", name, how, found)
			}
		}
	}
	recorder := &leakRecorder{texts: make(map[string][]string), tokens: make(map[string]bool)}
	recorder.recordTokens(`{"token":"` + token + `"}`)
	recorder.record("log", "signed with "+token[strings.LastIndex(token, ".")+1:])
	if found := recorder.leaks(); len(found) != 1 || !strings.HasPrefix(found[0], "a token's signature in log") {
		t.Errorf("the search doesn't find a signature: %v", found)
	}
	recorder.texts = map[string][]string{"log": {"nothing", "configurations/acme-customers", "storefront dmk_"}}
	if found := recorder.leaks(); len(found) > 0 {
		t.Errorf("the search finds a canary in a text without one: %v", found)
	}
	_, _ = recorder.libraries.Write([]byte("transport: authorization: Bearer dmk_nobody"))
	if found := recorder.leaks(); len(found) != 1 {
		t.Errorf("the search doesn't find a key in the log of the libraries: %v", found)
	}
}

// TestNothingLeaks sends every request of the other tables, with the log at the level debug. It
// sends them again with panics, with an audit log that can't be written, with a store that doesn't
// answer, and with a secret that isn't valid. It also sends requests that can't be decoded. Then it
// searches all that the service has written for each secret, key and token in each form. Only a
// successful answer may have a token.
func TestNothingLeaks(t *testing.T) {
	console := redirectConsole(t)
	var (
		hook   hookedSecrets
		w      failingWriter
		c      clock
		tokens []string
		errs   bytes.Buffer
	)
	s := start(t, settings{configuration: configuration, secrets: hook.wrap, audit: &w, now: c.now, grace: time.Second})
	noteReply := func(r reply) {
		text, err := protojson.Marshal(r.message)
		if err != nil {
			t.Error(err)
		}
		found := tokenPattern.FindAllString(string(text)+string(r.body), -1)
		tokens = append(tokens, found...)
		if len(found) == 0 {
			fmt.Fprintln(&errs, r.answer.message, r.info, r.field, r.header, string(r.body))
		} else {
			fmt.Fprintln(&errs, r.header) // the headers of a success must not have a token either
		}
	}
	calls := leakCalls()
	run := func() {
		eachTransport(t, func(t *testing.T, tr transport) {
			for _, c := range calls {
				noteReply(tr.send(t.Context(), t, s, c))
			}
		})
	}
	run()
	if len(tokens) < 20 {
		t.Fatalf("only %d tokens were minted", len(tokens))
	}
	calls = calls[:10]
	for name, value := range map[string]any{
		"secret": customersSecret,
		"token":  tokens[0],
		"struct": secretValue{tokens[1], "dmk_everything"},
		"error":  errors.New(tokens[2]),
	} {
		t.Log("panics with a", name)
		hook.setOnGet(func() { panic(value) })
		run()
		_ = s.get(t, s.Ops+"/readyz")
		_ = s.get(t, s.Ops+"/metrics")
		hook.setOnGet(nil)
	}
	w.armed.Store(true)
	run()
	w.armed.Store(false)
	s.Store.SetError(errors.New("away"))
	c.set(24 * time.Hour)
	for _, ref := range parse(t, configuration).Refs() {
		_, _, _ = s.Ring.Refresh(t.Context(), ref)
	}
	run()
	s.Store.SetError(nil)
	s.Store.Put("sso/acme-customers", "shared_secret", []byte(" "+nextSecret))
	_, _, _ = s.Ring.Refresh(t.Context(), secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"})
	run()
	for _, body := range []string{
		`{"user":{"email":"` + tokens[0] + `"}`,
		`{"` + tokens[0] + `":1}`,
		`{"attempt":` + tokens[0] + `}`,
		`{"secretVersion":"` + customersSecret + `"}`,
		`{"user":{"role":"dmk_everything"}}`,
		`{"user":{"email":"ana@customer.example","externalId":"dmk_everything"}}`,
		`{"user":{"email":"ana@customer.example","externalId":` + quote(tokenHeader+".e30.x") + `}}`,
	} {
		_, answer := s.sendRaw(t, rawPost(mintPath, asEverything+asJSON, body))
		errs.Write(answer)
	}
	for _, target := range []string{
		"/dmk_everything",
		"/v1/configurations/" + tokens[0],
		"/v1/configurations?pageToken=" + tokens[0],
		mintPath + "?key=dmk_everything",
	} {
		res, answer := s.sendRaw(t, rawRequest("GET", target, asEverything))
		fmt.Fprintln(&errs, res.Header, string(answer))
	}

	texts := map[string]string{
		"log":       s.Log.String(),
		"audit":     s.Audit.String(),
		"answers":   errs.String(),
		"metrics":   s.get(t, s.Ops+"/metrics"),
		"readyz":    s.get(t, s.Ops+"/readyz"),
		"health":    s.get(t, s.Ops+"/healthz"),
		"libraries": recorder.libraries.String(),
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	texts["printed service"] = fmt.Sprintf("%+v %#v", s.Service, s.Ring)
	texts["log at the end"], texts["console"] = s.Log.String(), console()
	names := canaryForms()
	for _, token := range tokens {
		names["a token"] = append(names["a token"], encodings(token)...)
		names["a signature"] = append(names["a signature"], encodings(token[strings.LastIndex(token, ".")+1:])...)
	}
	for _, leak := range search(texts, names) {
		t.Error(leak)
	}
	for kind, text := range texts {
		if len(text) < 3 && kind != "console" {
			t.Errorf("the text %s is empty", kind)
		}
	}
}

// leakCalls returns a call of each method, the calls of TestMintToken and those of
// TestRefusalPages. The first ten are of different kinds.
func leakCalls() (calls []call) {
	for _, method := range []string{
		"MintToken", "RenderForm", "RenderPage", "InspectToken",
		"ListConfigurations", "GetConfiguration", "RefreshSecret", "ResolveConfiguration",
	} {
		body := user("")
		switch method {
		case "InspectToken":
			body = `"token":` + quote(tokenHeader+".e30."+customersSecret)
		case "ListConfigurations", "GetConfiguration", "RefreshSecret", "ResolveConfiguration":
			body = ""
		}
		calls = append(calls, call{method: method, body: body})
	}
	message := quote("JWT signature invalid " + tokenHeader + ".e30.x")
	calls = append(calls,
		call{method: "RenderPage", body: user(`,"organizations":[""]`) + `,"onError":"ON_ERROR_PAGE"`},
		call{method: "ReportSignInFailure", body: `"kind":"error","message":` + message + `,"onError":"ON_ERROR_PAGE"`},
	)
	for _, c := range signInCases() {
		var keys []string
		switch c.caller {
		case "":
		case "-":
			keys = []string{}
		default:
			keys = strings.Split(c.caller, "|")
		}
		calls = append(calls, call{method: "MintToken", name: c.conf, body: c.body, keys: keys})
	}
	for _, r := range refusalCases() {
		r.call.method = "RenderPage"
		r.call.body = strings.TrimPrefix(r.call.body+`,"onError":"ON_ERROR_PAGE"`, ",")
		calls = append(calls, r.call)
	}
	return calls
}

// get returns the body of a page or the text of the error.
func (s *server) get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := roundTrip(r)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// redirectConsole redirects os.Stdout, os.Stderr and the standard logger to a file until the test
// ends. It returns a function that reads the file.
func redirectConsole(t *testing.T) func() string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, logger := os.Stdout, os.Stderr, log.Writer()
	os.Stdout, os.Stderr = f, f
	log.SetOutput(f)
	t.Cleanup(func() {
		os.Stdout, os.Stderr = stdout, stderr
		log.SetOutput(logger)
		_ = f.Close()
	})
	return func() string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
}

// TestExplanationsLeakNothing checks that the explanation of a decision has no secret, key or
// token.
func TestExplanationsLeakNothing(t *testing.T) {
	snapshot := parse(t, configuration)
	var explanations strings.Builder
	for _, c := range signInCases() {
		r, ok := call{name: c.conf, method: "MintToken", body: c.body}.request(t).(*pb.MintTokenRequest)
		if !ok {
			t.Fatal("the request is not a MintTokenRequest")
		}
		explanation, err := service.Explain(snapshot, "storefront", r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&explanations, "%+v\n", explanation)
	}
	for _, leak := range search(map[string]string{"explanations": explanations.String()}, canaryForms()) {
		t.Error(leak)
	}
}
