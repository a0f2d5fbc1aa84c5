package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestNoOrigins checks that the commands that read a configuration warn of one that lists no
// origins, and that the quick start lists some.
func TestNoOrigins(t *testing.T) {
	t.Parallel()
	const key = "configurations[0].zendesk_sso.origins"
	for listed, change := range map[bool][]string{
		true:  nil,
		false: {"origins: [https://www.acme.com]", "origins: []"},
	} {
		path, _ := quickstart(t, change...)
		_, warnings, err := invoke(t, "", "config", "check", path)
		if err != nil || strings.Contains(warnings, key+": is empty") == listed {
			t.Errorf("origins listed: %v, and config check: %v\n%s", listed, err, warnings)
		}
		found, _, _ := invoke(t, "", "doctor", "--config", path)
		if strings.Contains(found, filepath.Base(path)+":24: "+key+": is empty") == listed {
			t.Errorf("origins listed: %v, and doctor:\n%s", listed, found)
		}
		if d := serve(t, path); strings.Contains(d.err.String(), key+": is empty") == listed {
			t.Errorf("origins listed: %v, and serve:\n%s", listed, d.err.String())
		}
	}
}
