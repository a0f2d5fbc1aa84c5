package vault_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

// encryptedFront returns a TLS proxy of a fake Vault. Its certificate is not trusted by default.
func encryptedFront(t *testing.T) (f *frontProxy, root authority) {
	t.Helper()
	root = newAuthority(t)
	f = newFrontProxy(t, newFakeVault(t).URL)
	f.startTLS(t, root.issue(t, time.Hour, x509.ExtKeyUsageServerAuth))
	return f, root
}

// trustingSettings returns the settings of a source that trusts caFile. If caFile is empty, the
// source trusts the authorities of the system.
func trustingSettings(t *testing.T, address, caFile string) vault.Settings {
	t.Helper()
	s := appRole(t, address)
	s.CA = caFile
	return s
}

// readOnce creates a source and reads once.
func readOnce(t *testing.T, s vault.Settings, o vault.Options) error {
	t.Helper()
	source, err := vault.New(s, o)
	if err == nil {
		_, err = source.Status(t.Context(), acme.Path)
	}
	return err
}

func TestTLS(t *testing.T) {
	f, root := encryptedFront(t)
	caFile := credentialFile(t, root.pem())
	if err := readOnce(t, trustingSettings(t, f.URL, caFile), vault.Options{}); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	// The certificate is for 127.0.0.1 and vault.test, not for localhost.
	byName := strings.Replace(f.URL, "127.0.0.1", "localhost", 1)
	for _, tc := range []struct{ name, address, caFile, says string }{
		{"unknown authority", f.URL, "", "unknown authority: check ca"},
		{"another authority", f.URL, credentialFile(t, newAuthority(t).pem()), "unknown authority: check ca"},
		{"another name", byName, caFile, "for another name: check addresses"},
		{
			"plain HTTP",
			strings.Replace(newFakeVault(t).URL, "http://", "https://", 1), caFile,
			"doesn't speak TLS: check the address",
		},
		{"CA file missing", f.URL, caFile + "-missing", "ca: open"},
		{"CA file empty", f.URL, credentialFile(t, "no certificate"), "no certificate in PEM form"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := readOnce(t, trustingSettings(t, tc.address, tc.caFile), vault.Options{})
			checkUnavailable(t, err)
			secretstest.CheckErrorText(t, err, tc.says)
		})
	}
	expired := root.issue(t, -time.Minute, x509.ExtKeyUsageServerAuth)
	forClients := root.issue(t, time.Hour, x509.ExtKeyUsageClientAuth)
	for text, certificate := range map[string]tls.Certificate{
		"has expired or is not valid yet: renew it, and compare the clocks": expired,
		"not valid for a server: have another issued":                       forClients,
	} {
		f.present(certificate)
		err := readOnce(t, trustingSettings(t, f.URL, caFile), vault.Options{})
		checkUnavailable(t, err)
		secretstest.CheckErrorText(t, err, text)
	}
}

func TestSkipVerifyInTheEnvironment(t *testing.T) {
	for value, on := range map[string]bool{
		"1": true, "true": true, "T": true, "yes please": true,
		"0": false, "false": false, "": false,
	} {
		t.Setenv("VAULT_SKIP_VERIFY", value)
		s := appRole(t, "https://vault.internal:8200")
		_, err := vault.New(s, vault.Options{})
		if on {
			secretstest.CheckErrorText(t, err,
				"VAULT_SKIP_VERIFY", "name the authority in ca", "secrets.vault.skip_verify")
		} else if err != nil {
			t.Errorf("%q: %v", value, err)
		}
		s.SkipVerify = true
		if _, err := vault.New(s, vault.Options{}); (err != nil) != (value == "yes please") {
			t.Errorf("%q with skip_verify: %v", value, err)
		}
	}
}

// TestSkipVerify checks that skip_verify accepts a certificate that is refused by default, and that
// it causes one warning.
func TestSkipVerify(t *testing.T) {
	f, _ := encryptedFront(t)
	log := &strings.Builder{}
	s := trustingSettings(t, f.URL, "")
	err := readOnce(t, s, vault.Options{Log: secretstest.NewLog(log)})
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "unknown authority")
	if strings.Contains(log.String(), "skip_verify") {
		t.Errorf("a warning without skip_verify: %s", log)
	}

	s.SkipVerify = true
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	source := newSource(t, s, vault.Options{Log: secretstest.NewLog(log)})
	for range 3 {
		if _, err := source.Status(t.Context(), acme.Path); err != nil {
			t.Fatal(err)
		}
	}
	n := strings.Count(log.String(), "level=WARN")
	if n != 1 ||
		!strings.Contains(log.String(), "secrets.vault.skip_verify is set: Vault's certificate is not verified") {
		t.Errorf("%d warnings, want one of skip_verify: %s", n, log)
	}
}

// TestSkipVerifyOfAWriter checks that the operator's commands use the same settings and warn as
// well.
func TestSkipVerifyOfAWriter(t *testing.T) {
	f, _ := encryptedFront(t)
	t.Setenv("VAULT_TOKEN", "token")
	log := &strings.Builder{}
	for _, skip := range []bool{false, true} {
		s := trustingSettings(t, f.URL, "")
		s.SkipVerify = skip
		w, err := vault.NewWriter(s, vault.Options{Log: secretstest.NewLog(log)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Observe(t.Context(), acme.Path)
		if refused := err != nil && strings.Contains(err.Error(), "unknown authority"); refused == skip {
			t.Errorf("skip_verify %v: %v", skip, err)
		}
		if warned := strings.Contains(log.String(), "skip_verify is set"); warned != skip {
			t.Errorf("skip_verify %v: log %s", skip, log)
		}
	}
}

// TestCAChanges checks that a change of the file of authorities takes effect, and that a file that
// can't be used changes nothing.
func TestCAChanges(t *testing.T) {
	f, root := encryptedFront(t)
	caFile := credentialFile(t, root.pem())
	log := &strings.Builder{}
	source := newSource(t, trustingSettings(t, f.URL, caFile), vault.Options{Log: secretstest.NewLog(log)})
	read := func() error { _, err := source.Status(t.Context(), acme.Path); return err }
	if files := source.Files(); !slices.Contains(files, caFile) || len(files) != 2 {
		t.Errorf("the files are %v", files)
	}
	if err := read(); err != nil || source.Reload(false) {
		t.Fatalf("%v, or a change without one", err)
	}

	next := newAuthority(t)
	for state, content := range map[string]string{
		"empty": "", "no certificate": "no certificate", "half": root.pem() + next.pem()[:100],
	} {
		writeFile(t, caFile, content)
		for range 2 {
			if source.Reload(false) {
				t.Errorf("%s: a change", state)
			}
		}
		if err := read(); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
	if err := os.Remove(caFile); err != nil {
		t.Fatal(err)
	}
	if source.Reload(true) || read() != nil {
		t.Error("without the file the authorities before don't stay in use")
	}
	if n := strings.Count(log.String(), "the previous ones stay in use"); n != 4 {
		t.Errorf("%d errors in the log, want one for each state: %s", n, log)
	}

	f.present(next.issue(t, time.Hour, x509.ExtKeyUsageServerAuth))
	err := read()
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "unknown authority: check ca")
	writeFile(t, caFile, root.pem()+next.pem())
	if !source.Reload(false) {
		t.Error("the change isn't reported")
	}
	if err := read(); err != nil {
		t.Errorf("with both authorities: %v", err)
	}

	// Connections that the authority before vouched for are not used again.
	f.present(root.issue(t, time.Hour, x509.ExtKeyUsageServerAuth))
	if err := read(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, caFile, next.pem())
	source.Reload(false)
	err = read()
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "unknown authority: check ca")
}
