package page

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

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
