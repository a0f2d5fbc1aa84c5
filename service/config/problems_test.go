package config

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// problemCase replaces a part of the minimal configuration. problems are the places of all
// problems, each as "LINE KEY". message is a part of the first problem's message.
type problemCase struct {
	name, old, with string
	problems        []string
	message         string
}

func TestProblems(t *testing.T) {
	groups := map[string][]problemCase{
		"structure":      structureProblems,
		"settings":       settingsProblems,
		"configurations": configurationProblems,
		"callers":        callerProblems,
	}
	for _, group := range sortedKeys(groups) {
		for _, test := range groups[group] {
			t.Run(group+"/"+test.name, func(t *testing.T) {
				_, err := Parse("deskmint.yaml", []byte(change(t, test.old, test.with)), Options{})
				places, text := problems(t, err)
				var want []string
				for _, f := range test.problems {
					want = append(want, "deskmint.yaml:"+f)
				}
				if !slices.Equal(places, want) {
					t.Errorf("problems at %q\nwant      %q\n%s", places, want, text)
				}
				if first, _, _ := strings.Cut(text, "\n"); !strings.Contains(first, test.message) {
					t.Errorf("the first problem is\n%s\nand lacks %q", first, test.message)
				}
			})
		}
	}
}

// TestProblemsDontCascade shows that a value that can't be read is the only problem, even if other
// values refer to it.
func TestProblemsDontCascade(t *testing.T) {
	limited := strings.Replace(minimal, `brands: ["*"]`, `brands: ["360001"]`, 1)
	for _, test := range []struct{ old, with, problem string }{
		{`id: "360001"`, `id: 360001`, "11 configurations[0].zendesk_sso.brands[0].id"},
		{
			`{id: "360001", subdomain: acme, hosts: [help.acme.com]}`, `acme`,
			"11 configurations[0].zendesk_sso.brands[0]",
		},
		{
			"acme, hosts: [help.acme.com]", "acme, hosts: help.acme.com",
			"11 configurations[0].zendesk_sso.brands[0].hosts",
		},
		{
			"acme, hosts: [help.acme.com]", "acme, host: [help.acme.com]",
			"11 configurations[0].zendesk_sso.brands[0].host",
		},
		{"zendesk_sso:", "zendesk-sso:", "8 configurations[0].zendesk-sso"},
		{"name: acme-customers", "name: 5", "6 configurations[0].name"},
		{"name: acme-customers", "nam: acme-customers", "6 configurations[0].nam"},
		{"configurations:\n", "configuration:\n", "5 configuration"},
		{
			"callers:\n",
			"issuers: {a: b}\ncallers:\n  - {name: x, identities: [{jwt: {issuer: a, subject: b}}]}\n",
			"12 issuers",
		},
	} {
		if strings.Count(limited, test.old) != 1 {
			t.Fatalf("%q isn't in the text once", test.old)
		}
		_, err := Parse("deskmint.yaml", []byte(strings.Replace(limited, test.old, test.with, 1)), Options{})
		if places, text := problems(t, err); !slices.Equal(places, []string{"deskmint.yaml:" + test.problem}) {
			t.Errorf("%s: problems\n%s", test.with, text)
		}
	}
}

// TestAliases shows that aliases may be used, but not for an unlimited number of values.
func TestAliases(t *testing.T) {
	shared := change(t, "roles: [end_user]", "roles: &roles [end_user]\n        claims: {tags: *roles}")
	parsed(t, shared, Options{})

	_, err := Parse("deskmint.yaml", []byte(strings.Replace(shared, "*roles", "*role", 1)), Options{})
	if _, text := problems(t, err); !strings.Contains(text, "an alias") {
		t.Errorf("problems %s", text)
	}

	many := func(item string) string { return "[" + strings.Repeat(item+",", 70) + item + "]" }
	bomb := minimal + "  - name: x\n    grants: " + many("{roles: "+many("agent")+"}")
	bomb = strings.Replace(bomb, "grants: [{roles: [", "grants: &grants [{roles: &roles [", 1) +
		strings.Repeat("\n  - {name: x, grants: *grants}", 70)
	_, err = Parse("deskmint.yaml", []byte(bomb), Options{})
	if places, text := problems(t, err); len(places) != 1 || !strings.Contains(text, "too large") {
		t.Errorf("%d problems, the first %s", len(places), text[:100])
	}
}

// TestManyValues reads a file that is as large as valid files get. The limit on aliases doesn't
// apply to it, because values without aliases are limited by the size of the file.
func TestManyValues(t *testing.T) {
	const many = 10_000
	text := "configurations:\n" + strings.Repeat(`  - name: acme
    display_name: Acme
    secret: {path: sso/acme, field: shared_secret}
    max_stale: 12h
    loop: {limit: 4, window: 60s}
    zendesk_sso:
      audiences: [end_user]
      on_bad_return_to: home
      brands: [{id: "1", name: Acme, subdomain: acme, hosts: [help.acme.com], page: {language: en, color: "#1f73b7"}}]
`, many)
	doc, got := yamlfile.New("deskmint.yaml"), File{}
	yamlfile.Decode(doc, []byte(text), &got)
	if len(doc.Problems()) > 0 || len(got.Configurations) != many || got.Configurations[many-1].Loop.Limit != 4 {
		t.Errorf("%d configurations, problems %v", len(got.Configurations), doc.Problems())
	}
}

func TestGrantOfOneBrand(t *testing.T) {
	text := strings.NewReplacer(
		"[{id", `[{id: "360002", subdomain: labs, default: true, hosts: [help.labs.example]},
        {id`,
		`brands: ["*"]`, `brands: ["360002"]`,
	).Replace(minimal)
	_, err := Parse("deskmint.yaml", []byte(text), Options{})
	places, messages := problems(t, err)
	if !slices.Equal(places, []string{"deskmint.yaml:23 callers[0].grants[0].return_to_hosts[0]"}) {
		t.Errorf("problems %s", messages)
	}
	text = strings.Replace(text, "[help.acme.com]\n", "[help.labs.example, labs.zendesk.com]\n", 1)
	parsed(t, text, Options{})
}

// TestAllAtOnce compares the problems of a file in which nearly everything is wrong with a golden
// file. `go test -update` rewrites the golden file.
func TestAllAtOnce(t *testing.T) {
	path := filepath.Join("testdata", "broken.yaml")
	_, err := Load(path, Options{})
	_, text := problems(t, err)
	golden := strings.TrimSuffix(path, ".yaml") + ".golden"
	if *update {
		if err := os.WriteFile(golden, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text+"\n" != string(want) {
		t.Errorf("problems\n%s\nwant\n%s", text, want)
	}
}
