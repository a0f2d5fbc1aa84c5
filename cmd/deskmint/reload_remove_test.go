package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// removals returns the names in all warnings of removals so far, by kind.
func (d *deskmint) removals(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for line := range strings.Lines(d.err.String()) {
		var entry struct {
			Level, Msg, Kind string
			Count            int
			Names            []string
		}
		if !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line), &entry) != nil ||
			entry.Msg != "the reload removed a part of the configuration" {
			continue
		}
		if entry.Level != "WARN" || entry.Count < len(entry.Names) || len(line) > 64<<10 {
			t.Errorf("the line of a removal is %s", line)
		}
		all[entry.Kind] = append(all[entry.Kind], entry.Names...)
	}
	return all
}

// TestReloadRemoves checks that a folder that was moved away removes nothing, and that removals
// that are meant take effect, are logged by name at WARN, and are counted.
func TestReloadRemoves(t *testing.T) {
	t.Parallel()
	const shops = 500
	path, _, key := files(t)
	dir := filepath.Dir(path)
	text := readFile(t, path)
	main := text + "include: ['conf.d/*.yaml']\nexpect: {configurations: 2, callers: 1}\n"
	var included strings.Builder
	included.WriteString("configurations:\n")
	for i := range shops {
		fmt.Fprintf(&included, `  - {name: shop-%03d, secret: {path: sso/acme-customers}, zendesk_sso: `+
			`{audiences: [end_user], brands: [{id: "9", subdomain: acme-shop}]}}`+"\n", i)
	}
	_, hash := caller.NewKey()
	included.WriteString("callers: [{name: shop, identities: [{api_key_sha256: " + hash + "}], " +
		"grants: [{configurations: [shop-000], actions: [read]}]}]\n")
	write(t, path, main)
	must(t, os.Mkdir(filepath.Join(dir, "conf.d"), 0o755))
	write(t, filepath.Join(dir, "conf.d/shops.yaml"), included.String())
	d := serve(t, path)

	d.expectReloadFailure(t, func() {
		must(t, os.Rename(filepath.Join(dir, "conf.d"), filepath.Join(dir, "away")))
	}, "include[0]: matches no file any more, and once did")
	if got := d.mint(t, key, "shop-000"); got.token == "" {
		t.Errorf("a configuration of the folder that was moved: %d %s", got.status, got.body)
	}
	if all := d.removals(t); len(all) != 0 {
		t.Errorf("the refused reload warns of %v", all)
	}

	optional := strings.Replace(main, "'conf.d/*.yaml'", "{path: 'conf.d/*.yaml', optional: true}", 1)
	d.expectReloadFailure(t, put(t, path, optional),
		"expect.configurations: is 2, but all files together have only 1")

	o := d.expectReload(t, put(t, path, strings.Replace(optional, "configurations: 2", "configurations: 1", 1)))
	if len(o.Configurations.Removed) != maxLoggedNames+1 {
		t.Errorf("the outcome lists %d configurations", len(o.Configurations.Removed))
	}
	all := d.removals(t)
	slices.Sort(all["configurations"])
	if names := slices.Compact(all["configurations"]); len(names) != shops || names[0] != "shop-000" {
		t.Errorf("%d configurations are named", len(names))
	}
	for kind, want := range map[string]string{
		"callers": "[shop]", "identities": "[shop/api_key:" + hash[:8] + "]", "grants": "[shop/grants[0]]",
	} {
		if got := fmt.Sprint(all[kind]); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
	for kind, want := range map[string]float64{
		"configurations": shops, "brands": shops, "callers": 1, "identities": 1, "grants": 1, "issuers": 0,
	} {
		if got := d.metric(t, `deskmint_config_removed_total{kind="`+kind+`"}`); got != want {
			t.Errorf("%s: %v are counted, want %v", kind, got, want)
		}
	}
	d.checkNoSecrets(t, key, customersSecret)
}

// TestRevocationIsNeverHeldBack checks that the removal of the last grant, identity and caller of a
// file takes effect at once.
func TestRevocationIsNeverHeldBack(t *testing.T) {
	t.Parallel()
	path, _, key := files(t)
	d := serve(t, path)
	text := readFile(t, path)
	main, _, found := strings.Cut(text, "callers:")
	if !found {
		t.Fatal("no callers")
	}
	d.expectReload(t, put(t, path, main))
	if got := d.mint(t, key, "acme-customers"); got.status != 401 {
		t.Errorf("the removed caller gets %d %s", got.status, got.body)
	}
	if all := fmt.Sprint(d.removals(t)["callers"]); all != "[storefront]" {
		t.Errorf("the log names %s", all)
	}
}

// TestConfigCheckExpects checks that `config check` applies expect.
func TestConfigCheckExpects(t *testing.T) {
	t.Parallel()
	path, _, _ := files(t)
	write(t, path, readFile(t, path)+audited+"expect: {configurations: 2}\n")
	_, stderr, err := invoke(t, "", "config", "check", path)
	if err == nil || !strings.Contains(stderr, "expect.configurations: is 2, but all files together have only 1") {
		t.Errorf("%v %s", err, stderr)
	}
}
