package page

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

// all returns the segments of each kind of page by name.
func (d pageSegments) all() map[string]segments {
	all := map[string]segments{"plain": d.plain, "return_to": d.returnTo}
	for i, problem := range d.problems {
		all["problem "+string('0'+rune(i))] = problem
	}
	return all
}

// TestSegments checks, for every language, what read and fill depend on. A request's value occurs
// once. All of a page's values can be read from its plain page, where no value runs into the text
// after it.
func TestSegments(t *testing.T) {
	templates, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range templates.localized {
		for _, d := range []pageSegments{e.withName, e.withLogo} {
			for name, s := range d.all() {
				count := map[field]int{}
				for i, f := range s.fields {
					count[f]++
					if next := s.literals[i+1]; name == "plain" && count[f] == 1 && !strings.HasPrefix(next, `"`) &&
						!strings.HasPrefix(next, "<") {
						t.Errorf("%s: the value of field %d runs into %.20q", e.texts.Language, f, next)
					}
				}
				want := map[string][2]int{"plain": {1, 0}, "return_to": {1, 1}}[name]
				if got := [2]int{count[fieldToken], count[fieldReturnTo]}; got != want {
					t.Errorf("%s, %s: token and return_to occur %d times, want %d", e.texts.Language, name, got, want)
				}
				for f := range count {
					if f < fieldToken && !slices.Contains(d.plain.fields, f) {
						t.Errorf("%s, %s: field %d isn't in the plain page", e.texts.Language, name, f)
					}
				}
			}
		}
		if slices.Contains(e.withName.plain.fields, fieldLogo) || !slices.Contains(e.withLogo.plain.fields, fieldLogo) {
			t.Errorf("%s: the logo isn't where it belongs", e.texts.Language)
		}
	}
}

// checkPrepared compares each kind of page with what the templates render directly from the same
// settings.
func checkPrepared(t *testing.T, settings Settings, frame Frame) {
	t.Helper()
	p, err := New(settings, frame)
	if err != nil {
		return // other tests cover invalid settings
	}
	templates, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	settings, frame = settings.withDefaults(), frame.withDefaults()
	tag := language.Make(settings.Language)
	v := newView(settings, frame, tag, templates.localize(tag).texts)
	v.Token = "a.b.c"
	compare := func(name string, got []byte) {
		t.Helper()
		want, err := templates.execute(name, v)
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
	for i, text := range v.Texts.Problems {
		v.Title, v.Message = text.Heading, text.Text
		compare("problem", p.RenderProblem(Problem(i)))
	}
}

// ambiguousTexts are names and texts that could be mistaken for other parts of the page.
var ambiguousTexts = []string{
	"Acme", "a", "to", "en", "#1f73b7", "4", "A+B", "Acme <&> \"Söhne\"", "</title><p>", "Signing you in to Acme",
	"{brand}", "{{.Token}}", placeholderPrefix, fieldBrand.placeholder(), "isn't working", "é\u200D漢字", "`=/'",
	"&amp;", " Acme ",
}

func TestPreparedIsWhatTheTemplateWrites(t *testing.T) {
	for _, text := range ambiguousTexts {
		frame := acme()
		frame.Brand, frame.Scope = text, text
		frame.Action += "?" + text
		for _, logo := range []string{"", "data:image/png;base64,iVBORw0KGgo+/w=="} {
			checkPrepared(t, Settings{Logo: logo}, frame)
			checkPrepared(t, Settings{
				Logo:     logo,
				Language: "de-AT",
				Title:    text,
				Message:  text,
				Button:   text,
				Color:    "#FFD400",
			}, frame)
			checkPrepared(t, Settings{Logo: logo, Title: text}, acme())
		}
	}
}

func FuzzPrepared(f *testing.F) {
	for i, text := range ambiguousTexts {
		f.Add(text, ambiguousTexts[len(ambiguousTexts)-1-i], text, text)
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
	brand, token := fieldBrand.placeholder(), fieldToken.placeholder()
	s := split(`<a b="` + brand + `">` + token + `<c d="` + brand + `">`)
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

// TestLocalizedTemplates checks that a page uses the catalogue's language nearest to its own, with
// the brand's name inserted.
func TestLocalizedTemplates(t *testing.T) {
	other := english
	other.Language, other.NoScript = language.German, "{brand}{brand} kennt {brand}."
	templates, err := compile([]texts{english, other})
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]language.Tag{
		"en":    language.English,
		"de-AT": language.German,
		"fr":    language.English,
	} {
		if got := templates.localize(language.Make(tag)).texts.Language; got != want {
			t.Errorf("%s is served in %s, want %s", tag, got, want)
		}
	}
	german := templates.localized[1]
	html, err := templates.execute("sign-in", newView(Settings{}.withDefaults(), acme(), language.German, german.texts))
	if err != nil {
		t.Fatal(err)
	}
	v, err := german.withName.plain.read(html)
	if err != nil {
		t.Fatal(err)
	}
	if page := string(german.withName.plain.fill(&v, "")); page != html ||
		!strings.Contains(page, "AcmeAcme kennt Acme.") {
		t.Errorf("got %s", page)
	}
}
