package config

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/service/caller"
)

// markers have the forms of secrets that people paste into the wrong place: an API key, a shared
// secret of Zendesk, a secret in base64, and a token of Vault.
var markers = []string{
	"dmk_MARKERmarker",
	"MARKERmarkerMARKERmarkerMARKERmarkerMARKERmarker",
	"MARKER+marker/MARKER+marker/MARKERmarker01==",
	"hvs.MARKERmarkerMARKERmarkerMARKERmarkerMARKERmarker",
}

// TestPastedSecretsAreRedacted replaces every value and every key by a secret, one at a time. In
// the small file, it tries all markers for each value and key. In the complete example, it tries
// one marker for each, by turns.
func TestPastedSecretsAreRedacted(t *testing.T) {
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
				messages, ok := messagesOf(t, &doc)
				if tried++; !ok {
					refused++
				}
				if strings.Contains(strings.ToLower(messages), "marker") {
					t.Errorf("%s, line %d: %s", name, was.Line, messages)
				}
			}
			*n = was
		})
		if refused < tried/2 {
			t.Errorf("%s: only %d of %d were refused: the test is no longer effective", name, refused, tried)
		}
	}
}

// messagesOf returns the messages that an operator reads about a document.
func messagesOf(t *testing.T, doc *yaml.Node) (messages string, ok bool) {
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
		messages += w.String()
	}
	return messages, true
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		minimal, "", "---\n", "a: &a [*a]", "\xff", "{", ".", "!'",
		teamFile, shopFile, callerFile, example(f, "quickstart.yaml"),
	} {
		f.Add(text)
	}
	// Fuzzing found this: a key of the file is a block.
	f.Add(`listen: {g- nrpc: "127.0.0.1:9090"}
secrets:
  source: file
? file: {path: secrets.yaml}
configurations:
  - name: acme-customers
    secret: {path: sso/acme-customers}
    zendesk_sso:
      audiences: [end_user]
      brands:
        - {id: "360001", subdomain: acme, hosts: [help.acm@.com]}
callers:
  - name: storefron`)
	key, _ := caller.NewKey()
	schema := compiled(f)
	f.Fuzz(func(t *testing.T, text string) {
		// The fuzzer can't guess this key, so a message with it must quote the input.
		pasted := strings.ReplaceAll(text, "dmk_dev", key)
		s, err := Parse("fuzz.yaml", []byte(pasted), Options{Development: true})
		if (s == nil) == (err == nil) {
			t.Fatalf("snapshot %v and error %v", s, err)
		}
		if err != nil {
			places, messages := problems(t, err)
			if len(places) == 0 || strings.Contains(messages, key[4:]) {
				t.Errorf("%d problems:\n%s", len(places), messages)
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
