package file_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

const (
	canary = secretstest.Canary // the value wherever an error might quote it by mistake
	one    = secretstest.First
	two    = secretstest.Second
	three  = secretstest.Third
)

var acme = secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"}

const good = `
secrets:
  sso/acme-customers:
    active: 1
    versions:
      1: {shared_secret: "` + one + `", created: 2026-01-10T09:00:00Z}
      2: {shared_secret: "` + two + `", created: 2026-06-01T09:00:00Z}
  sso/acme-staff:
    versions:
      3: {shared_secret: ` + one + `, other: "short"}
      7: {shared_secret: ` + two + `}
`

// write writes a secrets file in a new folder and returns its path.
func write(t testing.TB, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.yaml")
	rewrite(t, path, text, mode)
	return path
}

func rewrite(t testing.TB, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func newStore(path string) *file.Store { return file.New(file.Settings{Path: path}) }

// rotator returns a Rotator of the secret acme in the file. Its clock always has the same time.
func rotator(path string) *rotate.Rotator {
	w := file.NewWriter(file.Settings{Path: path})
	w.Now = func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.FixedZone("somewhere", 7200)) }
	return &rotate.Rotator{Store: w, Ref: acme, Now: w.Now}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
