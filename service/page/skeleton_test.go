package page

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

// all returns every skeleton by name.
func (d documents) all() map[string]skeleton {
	all := map[string]skeleton{"plain": d.plain, "return_to": d.returnTo}
	for i, problem := range d.problems {
		all["problem "+string('0'+rune(i))] = problem
	}
	return all
}

// TestSkeletons holds what read and fill rely on, for every language: a request's values have exactly one place, a
// page's can all be read from its plain document, and there no value runs into the text after it.
func TestSkeletons(t *testing.T) {
	press, err := thePress()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range press.editions {
		for _, d := range []documents{e.named, e.drawn} {
			for name, s := range d.all() {
				count := map[field]int{}
				for i, hole := range s.holes {
					count[hole]++
					if next := s.literals[i+1]; name == "plain" && count[hole] == 1 && !strings.HasPrefix(next, `"`) && !strings.HasPrefix(next, "<") {
						t.Errorf("%s: the value of field %d runs into %.20q", e.texts.Language, hole, next)
					}
				}
				want := map[string][2]int{"plain": {1, 0}, "return_to": {1, 1}}[name]
				if got := [2]int{count[fieldToken], count[fieldReturnTo]}; got != want {
					t.Errorf("%s, %s: token and return_to occur %d times, want %d", e.texts.Language, name, got, want)
				}
				for hole := range count {
					if hole < fieldToken && !slices.Contains(d.plain.holes, hole) {
						t.Errorf("%s, %s: field %d isn't in the plain page", e.texts.Language, name, hole)
					}
				}
			}
		}
		if slices.Contains(e.named.plain.holes, fieldLogo) || !slices.Contains(e.drawn.plain.holes, fieldLogo) {
			t.Errorf("%s: the logo isn't where it belongs", e.texts.Language)
		}
	}
}

// checkPrepared compares every document of a page with what the templates make of the same settings directly.
func checkPrepared(t *testing.T, settings Settings, frame Frame) {
	t.Helper()
	p, err := New(settings, frame)
	if err != nil {
		return // what is refused has tests of its own
	}
	press, err := thePress()
	if err != nil {
		t.Fatal(err)
	}
	settings, frame = settings.withDefaults(), frame.withDefaults()
	tag := language.Make(settings.Language)
	v := newView(settings, frame, tag, press.edition(tag).texts)
	v.Token = "a.b.c"
	compare := func(name string, got []byte) {
		t.Helper()
		want, err := press.print(name, v)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("of %+v, %+v\ngot  %s\nwant %s", settings, frame, got, want)
		}
	}
	compare("sign-in", p.Render(v.Token, ""))
	v.ReturnTo = "/hc?a=1&b=2"
	compare("sign-in", p.Render(v.Token, v.ReturnTo))
	for i, said := range v.Texts.Problems {
		v.Title, v.Message = said.Heading, said.Text
		compare("problem", p.RenderProblem(Problem(i)))
	}
}

// awkward are names and texts that could be taken for another piece of the page.
var awkward = []string{
	"Acme", "a", "to", "en", "#1f73b7", "4", "A+B", "Acme <&> \"Söhne\"", "</title><p>", "Signing you in to Acme",
	"{brand}", "{{.Token}}", marks, fieldBrand.mark(), "isn't working", "é\u200D漢字", "`=/'", "&amp;", " Acme ",
}

func TestPreparedIsWhatTheTemplateWrites(t *testing.T) {
	for _, text := range awkward {
		frame := acme()
		frame.Brand, frame.Scope = text, text
		frame.Action += "?" + text
		for _, logo := range []string{"", "data:image/png;base64,iVBORw0KGgo+/w=="} {
			checkPrepared(t, Settings{Logo: logo}, frame)
			checkPrepared(t, Settings{Logo: logo, Language: "de-AT", Title: text, Message: text, Button: text, Color: "#FFD400"}, frame)
			checkPrepared(t, Settings{Logo: logo, Title: text}, acme())
		}
	}
}

func FuzzPrepared(f *testing.F) {
	for i, text := range awkward {
		f.Add(text, awkward[len(awkward)-1-i], text, text)
	}
	f.Add(" ", " ", "0", "0")
	f.Add("0", "0", "", "0")
	f.Add("0", "0", "0", "\a")
	f.Add("\xc9", "0", "0", "0")
	f.Fuzz(func(t *testing.T, brand, title, scope, query string) {
		frame := acme()
		frame.Brand, frame.Scope = brand, scope
		frame.Action += "?" + query
		checkPrepared(t, Settings{Title: title}, frame)
		checkPrepared(t, Settings{Message: title, Logo: "data:image/png;base64,iVBORw0KGgo+/w=="}, frame)
	})
}

func TestReadRefuses(t *testing.T) {
	s := cut(`<a b="` + fieldBrand.mark() + `">` + fieldToken.mark() + `<c d="` + fieldBrand.mark() + `">`)
	v, err := s.read(`<a b="Acme"><c d="Acme">`)
	if err != nil || v.of(fieldBrand) != "Acme" {
		t.Errorf("read %v, %v", v, err)
	}
	if got, want := string(s.fill(&v, "<>")), `<a b="Acme">&lt;&gt;<c d="Acme">`; got != want {
		t.Errorf("filled in: got %s, want %s", got, want)
	}
	for name, html := range map[string]string{
		"empty":             ``,
		"other beginning":   `<b b="Acme"><c d="Acme">`,
		"other middle":      `<a b="Acme"><d d="Acme">`,
		"other end":         `<a b="Acme"><c d="Acme"/>`,
		"something after":   `<a b="Acme"><c d="Acme">.`,
		"cut off":           `<a b="Acme"><c d="Acme`,
		"two values":        `<a b="Acme"><c d="Acne">`,
		"a request's value": `<a b="Acme">x<c d="Acme">`,
	} {
		if v, err := s.read(html); err == nil || v != (values{}) {
			t.Errorf("%s: read %v, %v", name, v, err)
		}
	}
}

// TestEditions holds that a language of the catalogue reaches the pages of those who read it, with names in place.
func TestEditions(t *testing.T) {
	other := english
	other.Language, other.NoScript = language.German, "{brand}{brand} kennt {brand}."
	press, err := newPress([]texts{english, other})
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]language.Tag{"en": language.English, "de-AT": language.German, "fr": language.English} {
		if got := press.edition(language.Make(tag)).texts.Language; got != want {
			t.Errorf("%s is served in %s, want %s", tag, got, want)
		}
	}
	german := press.editions[1]
	html, err := press.print("sign-in", newView(Settings{}.withDefaults(), acme(), language.German, german.texts))
	if err != nil {
		t.Fatal(err)
	}
	v, err := german.named.plain.read(html)
	if err != nil {
		t.Fatal(err)
	}
	if page := string(german.named.plain.fill(&v, "")); page != html || !strings.Contains(page, "AcmeAcme kennt Acme.") {
		t.Errorf("got %s", page)
	}
}
