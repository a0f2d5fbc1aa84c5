package config

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/service/caller"
)

// markers look like what people paste into the wrong place: an API key, a shared
// secret of Zendesk's, one in base64, a token of Vault's.
var markers = []string{
	"dmk_MARKERmarker",
	"MARKERmarkerMARKERmarkerMARKERmarkerMARKERmarker",
	"MARKER+marker/MARKER+marker/MARKERmarker01==",
	"hvs.MARKERmarkerMARKERmarkerMARKERmarkerMARKERmarker",
}

func TestRedact(t *testing.T) {
	long := strings.Repeat("aB3", 11)
	for text, want := range map[string]string{
		"dmk_ begins a key":                 "dmk_ begins a key",
		"dmk_x":                             "…",
		`"dmk_x-y_z" is none`:               `"…" is none`,
		"a " + long + " b":                  "a … b",
		"a " + long[:31] + " b":             "a " + long[:31] + " b",
		"a/" + long + "+/==":                "…",
		"/etc/deskmint/tls.crt: not found":  "/etc/deskmint/tls.crt: not found",
		"https://vault.internal:8200/v1/ui": "https://vault.internal:8200/v1/ui",
		"one\ntwo":                          "one; two",
	} {
		if got := redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestNothingPastedIsPrinted puts something secret in the place of every value and of
// every key, one at a time: each of the markers in a small file, one of them in turn
// in the complete example.
func TestNothingPastedIsPrinted(t *testing.T) {
	for name, text := range map[string]string{"minimal": minimal, "example": example(t, "deskmint.yaml")} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		tried, refused := 0, 0
		each(&doc, func(n *yaml.Node) {
			was := *n
			paste := markers
			if name == "example" {
				paste = markers[tried%len(markers):][:1]
			}
			for _, marker := range paste {
				*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: marker}
				said, ok := whatIsSaid(t, &doc)
				if tried++; !ok {
					refused++
				}
				if strings.Contains(strings.ToLower(said), "marker") {
					t.Errorf("%s, line %d: %s", name, was.Line, said)
				}
			}
			*n = was
		})
		if refused < tried/2 {
			t.Errorf("%s: only %d of %d were refused: the test has lost its grip", name, refused, tried)
		}
	}
}

// whatIsSaid is all that an operator gets to read of a document.
func whatIsSaid(t *testing.T, doc *yaml.Node) (said string, ok bool) {
	t.Helper()
	text, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse("deskmint.yaml", text, Options{})
	if err != nil {
		return err.Error(), false
	}
	for _, w := range s.Warnings {
		said += w.String()
	}
	return said, true
}

// each calls f for every node, keys among them.
func each(n *yaml.Node, f func(*yaml.Node)) {
	if n.Kind != yaml.DocumentNode {
		f(n)
	}
	for _, below := range n.Content {
		each(below, f)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{minimal, "", "---\n", "a: &a [*a]", "\xff", "{", teamFile, shopFile, callerFile, example(f, "quickstart.yaml"), ".", "!'"} {
		f.Add(text)
	}
	// Found by fuzzing: a key of the file that is a block by itself.
	f.Add("listen: {g- nrpc: \"127.0.0.1:9090\"}\nsecrets:\n  source: file\n? file: {path: secrets.yaml}\nconfigurations:\n" +
		"  - name: acme-customers\n    secret: {path: sso/acme-customers}\n    zendesk_sso:\n      audiences: [end_user]\n      brands:\n" +
		"        - {id: \"360001\", subdomain: acme, hosts: [help.acm@.com]}\ncallers:\n  - name: storefron")
	key, _ := caller.NewKey()
	schema := compiled(f)
	f.Fuzz(func(t *testing.T, text string) {
		// A key that nobody can guess takes the place of whatever the fuzzer made of the marker.
		pasted := strings.ReplaceAll(text, "dmk_dev", key)
		s, err := Parse("fuzz.yaml", []byte(pasted), Options{Development: true})
		if (s == nil) == (err == nil) {
			t.Fatalf("snapshot %v and error %v", s, err)
		}
		if err != nil {
			places, said := problems(t, err)
			if len(places) == 0 || strings.Contains(said, key[4:]) {
				t.Errorf("%d problems:\n%s", len(places), said)
			}
			return
		}
		for _, name := range s.Names() {
			if c, _ := s.Configuration(name); c.Page("", "") == nil || c.Profile.Brand("") == nil {
				t.Errorf("configuration %q has no page", name)
			}
		}
		if err := validate(schema, pasted); err != nil {
			t.Errorf("taken, but not by the schema: %v", err)
		}
	})
}
