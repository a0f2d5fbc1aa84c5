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

// A search that finds nothing is worth something only if it finds what is there: each canary, in
// each encoding, wherever in a longer text it stands.
func TestCanaryIsFoundWherePlanted(t *testing.T) {
	canary := canaries()
	token := tokenHeader + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iat":1}`)) + "." + strings.Repeat(
		"s1gn-_tu", 5) + "re_"
	plants := map[string]string{"a token": token, "the key dmk_slow": "dmk_slow"}
	for _, secret := range []string{customersSecret, staffSecret, nextSecret} {
		plants["the secret "+secret] = secret
	}
	for name, text := range plants {
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
				for kind, e := range map[string]*base64.Encoding{"std": base64.StdEncoding, "raw std": base64.RawStdEncoding, "url": base64.URLEncoding, "raw url": base64.RawURLEncoding} {
					written[fmt.Sprintf("base64 %s, %d before, %d after", kind, before, after)] = e.EncodeToString(
						around)
				}
			}
		}
		for how, w := range written {
			found := search(map[string]string{"a log": w}, map[string][]string{name: canary[name]})
			if len(found) != 1 || !strings.HasPrefix(found[0], name+" in a log") {
				t.Errorf("%s, %s, isn't found: %v", name, how, found)
			}
		}
	}
	w := &witness{texts: make(map[string][]string), tokens: make(map[string]bool)}
	w.answered(`{"token":"` + token + `"}`)
	w.wrote("log", "signed with "+token[strings.LastIndex(token, ".")+1:])
	if found := w.leaks(); len(found) != 1 || !strings.HasPrefix(found[0], "a token's signature in log") {
		t.Errorf("a signature isn't found: %v", found)
	}
	w.texts = map[string][]string{"log": {"nothing", "configurations/acme-customers", "storefront dmk_"}}
	if found := w.leaks(); len(found) > 0 {
		t.Errorf("found where nothing is: %v", found)
	}
	_, _ = w.libraries.Write([]byte("transport: authorization: Bearer dmk_nobody"))
	if found := w.leaks(); len(found) != 1 {
		t.Errorf("not found in what libraries log: %v", found)
	}
}

// Everything at once, at the log's most talkative: every decision of the transports' table, every
// refusal as a page, what a broken store, clock or record brings about, what was never a request.
// Then all that came out, except what a caller may have, is searched for every secret, key and
// token in every form.
func TestNothingLeaks(t *testing.T) {
	console := redirectConsole(t)
	var (
		g      gate
		w      failing
		c      clock
		tokens []string
		errs   bytes.Buffer
	)
	s := start(t, settings{configuration: configuration, secrets: g.between, audit: &w, now: c.now, grace: time.Second})
	note := func(r reply) {
		text, err := protojson.Marshal(r.message)
		if err != nil {
			t.Error(err)
		}
		found := aToken.FindAllString(string(text)+string(r.body), -1)
		tokens = append(tokens, found...)
		if len(found) == 0 {
			fmt.Fprintln(&errs, r.answer.message, r.info, r.field, r.header, string(r.body))
		} else {
			fmt.Fprintln(&errs, r.header) // of a success too: no token in a header
		}
	}
	calls := leakCalls()
	run := func() {
		eachTransport(t, func(t *testing.T, d transport) {
			for _, c := range calls {
				note(d.send(t.Context(), t, s, c))
			}
		})
	}
	run()
	if len(tokens) < 20 {
		t.Fatalf("only %d tokens were minted", len(tokens))
	}
	calls = calls[:10]
	for name, value := range map[string]any{"secret": customersSecret, "token": tokens[0], "struct": marked{tokens[1], "dmk_everything"}, "error": errors.New(tokens[2])} {
		t.Log("panicking with a", name)
		g.shut(func() { panic(value) })
		run()
		_ = s.get(t, s.Ops+"/readyz")
		_ = s.get(t, s.Ops+"/metrics")
		g.shut(nil)
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
	for _, body := range []string{`{"user":{"email":"` + tokens[0] + `"}`, `{"` + tokens[0] + `":1}`, `{"attempt":` + tokens[0] + `}`, `{"secretVersion":"` + customersSecret + `"}`, `{"user":{"role":"dmk_everything"}}`,
		`{"user":{"email":"ana@customer.example","externalId":"dmk_everything"}}`, `{"user":{"email":"ana@customer.example","externalId":` + quote(tokenHeader+".e30.x") + `}}`} {
		_, answer := s.wire(t, post(mintPath, asEverything+asJSON, body))
		errs.Write(answer)
	}
	for _, target := range []string{"/dmk_everything", "/v1/configurations/" + tokens[0], "/v1/configurations?pageToken=" + tokens[0], mintPath + "?key=dmk_everything"} {
		res, answer := s.wire(t, request("GET", target, asEverything))
		fmt.Fprintln(&errs, res.Header, string(answer))
	}

	texts := map[string]string{
		"log": s.Log.String(), "audit": s.Audit.String(), "answers": errs.String(), "metrics": s.get(t, s.Ops+"/metrics"), "readyz": s.get(t, s.Ops+"/readyz"),
		"health": s.get(t, s.Ops+"/healthz"), "libraries": suite.libraries.String(),
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	texts["the service, printed"] = fmt.Sprintf("%+v %#v", s.Service, s.Ring)
	texts["log at the end"], texts["console"] = s.Log.String(), console()
	names := canaries()
	for _, token := range tokens {
		names["a token"] = append(names["a token"], encodings(token)...)
		names["a signature"] = append(names["a signature"], encodings(token[strings.LastIndex(token, ".")+1:])...)
	}
	for _, leak := range search(texts, names) {
		t.Error(leak)
	}
	for kind, text := range texts {
		if len(text) < 3 && kind != "console" {
			t.Errorf("there is no %s to search", kind)
		}
	}
}

// leakCalls are the calls of the transports' table and of the refusals, by each method. The first
// ten are of different kinds.
func leakCalls() (calls []call) {
	for _, method := range []string{"MintToken", "RenderForm", "RenderPage", "InspectToken", "ListConfigurations", "GetConfiguration", "RefreshSecret", "ResolveConfiguration"} {
		body := user("")
		switch method {
		case "InspectToken":
			body = `"token":` + quote(tokenHeader+".e30."+customersSecret)
		case "ListConfigurations", "GetConfiguration", "RefreshSecret", "ResolveConfiguration":
			body = ""
		}
		calls = append(calls, call{method: method, body: body})
	}
	calls = append(calls, call{method: "RenderPage", body: user(`,"phone":"1"`) + `,"onError":"ON_ERROR_PAGE"`}, call{
		method: "ReportSignInFailure",
		body: `"kind":"error","message":` + quote(
			"JWT signature invalid "+tokenHeader+".e30.x") + `,"onError":"ON_ERROR_PAGE"`,
	})
	for _, c := range cases() {
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
	for _, r := range refusals() {
		r.call.method = "RenderPage"
		r.call.body = strings.TrimPrefix(r.call.body+`,"onError":"ON_ERROR_PAGE"`, ",")
		calls = append(calls, r.call)
	}
	return calls
}

// get reads a page, whatever comes of it.
func (s *server) get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := exchange(r)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// redirectConsole takes what is written to the standard streams by their names, and returns how to
// read it.
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

// What explains a decision to an operator shows the rule, and nothing of the person's credentials
// or the configuration's.
func TestExplanationsLeakNothing(t *testing.T) {
	snapshot := parse(t, configuration)
	var said strings.Builder
	for _, c := range cases() {
		r, ok := call{name: c.conf, method: "MintToken", body: c.body}.request(t).(*pb.MintTokenRequest)
		if !ok {
			t.Fatal("no sign-in request")
		}
		explanation, err := service.Explain(snapshot, "storefront", r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&said, "%+v\n", explanation)
	}
	for _, leak := range search(map[string]string{"explanations": said.String()}, canaries()) {
		t.Error(leak)
	}
}
