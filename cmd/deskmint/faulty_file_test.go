//go:build long

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// maxText is the largest log line and the largest answer of /readyz, in bytes.
const maxText = 64 << 10

// manyFiles writes the files of a service with this many configurations, each with a secret.
func manyFiles(t *testing.T, count int) (config, secrets string) {
	t.Helper()
	_, hash := caller.NewKey()
	head, rest, _ := strings.Cut(onFile(hash), "configurations:\n")
	_, callers, _ := strings.Cut(rest, "callers:\n")
	var configurations strings.Builder
	for i := range count {
		fmt.Fprintf(&configurations, "  - {name: shop-%04d, secret: {path: sso/shop-%04d}, zendesk_sso: {audiences: "+
			"[end_user], brands: [{id: \"%d\", name: Shop, subdomain: shop-%d}]}}\n", i, i, i+1, i)
	}
	head = strings.Replace(head, "refresh: 1s", "refresh: 1s, max_rate: 100000", 1)
	dir := folder(t, map[string]string{
		"deskmint.yaml": head + "configurations:\n" + configurations.String() + "callers:\n" + callers,
		"secrets.yaml":  manySecrets(count, ""),
	})
	return filepath.Join(dir, "deskmint.yaml"), filepath.Join(dir, "secrets.yaml")
}

// manySecrets returns a file with this many secrets. Each has the extra line.
func manySecrets(count int, extra string) string {
	var text strings.Builder
	text.WriteString("secrets:\n")
	for i := range count {
		fmt.Fprintf(&text, "  sso/shop-%04d:\n%s    versions: {1: {shared_secret: %q}}\n", i, extra, customersSecret)
	}
	return text.String()
}

// readyzBody returns the body of /readyz, which must be valid JSON and have at most 64 KiB.
func (d *deskmint) readyzBody(t *testing.T, query string) string {
	t.Helper()
	response, err := http.Get("http://" + d.ops + "/readyz" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || !json.Valid(body) || len(body) > maxText {
		t.Fatalf("/readyz%s has %d bytes, valid: %v, %v", query, len(body), json.Valid(body), err)
	}
	return string(body)
}

// TestFaultyFileOfManySecrets checks that a file with a fault in each of 1,000 secrets gives each
// configuration its own fault, and that neither the log nor /readyz grows with the square of that.
func TestFaultyFileOfManySecrets(t *testing.T) {
	t.Parallel()
	const count = 1000
	config, secrets := manyFiles(t, count)
	d := spawn(t, build(t), serveArgs(config, "--drain", "0s")...)
	d.awaitStart(t)
	var all struct {
		Configurations map[string]configurationState
		LeftOut        int `json:"configurations_left_out"`
	}
	if err := json.Unmarshal([]byte(d.readyzBody(t, "")), &all); err != nil {
		t.Fatal(err)
	}
	if n := len(all.Configurations); n+all.LeftOut != count || n < 300 {
		t.Errorf("/readyz has %d configurations and leaves out %d of %d", n, all.LeftOut, count)
	}

	d.err.reset()
	write(t, secrets, manySecrets(count, "    activ: 1\n"))
	const logged = "secret fault: the held key is still used"
	eventually(t, func() error {
		if n := strings.Count(d.err.String(), logged); n < count {
			return fmt.Errorf("the log has %d of %d faults", n, count)
		}
		return nil
	})
	body := d.readyzBody(t, "")
	if !strings.Contains(body, `"configurations_left_out":`) || !strings.Contains(body, "and 996 more in the file") {
		t.Errorf("/readyz is %s", body)
	}
	one := d.readyzBody(t, "?configuration=shop-0999")
	for _, want := range []string{`{"shop-0999":{`, "secrets.yaml:3000: secret sso/shop-0999: unknown key activ"} {
		if !strings.Contains(one, want) || strings.Contains(one, "left_out") || strings.Contains(one, "shop-0998") {
			t.Errorf("/readyz about one configuration doesn't have %s: %s", want, one)
		}
	}
	log := d.err.String()
	for line := range strings.Lines(log) {
		if len(line) > maxText {
			t.Errorf("a line of the log has %d bytes", len(line))
		}
	}
	if limit := count * 2000; len(log) > limit {
		t.Errorf("the log has %d bytes, want at most %d", len(log), limit)
	}
	t.Logf("the log has %d bytes, /readyz %d", len(log), len(body))
	d.checkNoSecrets(t, customersSecret)
}
