package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// reload writes the main file and loads it as a reload of a service that runs with running.
func reload(t *testing.T, dir, main string, running *Snapshot) (*Snapshot, string) {
	t.Helper()
	write(t, dir, map[string]string{"deskmint.yaml": main})
	s, err := NewReader(filepath.Join(dir, "deskmint.yaml"), Options{}).Load(running)
	if err != nil {
		return nil, strings.ReplaceAll(err.Error(), dir+"/", "")
	}
	return s, ""
}

// TestPatternThatMatchedOnce checks that a reload is refused if a pattern that once matched a file
// matches none, unless the pattern is optional or was removed.
func TestPatternThatMatchedOnce(t *testing.T) {
	dir := t.TempDir()
	main := strings.Replace(mainFile, "include: [team.yaml", "include: ['none.d/*.yaml', team.yaml", 1)
	write(t, dir, map[string]string{
		"team.yaml": teamFile, "conf.d/10-shop.yaml": shopFile, "conf.d/20.yaml": callerFile,
	})
	first, fault := reload(t, dir, main, nil)
	if fault != "" {
		t.Fatal(fault)
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	move("conf.d", "conf.away")
	const want = "deskmint.yaml:1: include[2]: matches no file any more, and once did: put the files back"
	if _, fault := reload(t, dir, main, first); !strings.HasPrefix(fault, want) || strings.Contains(fault, "\n") {
		t.Errorf("%s\nwant only %s", fault, want)
	}
	// A start knows nothing of former files.
	if _, fault := reload(t, dir, main, nil); fault != "" {
		t.Error(fault)
	}
	optional := strings.Replace(main, "'conf.d/*.yaml'", "{path: 'conf.d/*.yaml', optional: true}", 1)
	second, fault := reload(t, dir, optional, first)
	if fault != "" {
		t.Fatal(fault)
	}
	if len(second.Names()) != 1 || len(second.Warnings) == 0 {
		t.Errorf("configurations %v, warnings %v", second.Names(), second.Warnings)
	}
	for _, w := range second.Warnings {
		if strings.Contains(w.String(), "include[2]") {
			t.Errorf("an optional pattern has the warning %s", w)
		}
	}
	// The pattern has matched before, although not in the configuration that runs now.
	if _, fault := reload(t, dir, main, second); !strings.HasPrefix(fault, want) {
		t.Errorf("%s\nwant %s", fault, want)
	}
	if _, fault := reload(t, dir, strings.Replace(main, ", 'conf.d/*.yaml'", "", 1), first); fault != "" {
		t.Errorf("without the pattern: %s", fault)
	}
	move("conf.away", "conf.d")
	if third, fault := reload(t, dir, main, second); fault != "" || len(third.Names()) != 2 {
		t.Errorf("with the files back: %s", fault)
	}
	// A file that is one of several may go.
	if err := os.Remove(filepath.Join(dir, "conf.d/20.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, fault := reload(t, dir, main, second); fault != "" {
		t.Error(fault)
	}
}

// TestOptionalInclude checks the form of an include with keys.
func TestOptionalInclude(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": "# nothing\n"})
	for include, want := range map[string]string{
		"[{path: a.yaml}]":                       "",
		"[{path: absent.yaml, optional: true}]":  "",
		"[{path: absent.yaml, optional: false}]": "include[0]: names a file that can't be found",
		"[{path: a.yaml/b, optional: true}]":     "include[0]: names a file that can't be found: not a directory",
		"[{optional: true}]":                     "include[0].path: is required",
		"['']":                                   "include[0].path: is required",
		"[{path: '[', optional: true}]":          "include[0]: is no pattern",
		"[{file: a.yaml}]":                       "include[0].file: is no key here",
		"[7]":                                    "include[0]: must be text",
	} {
		_, fault := reload(t, dir, "include: "+include+"\n"+minimal, nil)
		if want == "" && fault != "" || !strings.Contains(fault, want) {
			t.Errorf("%s: %q, want %q", include, fault, want)
		}
	}
}

// TestExpect checks that the numbers in the main file are a floor, at a start and at a reload.
func TestExpect(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"team.yaml": teamFile, "conf.d/10-shop.yaml": shopFile, "conf.d/20.yaml": callerFile,
	})
	good := mainFile + "expect: {configurations: 2, callers: 1}\n"
	running, fault := reload(t, dir, good, nil)
	if fault != "" {
		t.Fatal(fault)
	}
	for expect, want := range map[string]string{
		"{configurations: 3}": "expect.configurations: is 3, but all files together have only 2",
		"{callers: 2}":        "expect.callers: is 2, but all files together have only 1",
		"{callers: -1}":       "expect.callers: must be 0 or more",
		"{configurations: 0}": "",
	} {
		for _, before := range []*Snapshot{nil, running} {
			_, fault := reload(t, dir, mainFile+"expect: "+expect+"\n", before)
			if want == "" && fault != "" || !strings.Contains(fault, want) {
				t.Errorf("%s: %q, want %q", expect, fault, want)
			}
		}
	}
	// A file that can't be read is the only fault.
	write(t, dir, map[string]string{"conf.d/10-shop.yaml": ""})
	if _, fault := reload(t, dir, good, running); strings.Contains(fault, "expect") || fault == "" {
		t.Errorf("with a file at fault: %q", fault)
	}
	write(t, dir, map[string]string{"conf.d/10-shop.yaml": shopFile, "team.yaml": "expect: {callers: 0}\n" + teamFile})
	if _, fault := reload(t, dir, good, running); !strings.Contains(fault, "team.yaml:1: expect: belongs in the main") {
		t.Errorf("in an included file: %q", fault)
	}
}

func TestClockReferences(t *testing.T) {
	for reference, good := range map[string]bool{
		"https://time.example": true, "http://127.0.0.1:80/": true, "https://time.example:8443/x": true,
		"http://time.example": false, "time.example": false, "https://u:p@time.example": false, "https://": false,
	} {
		_, err := Parse("deskmint.yaml", []byte("clock: {references: ['"+reference+"']}\n"+minimal), Options{})
		if good != (err == nil) || !good && !strings.Contains(err.Error(), "references[0]: must be an https URL") {
			t.Errorf("%s: %v", reference, err)
		}
	}
}

// TestRemoved checks that removals are listed by name, and that edits aren't.
func TestRemoved(t *testing.T) {
	const (
		identity = "      - api_key_sha256: " + storefrontHash + "\n"
		another  = "      - mtls_dns: shop.example\n"
		grant    = "      - configurations: [acme-customers]\n        brands: [\"*\"]\n        actions: [read]\n"
	)
	base := strings.Replace(minimal, identity, identity+another, 1) + grant
	parse := func(text string) *Snapshot {
		t.Helper()
		s, err := Parse("deskmint.yaml", []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := parse(base)
	for _, test := range []struct{ name, old, with, want string }{
		{"nothing", "", "", ""},
		{"an identity", another, "", "identities storefront/mtls_dns:shop.example"},
		{"an identity gets a name", another, "      - {mtls_dns: shop.example, name: shop}\n", ""},
		{"an identity is replaced", "shop.example", "b.example", "identities storefront/mtls_dns:shop.example"},
		{"a grant", grant, "", "grants storefront/grants[1]"},
		{"a grant is edited", "actions: [read]\n", "actions: [report]\n", ""},
		{"a brand", `id: "360001"`, `id: "7"`, "brands acme-customers/360001"},
		{
			"a caller is renamed", "name: storefront", "name: shop",
			"callers storefront; identities storefront/api_key:4f53cda1 storefront/mtls_dns:shop.example; " +
				"grants storefront/grants[0] storefront/grants[1]",
		},
	} {
		text := strings.Replace(base, test.old, test.with, 1)
		if text == base && test.old != test.with {
			t.Fatalf("no %q", test.old)
		}
		var got []string
		for _, r := range parse(text).Removed(before) {
			got = append(got, r.Kind+" "+strings.Join(r.Names, " "))
			if !slices.Contains(RemovalKinds(), r.Kind) {
				t.Errorf("the kind %s isn't in the list of kinds", r.Kind)
			}
		}
		if got := strings.Join(got, "; "); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
}
