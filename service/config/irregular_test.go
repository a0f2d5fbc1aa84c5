//go:build unix

package config

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deskmint/deskmint/service/certs/certstest"
)

// TestIrregularFiles checks that a FIFO in place of any file is refused with a sentence, and that
// reading it doesn't block.
func TestIrregularFiles(t *testing.T) {
	server := certstest.New(t, "ours").Server(t)
	good := map[string]string{
		"tls.crt": server.Certificate, "tls.key": server.Key, "ca.pem": server.Certificate,
		"audit.key": strings.Repeat("k", 32), "team.yaml": teamFile,
	}
	const issuer = `issuers: [{name: a, issuer: "https://a.example", audience: x, `
	for name, change := range map[string]struct{ main, key string }{
		"deskmint.yaml": {minimal, ""},
		"team.yaml":     {minimal + "include: [team.yaml]\n", ""},
		"tls.crt":       {minimal + "tls: {certificate: tls.crt, key: tls.key}\n", "tls.certificate"},
		"tls.key":       {minimal + "tls: {certificate: tls.crt, key: tls.key}\n", "tls.key"},
		"client.pem": {
			minimal + "tls: {certificate: tls.crt, key: tls.key, client_ca: client.pem}\n", "tls.client_ca",
		},
		"audit.key": {minimal + "audit: {email_key_file: audit.key}\n", "audit.email_key_file"},
		"ca.pem": {
			minimal + issuer + "ca: ca.pem}]\n", "issuers[0].ca",
		},
		"keys.json": {
			minimal + issuer + "jwks: keys.json}]\n", "issuers[0].jwks",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range good {
				if file != name {
					write(t, dir, map[string]string{file: text})
				}
			}
			if name != "deskmint.yaml" {
				write(t, dir, map[string]string{"deskmint.yaml": change.main})
			}
			if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(filepath.Join(dir, "deskmint.yaml"), Options{})
			_, text := problems(t, err)
			if !strings.Contains(text, change.key+": ") || !strings.Contains(text, "is a FIFO, not a regular file") {
				t.Errorf("%s", text)
			}
		})
	}
}
