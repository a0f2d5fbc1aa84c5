package page

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// form is the result of parsing a page.
type form struct {
	attributes map[string]string
	fields     map[string]string
	scripts    int
	elements   []string
}

// parse parses a page as a browser does and returns its only form.
func parse(t testing.TB, page []byte) form {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	f := form{fields: map[string]string{}}
	for node := range root.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		f.elements = append(f.elements, node.Data)
		attributes := map[string]string{}
		for _, a := range node.Attr {
			attributes[a.Key] = a.Val
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s> has the attribute %s, which the policy forbids", node.Data, a.Key)
			}
		}
		switch node.Data {
		case "form":
			if f.attributes != nil {
				t.Error("a second form")
			}
			f.attributes = attributes
		case "input":
			if _, twice := f.fields[attributes["name"]]; twice || attributes["type"] != "hidden" {
				t.Errorf("unexpected field %v", attributes)
			}
			f.fields[attributes["name"]] = attributes["value"]
		case "script":
			f.scripts++
		}
	}
	return f
}

// parsedValue returns a value as a browser reads it. A browser replaces NUL and invalid UTF-8 with
// U+FFFD.
func parsedValue(value string) string {
	var read strings.Builder
	for _, r := range value { // range yields U+FFFD for an invalid byte
		if r == 0 {
			r = '\uFFFD'
		}
		read.WriteRune(r)
	}
	return read.String()
}

func checkParsed(t *testing.T, p *Page, token, returnTo string) {
	t.Helper()
	got := parse(t, p.Render(token, returnTo))
	want := map[string]string{"jwt": parsedValue(token)}
	if returnTo != "" {
		want["return_to"] = parsedValue(returnTo)
	}
	if !maps.Equal(got.fields, want) {
		t.Errorf("fields\ngot  %q\nwant %q", got.fields, want)
	}
	harmless := parse(t, p.Render("token", strings.Repeat("/", min(1, len(returnTo)))))
	if !slices.Equal(got.elements, harmless.elements) {
		t.Errorf("the values changed the page's structure: %v", got.elements)
	}
}

// hostileValues are values that have broken pages elsewhere.
var hostileValues = []string{
	"",
	"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.c2ln",
	"/hc/en-us?query=a&b=%20#section",
	"https://acme.zendesk.com/agent/tickets/123?return_to=https://x.test/?a=1&amp;b=2",
	`"><script>alert(1)</script>`,
	`'><img src=x onerror=alert(1)>`,
	`" autofocus onfocus="alert(1)`,
	"`><svg/onload=alert(1)>",
	"</form><form action=//evil.test>",
	"</script><script>alert(1)</script>",
	"<!--", "-->", "<![CDATA[", "]]>", "<noscript>", "</noscript><script>", "<plaintext>",
	"&quot;", "&amp;quot;", "&#34;", "&#x22", "&notit;", "&", "&&", "&#0;", "&#13;",
	"javascript:alert(1)",
	"{{.Token}}", "{brand}", "${x}", "{{", "}}", "<%= x %>",
	"a\rb", "a\r\nb", "a\nb", "\n", "\r", "\t", "\v", "\f", "\x00", "a\x00b", "\x7f", "\x1b[31m",
	"\xff", "\xc0\xaf", "a\xe2\x82", "\xed\xa0\x80", "\uFFFD",
	"\u0085", "\u00A0", "\u2028", "\u2029", "\u202E", "\uFEFF", "\uFDD0", "\U0010FFFF", "Zoë 🏴‍☠️ 你好",
	" leading and trailing ",
	strings.Repeat("<\"&'>", 1000),
}

func TestRenderParsesBack(t *testing.T) {
	p := mustNew(t, Settings{}, acme())
	for i, value := range hostileValues {
		checkParsed(t, p, value, "")
		checkParsed(t, p, value, "/")
		checkParsed(t, p, "a.b.c", value)
		checkParsed(t, p, value, hostileValues[(i+7)%len(hostileValues)]) // two values that may interact
	}
}

func FuzzRender(f *testing.F) {
	for i, value := range hostileValues {
		f.Add(value, hostileValues[len(hostileValues)-1-i])
	}
	p := mustNew(f, Settings{}, acme())
	f.Fuzz(func(t *testing.T, token, returnTo string) { checkParsed(t, p, token, returnTo) })
}

// TestFixedPartsParseBack does the same for the values that come from the configuration and are
// escaped by html/template.
func TestFixedPartsParseBack(t *testing.T) {
	frame := acme()
	frame.Action = "https://acme.zendesk.com/access/jwt?brand_id=1&x=%22%3Ca%3E"
	frame.Scope = `configurations/a"b'<c>&amp;`
	frame.Brand = `Acme <&> "Söhne"`
	texts := Settings{
		Title:   `</title><script>alert(1)</script>`,
		Message: `<img src=x onerror=alert(1)> & {{.Token}}`,
		Button:  `"><b>`,
		Logo:    "data:image/png;base64,iVBORw0KGgo+/w==",
	}
	page := mustNew(t, texts, frame).Render("a.b.c", "/")
	got := parse(t, page)
	for name, want := range map[string]string{
		"action": frame.Action, "method": "post", "data-scope": frame.Scope,
		"data-loop-limit": "4", "data-loop-window": "60000",
	} {
		if got.attributes[name] != want {
			t.Errorf("%s is %q, want %q", name, got.attributes[name], want)
		}
	}
	if got.scripts != 1 {
		t.Errorf("%d scripts, want the page's own", got.scripts)
	}
	root, _ := html.Parse(bytes.NewReader(page))
	read := map[string]string{}
	for node := range root.Descendants() {
		switch {
		case node.Data == "title" || node.Data == "h1" || node.Data == "button" || node.Data == "img":
			if _, ok := read[node.Data]; !ok {
				read[node.Data] = visibleText(node)
			}
		}
	}
	for element, want := range map[string]string{
		"title": texts.Title, "h1": texts.Title, "button": texts.Button, "img": frame.Brand + " " + texts.Logo,
	} {
		if read[element] != want {
			t.Errorf("<%s> reads %q, want %q", element, read[element], want)
		}
	}
}

// findAll returns the elements with this name.
func findAll(t testing.TB, page []byte, name string) []*html.Node {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var found []*html.Node
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == name {
			found = append(found, node)
		}
	}
	return found
}

func attribute(node *html.Node, key string) string {
	for _, a := range node.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// visibleText returns what a user sees of an element at first: its text without hidden parts, or
// the image.
func visibleText(node *html.Node) string {
	if node.Type == html.TextNode {
		return node.Data
	}
	attributes := map[string]string{}
	for _, a := range node.Attr {
		attributes[a.Key] = a.Val
	}
	if _, hidden := attributes["hidden"]; hidden {
		return ""
	}
	if node.Data == "img" {
		return attributes["alt"] + " " + attributes["src"]
	}
	var text strings.Builder
	for child := range node.ChildNodes() {
		text.WriteString(visibleText(child))
	}
	return text.String()
}

// TestButton checks that the page works without scripts. The form has a submit button, and no
// control hides the form's submit method.
func TestButton(t *testing.T) {
	root, err := html.Parse(bytes.NewReader(mustNew(t, Settings{}, acme()).Render("a.b.c", "/")))
	if err != nil {
		t.Fatal(err)
	}
	buttons := 0
	for node := range root.Descendants() {
		for _, a := range node.Attr {
			if (a.Key == "name" || a.Key == "id") && a.Val == "submit" {
				t.Errorf("<%s> is called submit", node.Data)
			}
		}
		if node.Data != "button" {
			continue
		}
		buttons++
		inside := false
		for parent := range node.Ancestors() {
			inside = inside || parent.Data == "form"
		}
		if !inside || !slices.Contains(node.Attr, html.Attribute{Key: "type", Val: "submit"}) {
			t.Error("the button doesn't submit the form")
		}
	}
	if buttons != 1 {
		t.Errorf("%d buttons, want 1", buttons)
	}
}
