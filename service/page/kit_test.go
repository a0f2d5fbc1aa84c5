package page

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden files")

// acme returns a valid frame for tests.
func acme() Frame {
	return Frame{
		Brand:             "Acme",
		Action:            "https://acme.zendesk.com/access/jwt",
		FormActionSources: []string{"https://acme.zendesk.com", "https://help.acme.com"},
		Scope:             "configurations/acme-customers/360001",
	}
}

func mustNew(t testing.TB, settings Settings, frame Frame) *Page {
	t.Helper()
	p, err := New(settings, frame)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs. Review the difference and run the test with -update.\n%s", path, got)
	}
}

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
