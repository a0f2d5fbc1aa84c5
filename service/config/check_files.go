package config

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"

	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/readfile"
)

// checkFiles reports the files that the main file names and that are missing or invalid, before a
// listener starts or a reload replaces a working configuration. It doesn't read the credentials for
// the secret store, because these are read at each login.
func checkFiles(main *source) {
	if main.TLS != nil {
		main.TLS.Files().Check(main.Place("tls").ReportProblem)
	}
	if main.Secrets.Source == "vault" {
		checkAuthorities(main.Place("secrets.vault.ca"), main.Secrets.Vault.CA)
	}
	for i, issuer := range main.Issuers {
		checkIssuerFiles(main.Place("issuers").Index(i), issuer)
	}
	checkAudit(main)
}

// checkIssuerFiles checks the files of an issuer except for the token file, which is a credential.
func checkIssuerFiles(at yamlfile.Place, issuer caller.Issuer) {
	checkAuthorities(at.At("ca"), issuer.CA)
	if text, ok := readFile(at.At("jwks"), issuer.KeyFile()); ok {
		at := at.At("jwks")
		switch err := caller.CheckKeySet(text); {
		case errors.Is(err, caller.ErrEmptyKeySet):
			at.Warn("%v", err) // an operator may have revoked all keys
		case err != nil:
			at.Problem("%v", err)
		}
		for _, weak := range caller.WeakKeys(text) {
			at.Warn("holds a key that is refused: %s; the issuer must sign with a new key", weak)
		}
	}
}

func checkAuthorities(at yamlfile.Place, path string) {
	if text, ok := readFile(at, path); ok && !holdsCertificate(text) {
		at.Problem("holds no certificate in PEM form")
	}
}

func checkAudit(main *source) {
	at := main.Place("audit")
	if text, ok := readFile(at.At("email_key_file"), main.Audit.EmailKeyFile); ok {
		if _, err := audit.ParseKey(text); err != nil {
			at.At("email_key_file").Problem("%v", err)
		}
	}
	if out := main.Audit.Output; out != "" && out != "stdout" && out != "stderr" {
		if folder, err := os.Stat(filepath.Dir(out)); err != nil {
			at.At("output").Problem("can't be written: %s", cause(err))
		} else if !folder.IsDir() {
			at.At("output").Problem("can't be written: its parent is no folder")
		}
	}
}

// readFile reads a file, unless path is empty. It reports a problem if the file can't be read.
func readFile(at yamlfile.Place, path string) (text []byte, ok bool) {
	if path == "" {
		return nil, false
	}
	text, err := readfile.Small(path)
	if err != nil {
		at.Problem("can't be read: %s", cause(err))
	}
	return text, err == nil
}

func holdsCertificate(pem []byte) bool { return x509.NewCertPool().AppendCertsFromPEM(pem) }
