package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets"
)

var faulty = []struct {
	name, text string
	says       []string // each with its line
}{
	{"empty", "", []string{":1: the file is empty"}},
	{"only a comment", "# nothing\n", []string{":1: the file is empty"}},
	{"a list", "- secrets\n", []string{":1: the file must be a mapping"}},
	{"a value alone", canary + "\n", []string{":1: the file must be a mapping"}},
	{"not YAML", "secrets:\n  a: \"" + canary + "\n  b: c\n", []string{":", "not valid YAML"}},
	{"a tab", "secrets:\n\ta: b\n", []string{":2: not valid YAML"}},
	{"unknown anchor", "secrets: *" + canary + "\n", []string{"not valid YAML"}},
	{"alias", "secrets:\n  a: &x {versions: {1: {k: " + canary + "}}}\n  b: *x\n", []string{":3: secrets: aliases"}},
	{
		"merge",
		"secrets:\n  a:\n    <<: {active: 1}\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":3: secret a: aliases, merges"},
	},
	{"second document", "secrets: {}\n---\nsecrets: {}\n", []string{":2: a second document"}},
	{"unknown key at the top", "secrets: {}\nsecret: {}\n", []string{":2: unknown key secret"}},
	{
		"unknown key in a secret",
		"secrets:\n  a:\n    activ: 1\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":3: secret a: unknown key activ"},
	},
	{
		"key twice",
		"secrets:\n  a:\n    versions: {1: {k: " + canary + "}}\n  a:\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":4: secrets: key a occurs a second time (first in line 2)"},
	},
	{
		"field twice",
		"secrets:\n  a:\n    versions:\n      1: {k: " + canary + ", k: " + canary + "}\n",
		[]string{":4: secret a version 1: key k occurs a second time"},
	},
	{
		"bad path",
		"secrets:\n  a/../b:\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":2: this is not the path of a secret"},
	},
	{
		"no versions",
		"secrets:\n  a:\n    active: 1\n  b: {versions: {}}\n",
		[]string{":3: secret a: versions is missing", ":4: secret b: versions is missing"},
	},
	{
		"versions as a list",
		"secrets:\n  a:\n    versions: [" + canary + "]\n",
		[]string{":3: secret a: versions must be a mapping"},
	},
	{
		"a value for a version",
		"secrets:\n  a:\n    versions: {1: " + canary + "}\n",
		[]string{":3: secret a version 1 must be a mapping"},
	},
	{
		"a value as a key",
		"secrets:\n  a:\n    versions: {1: {" + canary + "}}\n",
		[]string{":3: secret a version 1: the value of field must be a string"},
	},
	{
		"a value as a version",
		"secrets:\n  a:\n    versions: {" + canary + ": {k: v}}\n",
		[]string{":3: secret a: versions: each key must be a version number"},
	},
	{"a value as a path", "secrets:\n  " + canary + ": 1\n", []string{":2: secret must be a mapping"}},
	{
		"version zero",
		"secrets:\n  a:\n    versions: {0: {k: v}, 1: {k: v}}\n",
		[]string{":3: secret a: versions: each key must be a version number"},
	},
	{
		"version in hexadecimal",
		"secrets:\n  a:\n    versions: {0x2: {k: v}, 1: {k: v}}\n",
		[]string{"must be a version number"},
	},
	{
		"version too large",
		"secrets:\n  a:\n    versions: {4294967296: {k: v}, 1: {k: v}}\n",
		[]string{"must be a version number"},
	},
	{
		"active doesn't exist",
		"secrets:\n  a:\n    active: 2\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":3: secret a: active is 2, but there is no such version"},
	},
	{
		"active is a word",
		"secrets:\n  a:\n    active: " + canary + "\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":3: secret a: active must be a version number"},
	},
	{
		"active is null",
		"secrets:\n  a:\n    active:\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":3: secret a: active must be a version number"},
	},
	{
		"previous doesn't exist",
		"secrets:\n  a:\n    previous: 3\n    versions: {1: {k: " + canary + "}}\n",
		[]string{":3: secret a: previous is 3"},
	},
	{
		"a number for a value",
		"secrets:\n  a:\n    versions: {1: {k: 123456789012345678901234567890123456}}\n",
		[]string{":3: secret a version 1: the value of field k must be a string: put it in quotes"},
	},
	{
		"a mapping for a value",
		"secrets:\n  a:\n    versions: {1: {k: {v: " + canary + "}}}\n",
		[]string{":3: secret a version 1: the value of field k must be a string"},
	},
	{
		"binary",
		"secrets:\n  a:\n    versions: {1: {k: !!binary " + canary + "}}\n",
		[]string{":3: secret a version 1: the value of field k must be a string"},
	},
	{
		"created is not a time",
		"secrets:\n  a:\n    versions: {1: {k: " + canary + ", created: yesterday}}\n",
		[]string{":3: secret a version 1: created must be a time"},
	},
	{
		"everything at once",
		"extra: 1\nsecrets:\n  a:\n    active: 9\n    disabled: 3\n    versions: {1: {k: 7}}\n",
		[]string{":1: unknown key extra", ":4: secret a: active is 9", ":6: secret a version 1: the value of field k"},
	},
}

func TestFaultsHaveALineAndNoValue(t *testing.T) {
	for _, tc := range faulty {
		t.Run(tc.name, func(t *testing.T) {
			path := write(t, tc.text, 0o600)
			_, err := newStore(path).Status(t.Context(), "a")
			if !errors.Is(err, secrets.ErrUnusable) {
				t.Fatalf("%v, want ErrUnusable", err)
			}
			for _, want := range tc.says {
				if want[0] == ':' {
					want = path + want
				}
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q doesn't contain %q", err, want)
				}
			}
			if strings.Contains(err.Error(), canary[:12]) || strings.Contains(err.Error(), "1234567890") {
				t.Errorf("%q quotes a value", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q has more than one line", err)
			}
		})
	}
}

// FuzzFile checks that every file is read or refused, and that no value is quoted.
func FuzzFile(f *testing.F) {
	for _, tc := range faulty {
		f.Add(tc.text)
	}
	f.Add(good)
	f.Add(strings.ReplaceAll(good, one, canary))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "secrets.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		store := newStore(path)
		status, err := store.Status(t.Context(), "a")
		if err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Fatalf("%q quotes a value", err)
			}
			return
		}
		if _, ok := status.Version(status.Active); !ok || status.Latest < status.Active {
			t.Fatalf("status %+v names no version to sign with", status)
		}
		// A fault elsewhere in the file doesn't change its kill switches.
		if err := os.WriteFile(path, []byte(text+"\nunknown: 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		faulty, err := newStore(path).Status(t.Context(), "a")
		if err != nil && status.Disabled && !faulty.Disabled && !strings.Contains(err.Error(), "not valid YAML") {
			t.Fatalf("on with a fault elsewhere: %v", err)
		}
	})
}
