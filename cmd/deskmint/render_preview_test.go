package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// elements parses a page as a browser does. It returns the values of attributes by element and name
// ("html lang"), and the text.
func elements(t *testing.T, document string) (attributes map[string][]string, text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	attributes = map[string][]string{}
	for node := range root.Descendants() {
		if node.Type == html.TextNode && node.Parent.Data != "script" && node.Parent.Data != "style" {
			text += " " + node.Data
		}
		for _, a := range node.Attr {
			attributes[node.Data+" "+a.Key] = append(attributes[node.Data+" "+a.Key], a.Val)
		}
	}
	return attributes, text
}

// TestRenderPreview uses a file whose store can't be reached, because a preview doesn't use the
// store.
func TestRenderPreview(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"deskmint.yaml": rules, "staff.yaml": staffRules})
	file := filepath.Join(dir, "deskmint.yaml")
	for name, c := range map[string]struct {
		flags              string
		brand, lang, posts string // posts is empty if the page has no form
		title              string // a part of the title
	}{
		"the default":     {"", "Acme", "en", "https://acme.preview.invalid/access/jwt", "Acme"},
		"another brand":   {"--brand 360002", "Labs", "en", "https://labs.preview.invalid/access/jwt", "Labs"},
		"in German":       {"--language de-AT", "Acme", "de", "https://acme.preview.invalid/access/jwt", "Anmeldung"},
		"in Arabic":       {"--language ar", "Acme", "ar", "https://acme.preview.invalid/access/jwt", "Acme"},
		"a problem":       {"--problem refused --brand 360002", "Labs", "en", "", ""},
		"another problem": {"--problem loop --language fr", "Acme", "fr", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"render", "--preview", "--config", file, "--configuration", "acme-customers"},
				strings.Fields(c.flags)...)
			out, warned, err := invoke(t, "", args...)
			if err != nil || !strings.Contains(warned, "preview") || strings.Count(warned, "\n") != 1 {
				t.Fatalf("%v %q", err, warned)
			}
			found, text := elements(t, out)
			if got := found["html lang"]; len(got) != 1 || got[0] != c.lang {
				t.Errorf("in %q, want %s", got, c.lang)
			}
			if !strings.Contains(text, c.brand) || !strings.Contains(text, c.title) {
				t.Errorf("no %s, no %s in %s", c.brand, c.title, text)
			}
			if got := strings.Join(found["form action"], " "); got != c.posts {
				t.Errorf("posts to %q, want %q", got, c.posts)
			}
			if got := strings.Join(found["input value"], " "); c.posts != "" && got != "preview" {
				t.Errorf("fields hold %q", got)
			}
			policies := found["meta content"]
			if len(policies) == 0 || policies[0] != "script-src 'none'; form-action 'none'" {
				t.Errorf("no policy prevents posts: %q", policies)
			}
			if strings.Contains(out, "eyJ") {
				t.Error("it has a token")
			}
		})
	}
}

// TestRenderPreviewStates checks that each state shows its own text and no other.
func TestRenderPreviewStates(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"deskmint.yaml": rules, "staff.yaml": staffRules})
	// The words are those of the headings, and of the text below some of them.
	words := map[string]string{
		"sign in": "Signing you in to", "button": "Continue to", "slow": "taking longer than usual",
		"blocked": "stopped on the way", "start": "Back to the start",
		"loop":  "sent back here several times",
		"again": "Try once more", "used": "has been used", "noscript": "doesn't run scripts",
	}
	for state, want := range map[string]string{
		"": "sign in, button", "ready": "sign in, button", "noscript": "sign in, button, noscript",
		"sending": "sign in", "slow": "slow, start", "blocked": "blocked, start",
		"loop": "loop, again, start", "used": "used, start",
	} {
		args := []string{
			"render", "--preview", "--config", filepath.Join(dir, "deskmint.yaml"), "--configuration", "acme-customers",
		}
		if state != "" {
			args = append(args, "--state", state)
		}
		out, _, err := invoke(t, "", args...)
		if err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		text := visible(t, out)
		for name, word := range words {
			if shown := slices.Contains(strings.Split(want, ", "), name); shown != strings.Contains(text, word) {
				t.Errorf("%q: %s is visible: %v, want %v; the page's text is %s", state, name, !shown, shown, text)
			}
		}
	}
}

// visible returns the text of a page's body that a browser with scripts shows.
func visible(t *testing.T, document string) (text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(*html.Node)
	walk = func(node *html.Node) {
		if slices.Contains([]string{"head", "noscript", "script"}, node.Data) ||
			slices.ContainsFunc(node.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
			return
		}
		if node.Type == html.TextNode {
			text += " " + node.Data
		}
		for child := range node.ChildNodes() {
			walk(child)
		}
	}
	walk(root)
	return text
}

func TestRenderPreviewRefusals(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"deskmint.yaml": rules, "staff.yaml": staffRules})
	file := filepath.Join(dir, "deskmint.yaml")
	for flags, want := range map[string]string{
		"--preview --configuration acme-customers": "--config",
		"--preview --configuration acme-nowhere --config " +
			file: `no configuration "acme-nowhere"`,
		"--preview --configuration acme-customers --brand 99 --config " + file:      `no brand "99"`,
		"--preview --configuration acme-customers --problem other --config " + file: "--problem",
		"--preview --configuration acme-customers --config " +
			filepath.Join(dir, "nowhere.yaml"): "nowhere.yaml: can't be read",
		"--preview --configuration acme-customers --state used --problem used --config " + file: "leave one out",
		"--configuration acme-customers --state used --email ana@customer.example":              "for --preview",
		"--configuration acme-customers --config " + file:                                       "for --preview",
		"--configuration acme-customers --problem loop --email ana@customer.example":            "for --preview",
	} {
		if out, _, err := invoke(t, "", append([]string{"render"}, strings.Fields(flags)...)...); err == nil ||
			!strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: %v %s", flags, err, out)
		}
	}
}
