package service_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/grpclog"
)

// TestMain runs the tests and then searches everything that their servers have written for secrets,
// API keys and issued tokens.
func TestMain(m *testing.M) {
	// Without this, the libraries log to standard error, and the log would not be searched.
	grpclog.SetLoggerV2(
		grpclog.NewLoggerV2WithVerbosity(&recorder.libraries, &recorder.libraries, &recorder.libraries, 99))
	code := m.Run()
	if leaks := recorder.leaks(); len(leaks) > 0 && code == 0 {
		fmt.Fprintln(os.Stderr,
			"the servers of these tests have written secrets, keys or tokens:\n"+strings.Join(leaks, "\n"))
		code = 1
	}
	if found := invalidRecords(strings.Join(recorder.texts["audit"], "")); len(found) > 0 {
		fmt.Fprintln(os.Stderr,
			"records that audit/schema.json doesn't allow:\n"+strings.Join(found[:min(len(found), 10)], "\n"))
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // this is the main function of the tests
}

// recorder collects everything that the servers of all tests write.
var recorder = &leakRecorder{texts: make(map[string][]string), tokens: make(map[string]bool)}

type leakRecorder struct {
	libraries buffer

	mu     sync.Mutex
	texts  map[string][]string // by the kind of the text
	tokens map[string]bool
}

// tokenPattern matches a signed token. It also matches the tokens of the sandbox and those that the
// tests forge.
var tokenPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}`)

// recordTokens collects the tokens of a successful answer. Only such an answer may have tokens.
func (r *leakRecorder) recordTokens(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, token := range tokenPattern.FindAllString(text, -1) {
		r.tokens[token] = true
	}
}

// record keeps a text that must not have tokens.
func (r *leakRecorder) record(kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts[kind] = append(r.texts[kind], text)
}

// recordServer records the log and the audit log of a server. It also records its metrics and its
// readiness, unless the server has stopped.
func (r *leakRecorder) recordServer(s *server) {
	r.record("log", s.Log.String())
	r.record("audit", s.Audit.String())
	for _, path := range []string{"/metrics", "/readyz"} {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Ops+path, nil)
		if err != nil {
			continue
		}
		res, err := http.DefaultClient.Do(request)
		if err != nil {
			continue // the server has stopped
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		r.record(path, string(b))
	}
}

// leaks returns a description of each secret, key or token that is in a recorded text.
func (r *leakRecorder) leaks() (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := canaryForms()
	for token := range r.tokens {
		// A token is worthless without its signature. All tokens have the same header, so searching
		// for the header in every encoding finds each whole token.
		names["a token's signature"] = append(names["a token's signature"], token[strings.LastIndex(token, ".")+1:])
	}
	texts := map[string]string{"libraries' log": r.libraries.String()}
	for kind, all := range r.texts {
		texts[kind] = strings.Join(all, "\n")
	}
	return search(texts, names)
}

// search returns a description of each canary that is in one of the texts, in any of its forms.
func search(texts map[string]string, names map[string][]string) (found []string) {
	for kind, text := range texts {
		for name, forms := range names {
			if i := slices.IndexFunc(forms, func(form string) bool { return strings.Contains(text, form) }); i >= 0 {
				at := strings.Index(text, forms[i])
				found = append(found,
					fmt.Sprintf("%s in %s: …%s…", name, kind, text[max(0, at-60):min(len(text), at+len(forms[i])+20)]))
			}
		}
	}
	slices.Sort(found)
	return found
}

// canaryForms returns the texts that must not be written anywhere, by name. Each has all forms in
// which it could be written.
func canaryForms() map[string][]string {
	out := make(map[string][]string)
	for _, secret := range []string{customersSecret, staffSecret, nextSecret, "MARKER-too-short"} {
		out["the secret "+secret] = encodings(secret)
	}
	for _, key := range []string{"dmk_everything", "dmk_storefront", "dmk_slow", "dmk_nobody", "dmk_other"} {
		out["the key "+key] = encodings(key)
	}
	out["a token"] = encodings(tokenHeader)
	return out
}

// tokenHeader is the first part of every token.
var tokenHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`))

// encodings returns the forms of a text from which it can be recovered: unchanged, in hexadecimal,
// and in both alphabets of base64 at each position in a longer text.
func encodings(text string) []string {
	digits := hex.EncodeToString([]byte(text))
	forms := []string{text, digits, strings.ToUpper(digits)}
	for before := range 3 {
		// The first and the last characters also depend on the text around, so they are cut off.
		padded := append(make([]byte, before), text...)
		first, last := (before*8+5)/6, len(padded)*8/6
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, alphabet.EncodeToString(padded)[first:last])
		}
	}
	return slices.Compact(forms)
}
