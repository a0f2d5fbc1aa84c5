package page

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// invalidKeys returns the keys that Check reports.
func invalidKeys(s Settings) []string {
	var paths []string
	s.Check(func(path, message string) {
		if message == "" {
			path += " without a message"
		}
		paths = append(paths, path)
	})
	return paths
}

func TestCheck(t *testing.T) {
	png := "data:image/png;base64,iVBORw0KGgo="
	for name, test := range map[string]struct {
		settings Settings
		invalid  []string
	}{
		"zero value": {Settings{}, nil},
		"all set": {
			Settings{"pt-BR", "Olá", "Um momento", "Continuar", "#00ff7F", png, "https://acme.com/login"},
			nil,
		},
		"script in the tag":    {Settings{Language: "zh-Hant-TW"}, nil},
		"made-up language":     {Settings{Language: "qq"}, []string{"language"}},
		"not a tag":            {Settings{Language: "english!"}, []string{"language"}},
		"POSIX locale":         {Settings{Language: "en_US"}, []string{"language"}},
		"endless tag":          {Settings{Language: "en" + strings.Repeat("-abcdefgh", 10)}, []string{"language"}},
		"short colour":         {Settings{Color: "#abc"}, []string{"color"}},
		"named colour":         {Settings{Color: "red"}, []string{"color"}},
		"colour with more":     {Settings{Color: `#1f73b7" onload="`}, []string{"color"}},
		"colour with line end": {Settings{Color: "#1f73b7\n"}, []string{"color"}},
		"longest title":        {Settings{Title: strings.Repeat("ü", 100)}, nil},
		"long texts": {
			Settings{
				Title:   strings.Repeat("t", 101),
				Message: strings.Repeat("m", 501),
				Button:  strings.Repeat("b", 61),
			},
			[]string{"title", "message", "button"},
		},
		"blank title":            {Settings{Title: "  "}, []string{"title"}},
		"control character":      {Settings{Message: "a\x07b"}, []string{"message"}},
		"line end":               {Settings{Message: "a\nb"}, []string{"message"}},
		"right-to-left override": {Settings{Button: "a\u202Eb"}, []string{"button"}},
		"isolate":                {Settings{Button: "a\u2066b"}, []string{"button"}},
		"zero width space":       {Settings{Title: "a\u200Bb"}, []string{"title"}},
		"line separator":         {Settings{Title: "a\u2028b"}, []string{"title"}},
		"noncharacters": {
			Settings{Title: "\uFDD0", Message: "\U0001FFFE", Button: "\uFFFF"},
			[]string{"title", "message", "button"},
		},
		"joiners":              {Settings{Title: "می\u200Cخواهم 👩\u200D🚀"}, nil},
		"emoji's selector":     {Settings{Title: "❤\uFE0F"}, nil},
		"soft hyphen":          {Settings{Title: "a\u00ADb"}, []string{"title"}},
		"vowel separator":      {Settings{Title: "a\u180Eb"}, []string{"title"}},
		"function application": {Settings{Title: "a\u2061b"}, []string{"title"}},
		"Hangul filler":        {Settings{Title: "a\u3164b"}, []string{"title"}},
		"annotation":           {Settings{Title: "a\uFFF9b"}, []string{"title"}},
		"language tag":         {Settings{Title: "a\U000E0001b"}, []string{"title"}},
		"bad UTF-8":            {Settings{Title: "a\xffb"}, []string{"title"}},
		"everything": {
			Settings{"!", "\x00", "\x00", "\x00", "!", "!", "!"},
			[]string{"language", "title", "message", "button", "color", "logo", "start"},
		},
	} {
		if got := invalidKeys(test.settings); !slices.Equal(got, test.invalid) {
			t.Errorf("%s: invalid keys %q, want %q", name, got, test.invalid)
		}
		if _, err := New(test.settings, acme()); (err != nil) != (test.invalid != nil) {
			t.Errorf("%s: New: %v", name, err)
		}
	}
}

// TestStart checks which targets of the start link are allowed.
func TestStart(t *testing.T) {
	for _, start := range []string{
		"", "/", "/login", "/login?from=help&x=%20#top", "/a//b", "/:8080", "https://acme.com",
		"https://acme.com:8443/a?b=c", "https://[2001:db8::1]/",
	} {
		if got := invalidKeys(Settings{Start: start}); got != nil {
			t.Errorf("%q is refused", start)
		}
		want := cmp.Or(start, "/")
		p := mustNew(t, Settings{Start: start}, acme())
		for name, page := range map[string][]byte{
			"sign-in": p.Render("a.b.c", "/"),
			"problem": p.RenderProblem(ProblemRefused),
		} {
			if links := findAll(t, page, "a"); len(links) != 1 || attribute(links[0], "href") != want ||
				visibleText(links[0]) != "Back to the start" {
				t.Errorf("%q, %s page: %d links, of which the first isn't to %s", start, name, len(links), want)
			}
		}
	}
	for _, start := range []string{
		"//evil.test", `/\evil.test`, `\evil.test`, "/\t/evil.test", "\t/", " /", "/ ", "login", "./login",
		"?a", "#a", ".",
		"http://acme.com", "HTTPS://acme.com", "https:", "https:/acme.com", "https:acme.com", "https://",
		"https://:443/", "https://u:p@acme.com", "https://acme.com\n",
		"javascript:alert(1)", "data:text/html,x", "mailto:a@acme.com", "/%zz", "/ü", `/"`, "/<",
		"/" + strings.Repeat("a", 2048), "/\x00", "/\xff",
	} {
		if got := invalidKeys(Settings{Start: start}); !slices.Equal(got, []string{"start"}) {
			t.Errorf("%q: invalid keys %q, want start", start, got)
		}
	}
	for _, page := range []*Page{Neutral("de"), Neutral("")} {
		if links := findAll(t, page.RenderProblem(ProblemFailed), "a"); len(links) != 1 ||
			attribute(links[0], "href") != "/" {
			t.Error("the page without a brand has no way out")
		}
	}
}

// addSource returns a change of a frame that adds a form-action source.
func addSource(source string) func(*Frame) {
	return func(f *Frame) { f.FormActionSources = append(f.FormActionSources, source) }
}

func TestFrame(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Frame)
		want   string // in the error; "" for none
	}{
		"as it is":             {func(*Frame) {}, ""},
		"no brand":             {func(f *Frame) { f.Brand = "" }, "brand name is empty"},
		"brand with a control": {func(f *Frame) { f.Brand = "A\u202Ecme" }, "brand name"},
		"no scope":             {func(f *Frame) { f.Scope = "" }, "scope"},
		"no action":            {func(f *Frame) { f.Action = "" }, "action"},
		"relative action":      {func(f *Frame) { f.Action = "/access/jwt" }, "action"},
		"script as action":     {func(f *Frame) { f.Action = "javascript:alert(1)" }, "action"},
		"user info":            {func(f *Frame) { f.Action = "https://u:p@acme.zendesk.com/access/jwt" }, "user info"},
		"fragment":             {func(f *Frame) { f.Action += "#a" }, "fragment"},
		"action outside": {
			func(f *Frame) { f.FormActionSources = f.FormActionSources[1:] },
			"not among the form-action sources",
		},
		"no sources": {func(f *Frame) { f.FormActionSources = nil }, "not among the form-action sources"},
		"sandbox": {func(f *Frame) {
			f.Action = "http://acme.localhost:8081/access/jwt"
			f.FormActionSources = []string{"http://acme.localhost:8081"}
		}, ""},
		"further directive":     {addSource("https://a.test; script-src *"), "form-action source"},
		"two in one":            {addSource("https://a.test https://b.test"), "form-action source"},
		"wildcard":              {addSource("https://*.zendesk.com"), "form-action source"},
		"keyword":               {addSource("'self'"), "form-action source"},
		"source with a path":    {addSource("https://a.test/"), "form-action source"},
		"IPv6":                  {addSource("http://[::1]:80"), "form-action source"},
		"strict-origin":         {func(f *Frame) { f.ReferrerPolicy = "strict-origin" }, ""},
		"other referrer policy": {func(f *Frame) { f.ReferrerPolicy = "unsafe-url" }, "referrer policy"},
		"limit of one":          {func(f *Frame) { f.LoopLimit = 1 }, "loop limit"},
		"negative limit":        {func(f *Frame) { f.LoopLimit = -1 }, "loop limit"},
		"window too short":      {func(f *Frame) { f.LoopWindow = time.Millisecond }, "loop window"},
		"window too long":       {func(f *Frame) { f.LoopWindow = 25 * time.Hour }, "loop window"},
	} {
		frame := acme()
		test.change(&frame)
		p, err := New(Settings{}, frame)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || p != nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
}

// TestNewReportsEverything checks that New reports errors of the settings and the frame together.
func TestNewReportsEverything(t *testing.T) {
	_, err := New(Settings{Color: "red"}, Frame{Brand: "Acme", Scope: "s", Action: "x", ReferrerPolicy: "x"})
	for _, want := range []string{"color", "action", "referrer policy"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from %v", want, err)
		}
	}
	if inner := errors.Unwrap(err); inner == nil {
		t.Error("the errors aren't wrapped")
	}
}
