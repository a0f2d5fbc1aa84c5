package yamlfile

import (
	"fmt"
	"strings"
	"testing"
)

func TestProblemString(t *testing.T) {
	for want, f := range map[string]Problem{
		"a.yaml:3: b.c: is required": {File: "a.yaml", Line: 3, Key: "b.c", Message: "is required"},
		"a.yaml:3: is not valid":     {File: "a.yaml", Line: 3, Message: "is not valid"},
		"a.yaml: can't be read":      {File: "a.yaml", Message: "can't be read"},
	} {
		if got := fmt.Sprint(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
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
		if got := Redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
