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

// TestMain searches, when every test has run, all that every server of them has written anywhere
// for what belongs nowhere: secrets, API keys, and the tokens that were handed out.
func TestMain(m *testing.M) {
	// What the libraries log goes to standard error otherwise, where nobody looks.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2WithVerbosity(&suite.libraries, &suite.libraries, &suite.libraries, 99))
	code := m.Run()
	if leaks := suite.leaks(); len(leaks) > 0 && code == 0 {
		fmt.Fprintln(os.Stderr,
			"what the servers of these tests wrote holds what must not leave:\n"+strings.Join(leaks, "\n"))
		code = 1
	}
	if found := misfits(strings.Join(suite.texts["audit"], "")); len(found) > 0 {
		fmt.Fprintln(os.Stderr,
			"records that are not as audit/schema.json says:\n"+strings.Join(found[:min(len(found), 10)], "\n"))
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // this is the tests' main
}

// suite is the tests' memory of everything that servers wrote.
var suite = &witness{texts: make(map[string][]string), tokens: make(map[string]bool)}

type witness struct {
	libraries buffer

	mu     sync.Mutex
	texts  map[string][]string // by what kind of text it is
	tokens map[string]bool
}

// aToken is a signed one. The sandbox's own and the tests' forgeries look alike.
var aToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}`)

// answered takes the tokens out of a successful answer, which is where they may be.
func (w *witness) answered(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, token := range aToken.FindAllString(text, -1) {
		w.tokens[token] = true
	}
}

// wrote keeps a text in which none of them may be.
func (w *witness) wrote(kind, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts[kind] = append(w.texts[kind], text)
}

// keep takes everything that a server has written, and what it tells operators where it still does.
func (w *witness) keep(s *server) {
	w.wrote("log", s.Log.String())
	w.wrote("audit", s.Audit.String())
	for _, path := range []string{"/metrics", "/readyz"} {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Ops+path, nil)
		if err != nil {
			continue
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			continue // it has been stopped
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		w.wrote(path, string(b))
	}
}

// leaks lists what was found of the canaries, and where.
func (w *witness) leaks() (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := canaries()
	for token := range w.tokens {
		// The signature is what makes a token one. The header, which is the same in all, is
		// searched for in every encoding, which finds whole ones.
		names["a token's signature"] = append(names["a token's signature"], token[strings.LastIndex(token, ".")+1:])
	}
	texts := map[string]string{"libraries' log": w.libraries.String()}
	for kind, all := range w.texts {
		texts[kind] = strings.Join(all, "\n")
	}
	return search(texts, names)
}

// search looks for every form of every canary in every text.
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

// canaries are what must be found nowhere, by name, each in every form in which it could be
// written.
func canaries() map[string][]string {
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

// tokenHeader is what every token begins with.
var tokenHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`))

// encodings are the ways to write a text so that it can be had back: as it is, in hexadecimal, and
// in both alphabets of base64 wherever in a longer text it stands.
func encodings(text string) []string {
	digits := hex.EncodeToString([]byte(text))
	forms := []string{text, digits, strings.ToUpper(digits)}
	for before := range 3 {
		// Characters that also depend on the neighbours are cut off at both ends.
		padded := append(make([]byte, before), text...)
		first, last := (before*8+5)/6, len(padded)*8/6
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, alphabet.EncodeToString(padded)[first:last])
		}
	}
	return slices.Compact(forms)
}
