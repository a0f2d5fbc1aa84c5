package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/config/internal/changes"
)

// newReader returns a Reader that has loaded a valid configuration of four files.
func newReader(t *testing.T) (r *Reader, s *Snapshot, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, map[string]string{
		"deskmint.yaml": mainFile, "team.yaml": teamFile,
		"conf.d/10-shop.yaml": shopFile, "conf.d/20-caller.yaml": callerFile,
	})
	r = NewReader(filepath.Join(dir, "deskmint.yaml"), Options{})
	s, err := r.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, s, dir
}

// TestReaderChanged shows that a Reader notices changes of the contents and names of all files,
// including new files. Files that have been read aren't reported again, even if they are invalid.
func TestReaderChanged(t *testing.T) {
	r, _, dir := newReader(t)
	file := func(name, text string) func() {
		return func() { write(t, dir, map[string]string{name: text}) }
	}
	remove := func(name string) func() {
		return func() {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		name    string
		do      func()
		changed bool
	}{
		{"nothing", func() {}, false},
		{"a file is rewritten with the same content", file("conf.d/10-shop.yaml", shopFile), false},
		{"a file that no pattern matches is added", file("conf.d/notes.txt", "text"), false},
		{"a hidden file is added", file("conf.d/.#a.yaml", "text"), false},
		{"the main file changes", file("deskmint.yaml", mainFile+"# more\n"), true},
		{"an included file changes", file("team.yaml", teamFile+"# more\n"), true},
		{"a file is added", file("conf.d/30.yaml", "# nothing\n"), true},
		{"it becomes invalid", file("conf.d/30.yaml", "["), true},
		{"it is removed", remove("conf.d/30.yaml"), true},
		{"a file that is included by name is removed", remove("team.yaml"), true},
		{"it is added again", file("team.yaml", teamFile), true},
		{"the main file becomes invalid", file("deskmint.yaml", "["), true},
		{"a file changes that the main file included before", file("team.yaml", teamFile+"# again\n"), true},
		{"the patterns change", file("deskmint.yaml", strings.Replace(mainFile, "conf.d/*", "other.d/*", 1)), true},
		{"a file changes that is no longer included", file("conf.d/10-shop.yaml", shopFile+"# more\n"), false},
		{"a file is added that the new patterns match", file("other.d/10-shop.yaml", shopFile), true},
		{"the main file is removed", remove("deskmint.yaml"), true},
	} {
		step.do()
		if got := r.Changed(); got != step.changed {
			t.Errorf("%s: changed %v, want %v", step.name, got, step.changed)
		}
		_, _ = r.Load(nil) // other tests check the problems
		if r.Changed() {
			t.Errorf("%s: changed after it has been read", step.name)
		}
	}
}

func TestReaderPaths(t *testing.T) {
	r, _, dir := newReader(t)
	got := strings.ReplaceAll(strings.Join(r.Paths(), " "), dir+"/", "")
	want := "deskmint.yaml team.yaml team.yaml conf.d/*.yaml conf.d/10-shop.yaml conf.d/20-caller.yaml"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	write(t, dir, map[string]string{
		"deskmint.yaml":  strings.Replace(mainFile, "conf.d/*", "teams/*/x", 1),
		"teams/a/x.yaml": "", "teams/b/y.yaml": "",
	})
	_, _ = r.Load(nil)
	got = strings.ReplaceAll(strings.Join(r.Paths(), " "), dir+"/", "")
	if want := "deskmint.yaml team.yaml team.yaml teams/* teams/a/x.yaml teams/b/x.yaml teams/a/x.yaml"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSince shows that a change of any key is reported by name.
func TestSince(t *testing.T) {
	base := minimal
	before, err := Parse("deskmint.yaml", []byte(base), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, want string }{
		{"", "", "[]"},
		{"configurations:", "# a comment\nconfigurations:", "[]"},
		{
			"name: acme-customers", "name: acme-customers\n    display_name: Acme",
			"[{configurations [] [] [acme-customers]}]",
		},
		{
			"name: acme-customers", "name: acme-customers\n    max_stale: 1h",
			"[{configurations [] [] [acme-customers]}]",
		},
		{
			"name: acme-customers", "name: acme-customers\n    protected: {emails: [ceo@acme.com]}",
			"[{configurations [] [] [acme-customers]}]",
		},
		{"subdomain: acme", "subdomain: acme-new", "[{brands [] [] [acme-customers/360001]}]"},
		{"360001", "360002", "[{brands [acme-customers/360002] [acme-customers/360001] []}]"},
		{"name: storefront", "name: shop", "[{callers [shop] [storefront] []}]"},
		{
			"configurations:",
			"issuers: [{name: cluster, issuer: \"https://a.example\", audience: x}]\nconfigurations:",
			"[{issuers [cluster] [] []}]",
		},
	} {
		text := strings.Replace(base, test.old, test.new, 1)
		if text == base && test.old != test.new {
			t.Fatalf("no %q in\n%s", test.old, base)
		}
		after, err := Parse("deskmint.yaml", []byte(text), Options{})
		if err != nil {
			t.Errorf("%s: %v", test.new, err)
			continue
		}
		if got := fmt.Sprint(after.Since(before)); got != test.want {
			t.Errorf("%s: changes %s, want %s", test.new, got, test.want)
		}
	}
}

// TestDigestsAreComplete shows that every part of the files has a digest.
func TestDigestsAreComplete(t *testing.T) {
	r, _, _ := newReader(t)
	s, err := r.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, all := range s.digests {
		nothing := changes.Digests{kind: {}}
		nothing.Add(kind, "", make(chan int)) // what can't be written
		for name, digest := range all {
			if digest == nothing[kind][""] {
				t.Errorf("%s %s has the digest of an invalid value", kind, name)
			}
		}
	}
}
