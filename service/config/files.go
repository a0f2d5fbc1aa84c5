package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
)

// checkFiles reports files that the main file names and that aren't there, or aren't
// what they should be: better now than when a listener starts, or a reload replaces
// what works. Certificates are not checked for their dates, which pass by themselves.
// The store's credentials are read at each login, and left alone here.
func checkFiles(main *source) {
	if t, at := main.TLS, main.place("tls"); t != nil {
		certificate, haveCertificate := readFile(at.at("certificate"), t.Certificate)
		key, haveKey := readFile(at.at("key"), t.Key)
		switch {
		case haveCertificate && !holdsCertificate(certificate):
			at.at("certificate").fault("holds no certificate in PEM form")
		case haveCertificate && haveKey:
			if _, err := tls.X509KeyPair(certificate, key); err != nil {
				at.at("key").fault("isn't the private key of certificate, in PEM form: %v", err)
			}
		}
		checkAuthorities(at.at("client_ca"), t.ClientCA)
	}
	if main.Secrets.Source == "vault" {
		checkAuthorities(main.place("secrets.vault.ca"), main.Secrets.Vault.CA)
	}
	checkAudit(main)
}

func checkAuthorities(at place, path string) {
	if text, ok := readFile(at, path); ok && !holdsCertificate(text) {
		at.fault("holds no certificate in PEM form")
	}
}

func checkAudit(main *source) {
	at := main.place("audit")
	if key, ok := readFile(at.at("email_key_file"), main.Audit.EmailKeyFile); ok && len(bytes.TrimSpace(key)) < 32 {
		at.at("email_key_file").fault("holds fewer than 32 bytes")
	}
	if out := main.Audit.Output; out != "" && out != "stdout" && out != "stderr" {
		if folder, err := os.Stat(filepath.Dir(out)); err != nil {
			at.at("output").fault("can't be written: %s", cause(err))
		} else if !folder.IsDir() {
			at.at("output").fault("can't be written: what it stands in is no folder")
		}
	}
}

// readFile reads a file where one is named, and reports that it can't be read.
func readFile(at place, path string) (text []byte, ok bool) {
	if path == "" {
		return nil, false
	}
	text, err := os.ReadFile(path)
	if err != nil {
		at.fault("can't be read: %s", cause(err))
	}
	return text, err == nil
}

func holdsCertificate(pem []byte) bool { return x509.NewCertPool().AppendCertsFromPEM(pem) }
