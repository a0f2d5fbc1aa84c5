package page

import (
	"fmt"
	"html/template"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/bidi"
)

// fields returns every text by the path of its field.
func (t texts) fields() map[string]string {
	fields := map[string]string{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			fields[path] = v.String()
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type() != reflect.TypeFor[texts]() || v.Field(i).Kind() != reflect.Struct {
					walk(path+"."+v.Type().Field(i).Name, v.Field(i))
				}
			}
		case reflect.Array:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		case reflect.Bool:
		default:
			panic("a kind this test doesn't know: " + v.Kind().String())
		}
	}
	walk("", reflect.ValueOf(t))
	return fields
}

// TestCatalogue checks the texts of every language. Each text exists, contains no HTML, has the
// brand's name as often as the English text, has about the same length, and uses the right script.
func TestCatalogue(t *testing.T) {
	reference := english.fields()
	if len(reference) != 14+2*int(ProblemLoop) {
		t.Fatalf("english has %d texts: %v", len(reference), reference)
	}
	for _, texts := range catalogue {
		t.Run(texts.Language.String(), func(t *testing.T) {
			right, left := 0, 0
			for path, text := range texts.fields() {
				checkTranslation(t, path, text, reference[path])
				r, l := countDirections(strings.ReplaceAll(text, "{brand}", ""))
				right, left = right+r, left+l
			}
			if rightToLeft := right > left; rightToLeft != texts.RightToLeft {
				t.Errorf("%d letters are written from right to left and %d from left to right, but RightToLeft is %v",
					right, left, texts.RightToLeft)
			}
			if right > 0 && left > 0 {
				t.Errorf("%d letters go the other way", min(right, left))
			}
		})
	}
}

func checkTranslation(t *testing.T, path, text, english string) {
	t.Helper()
	if err := checkText(text, maxMessage); err != nil || text == "" || text != strings.TrimSpace(text) {
		t.Errorf("%s is empty or unfit: %q, %v", path, text, err)
	}
	if strings.ContainsAny(text, "<>&") || html.UnescapeString(text) != text {
		t.Errorf("%s has HTML in it: %s", path, text)
	}
	if got, want := strings.Count(text, "{brand}"), strings.Count(english, "{brand}"); got != want {
		t.Errorf("%s has the brand's name in %d places, want %d: %s", path, got, want, text)
	}
	if strings.ContainsAny(strings.ReplaceAll(text, "{brand}", ""), "{}") {
		t.Errorf("%s has another placeholder: %s", path, text)
	}
	// Texts in Han and kana need fewer characters.
	low, n := 0.4, 0.0
	for _, r := range text {
		n++
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) {
			low = 0.2
		}
	}
	if ratio := n / float64(utf8.RuneCountInString(english)); ratio < low || ratio > 2 {
		t.Errorf("%s is %.1f times as long as in English: %s", path, ratio, text)
	}
	if strings.ContainsAny(lastRune(english), ".") != strings.ContainsAny(lastRune(text), ".。।") {
		t.Errorf("%s doesn't end as a sentence, or a heading, does: %s", path, text)
	}
}

func lastRune(text string) string {
	r, _ := utf8.DecodeLastRuneInString(text)
	return string(r)
}

// countDirections counts the right-to-left letters and the left-to-right letters.
func countDirections(text string) (right, left int) {
	for _, r := range text {
		properties, _ := bidi.LookupRune(r)
		switch properties.Class() {
		case bidi.R, bidi.AL:
			right++
		case bidi.L:
			left++
		}
	}
	return right, left
}

// TestLanguages checks the list of languages, and that it includes every catalogue file.
func TestLanguages(t *testing.T) {
	if got, want := fmt.Sprint(Languages()), "[en de fr es pt-BR ja ar]"; got != want {
		t.Errorf("the languages are %s, want %s", got, want)
	}
	files, err := filepath.Glob("catalogue_*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tag := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(file, "catalogue_"), ".go"), "_", "-")
		if tag == "test" {
			continue
		}
		listed := false
		for _, texts := range catalogue {
			listed = listed || texts.Language == language.Make(tag)
		}
		if !listed {
			t.Errorf("%s isn't in the catalogue", file)
		}
	}
	if len(files) != len(catalogue)+1 {
		t.Errorf("%d languages in %d files", len(catalogue), len(files)-1)
	}
}

// TestMatching checks which language a page uses for a requested language, and its lang and dir
// attributes.
func TestMatching(t *testing.T) {
	for _, test := range []struct{ asked, lang, dir string }{
		{"", "en", "ltr"},
		{"en-AU", "en-AU", "ltr"},
		{"de", "de", "ltr"},
		{"de-CH", "de-CH", "ltr"},
		{"gsw", "de", "ltr"}, // Swiss German gets German
		{"fr-CA", "fr-CA", "ltr"},
		{"es-419", "es-419", "ltr"},
		{"pt", "pt", "ltr"},
		{"pt-BR", "pt-BR", "ltr"},
		{"pt-PT", "pt-PT", "ltr"},
		{"ja-JP", "ja-JP", "ltr"},
		{"ar-EG", "ar-EG", "rtl"},
		{"he", "en", "ltr"}, // the same direction isn't enough to get Arabic
		{"zh-Hant-TW", "en", "ltr"},
		{"tlh", "en", "ltr"},
		{"und", "en", "ltr"}, // an undetermined language isn't valid in lang
	} {
		p := mustNew(t, Settings{Language: test.asked}, acme())
		for _, page := range [][]byte{p.Render("a.b.c", ""), p.RenderProblem(ProblemFailed)} {
			root := findAll(t, page, "html")[0]
			if lang, dir := attribute(root, "lang"), attribute(root, "dir"); lang != test.lang || dir != test.dir {
				t.Errorf("asked for %q: lang %s, dir %s, want %s, %s", test.asked, lang, dir, test.lang, test.dir)
			}
		}
	}
}

// TestGoldenLanguages compares the page and every problem page in each language with a golden file.
// The parts that all pages have in common are left out.
func TestGoldenLanguages(t *testing.T) {
	for _, tag := range Languages() {
		p := mustNew(t, Settings{Language: tag}, acme())
		page := string(p.Render("a.b.c", "/hc"))
		for problem := range problems {
			page += string(p.RenderProblem(problem))
		}
		page = strings.NewReplacer(style, "…", script, "…", template.HTMLEscapeString(policy), "…").Replace(page)
		golden(t, "language_"+tag+".html", []byte(page))
	}
}

// TestIsolated checks that a brand's name in an Arabic text keeps the punctuation at its ends in
// place.
func TestIsolated(t *testing.T) {
	frame := acme()
	frame.Brand = "Acme (24/7)!"
	for tag, want := range map[string]string{"ar": "\u2068Acme (24/7)!\u2069", "en": " Acme (24/7)!"} {
		page := mustNew(t, Settings{Language: tag}, frame).Render("a.b.c", "")
		for _, name := range []string{"title", "h1", "button"} {
			if got := visibleText(findAll(t, page, name)[0]); !strings.HasSuffix(got, want) {
				t.Errorf("%s: <%s> reads %q", tag, name, got)
			}
		}
	}
}
