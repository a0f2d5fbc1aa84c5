package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reading is a Reader that has read a good configuration of three files.
func reading(t *testing.T) (r *Reader, s *Snapshot, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, map[string]string{"deskmint.yaml": mainFile, "team.yaml": teamFile, "conf.d/10-shop.yaml": shopFile, "conf.d/20-caller.yaml": callerFile})
	r = NewReader(filepath.Join(dir, "deskmint.yaml"), Options{})
	s, err := r.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, s, dir
}

// TestReaderChanged: it is content and names that count, of every file that there is or
// may come, and what has been read once, good or bad, isn't new.
func TestReaderChanged(t *testing.T) {
	r, _, dir := reading(t)
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
		{"written again as it was", file("conf.d/10-shop.yaml", shopFile), false},
		{"what isn't asked for", file("conf.d/notes.txt", "text"), false},
		{"an editor's file", file("conf.d/.#a.yaml", "text"), false},
		{"the main file", file("deskmint.yaml", mainFile+"# more\n"), true},
		{"an included one", file("team.yaml", teamFile+"# more\n"), true},
		{"a new one", file("conf.d/30.yaml", "# nothing\n"), true},
		{"a broken one", file("conf.d/30.yaml", "["), true},
		{"it is gone", remove("conf.d/30.yaml"), true},
		{"a named one is gone", remove("team.yaml"), true},
		{"and comes back", file("team.yaml", teamFile), true},
		{"a main file that doesn't say what it includes", file("deskmint.yaml", "["), true},
		{"what it included is followed all the same", file("team.yaml", teamFile+"# again\n"), true},
		{"other patterns", file("deskmint.yaml", strings.Replace(mainFile, "conf.d/*", "other.d/*", 1)), true},
		{"by which nothing was there", file("conf.d/10-shop.yaml", shopFile+"# more\n"), false},
		{"but comes", file("other.d/10-shop.yaml", shopFile), true},
		{"the main file is gone", remove("deskmint.yaml"), true},
	} {
		step.do()
		if got := r.Changed(); got != step.changed {
			t.Errorf("%s: changed %v, want %v", step.name, got, step.changed)
		}
		_, _ = r.Load(nil) // the problems are other tests' business
		if r.Changed() {
			t.Errorf("%s: changed after it has been read", step.name)
		}
	}
}

func TestReaderPaths(t *testing.T) {
	r, _, dir := reading(t)
	got := strings.ReplaceAll(strings.Join(r.Paths(), " "), dir+"/", "")
	if want := "deskmint.yaml team.yaml team.yaml conf.d/*.yaml conf.d/10-shop.yaml conf.d/20-caller.yaml"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	write(t, dir, map[string]string{"deskmint.yaml": strings.Replace(mainFile, "conf.d/*", "teams/*/x", 1), "teams/a/x.yaml": "", "teams/b/y.yaml": ""})
	_, _ = r.Load(nil)
	got = strings.ReplaceAll(strings.Join(r.Paths(), " "), dir+"/", "")
	if want := "deskmint.yaml team.yaml team.yaml teams/* teams/a/x.yaml teams/b/x.yaml teams/a/x.yaml"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSince: changes are told by name, whichever key they are made at.
func TestSince(t *testing.T) {
	base := minimal
	before, err := Parse("deskmint.yaml", []byte(base), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, told string }{
		{"", "", "[]"},
		{"configurations:", "# a comment\nconfigurations:", "[]"},
		{"name: acme-customers", "name: acme-customers\n    display_name: Acme", "[{configurations [] [] [acme-customers]}]"},
		{"name: acme-customers", "name: acme-customers\n    max_stale: 1h", "[{configurations [] [] [acme-customers]}]"},
		{"name: acme-customers", "name: acme-customers\n    protected: {emails: [ceo@acme.com]}", "[{configurations [] [] [acme-customers]}]"},
		{"subdomain: acme", "subdomain: acme-new", "[{brands [] [] [acme-customers/360001]}]"},
		{"360001", "360002", "[{brands [acme-customers/360002] [acme-customers/360001] []}]"},
		{"name: storefront", "name: shop", "[{callers [shop] [storefront] []}]"},
		{"configurations:", "issuers: [{name: cluster, issuer: \"https://a.example\", audience: x}]\nconfigurations:", "[{issuers [cluster] [] []}]"},
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
		if got := fmt.Sprint(after.Since(before)); got != test.told {
			t.Errorf("%s: told %s, want %s", test.new, got, test.told)
		}
	}
}

// TestPartsAreWhole: no part of the files leaves nothing behind to compare.
func TestPartsAreWhole(t *testing.T) {
	r, _, _ := reading(t)
	s, err := r.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, all := range s.digests {
		nothing := digests{kind: {}}
		nothing.add(kind, "", make(chan int)) // what can't be written
		for name, digest := range all {
			if digest == nothing[kind][""] {
				t.Errorf("%s %s has no digest of its own", kind, name)
			}
		}
	}
}
