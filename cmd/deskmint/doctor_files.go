package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
	"github.com/deskmint/deskmint/service/config"
)

// expiresSoon is how long before its end a certificate is warned of. The service itself
// does later (7 days): then it is urgent.
const expiresSoon = 30 * 24 * time.Hour

// files looks at who else may read what is secret, and change what decides.
func (d *doctor) files(path string, s *config.Snapshot) {
	d.mode("the configuration file", path, 0, 0o002)
	vault := s.Secrets.Vault.Auth
	secret := map[string]string{"audit.email_key_file": s.Audit.EmailKeyFile}
	if s.TLS != nil {
		secret["tls.key"] = s.TLS.Key
	}
	if s.Secrets.Source == "vault" { // Kubernetes' own token file has the mode that Kubernetes gives it
		secret["secrets.vault.auth.token_file"], secret["secrets.vault.auth.secret_id_file"], secret["secrets.vault.auth.jwt_file"] =
			vault.TokenFile, vault.SecretIDFile, vault.JWTFile
	}
	for _, key := range slices.Sorted(maps.Keys(secret)) {
		if secret[key] != "" {
			d.mode(key, secret[key], 0o004, 0o022)
		}
	}
}

// mode finds permissions that a file shouldn't have: private ones let others read what
// they may not know, which in a container may be how the mount is made, and wrong ones let
// them change it.
func (d *doctor) mode(key, path string, private, wrong fs.FileMode) {
	where := key + ": " + path
	f, err := os.Open(path)
	if err != nil {
		d.fault(where, causeOf(err), "create the file, or let the service's user read it; run this command as that user")
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		d.fault(where, causeOf(err), "try again")
		return
	}
	mode := info.Mode().Perm()
	do := fmt.Sprintf("chmod %o %s", mode&^(private|wrong), path)
	switch {
	case mode&wrong != 0:
		d.fault(where, fmt.Sprintf("its permissions (%#o) let others change it", mode), do)
	case mode&private != 0:
		d.warn(where, fmt.Sprintf("its permissions (%#o) let everybody on this machine read it", mode), do)
	default:
		d.ok(where, fmt.Sprintf("its permissions (%#o) are narrow enough", mode))
	}
}

// causeOf is an error of the file system without the path, which stands beside it.
func causeOf(err error) string { return errtext.Cause(err).Error() }

// certificates looks at dates, names and chain. That they can be read and that the key
// fits, the configuration's own check has seen.
func (d *doctor) certificates(s *config.Snapshot, names []string) {
	switch {
	case s.TLS.Enabled():
		var own, clients []*x509.Certificate
		for _, c := range s.TLS.Files().Certificates() {
			if c.Key == "certificate" {
				own = append(own, c.Certificate)
			} else {
				clients = append(clients, c.Certificate)
			}
		}
		d.server("tls.certificate: "+s.TLS.Certificate, own, names)
		d.authorities("tls.client_ca: "+s.TLS.ClientCA, clients)
	case s.TLS != nil && s.TLS.AllowPlaintext:
		d.ok("tls.allow_plaintext", "the transports are plaintext: what is in front of them has the certificate")
	default:
		d.ok("tls", "the transports are plaintext, on loopback only")
	}
	if s.Secrets.Source == "vault" && s.Secrets.Vault.CA != "" {
		d.authorities("secrets.vault.ca: "+s.Secrets.Vault.CA, authoritiesIn(s.Secrets.Vault.CA))
	}
}

// authoritiesIn leaves out what can't be read, which the configuration's check tells.
func authoritiesIn(path string) (all []*x509.Certificate) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, c)
		}
	}
	return all
}

// server judges the server's certificate and those that lead to its root.
func (d *doctor) server(where string, chain []*x509.Certificate, names []string) {
	if len(chain) == 0 {
		return
	}
	leaf, found := chain[0], len(d.findings)
	for _, c := range chain {
		d.dates(where, c, true)
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		d.fault(where, "it has no DNS name and no address, so no client takes it", "have one issued with subject alternative names")
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		d.fault(where, "it isn't one for a server", "have one issued with the extended key usage serverAuth")
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			d.fault(where, "it isn't good for "+name, "have one issued with that name, or let callers use one of "+strings.Join(namesOf(leaf), ", "))
		}
	}
	for i := range chain[1:] {
		if chain[i].CheckSignatureFrom(chain[i+1]) != nil {
			d.warn(where, fmt.Sprintf("certificate %d in it wasn't issued by certificate %d", i+1, i+2), "put the server's first, and after it each one's issuer: some clients fail otherwise")
		}
	}
	if len(d.findings) == found {
		d.ok(where, fmt.Sprintf("good until %s, for %s", leaf.NotAfter.Format(time.DateOnly), strings.Join(namesOf(leaf), ", ")))
	}
}

func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// authorities judges certificates of which one must be good: beside it, one that has
// ended is what a change of authorities leaves.
func (d *doctor) authorities(where string, all []*x509.Certificate) {
	if len(all) == 0 {
		return
	}
	now, found := d.now(), len(d.findings)
	good := slices.ContainsFunc(all, func(c *x509.Certificate) bool { return now.After(c.NotBefore) && now.Before(c.NotAfter) })
	for _, c := range all {
		d.dates(where, c, !good)
	}
	if len(d.findings) == found {
		d.ok(where, fmt.Sprintf("all of its %d certificates are valid", len(all)))
	}
}

func (d *doctor) dates(where string, c *x509.Certificate, needed bool) {
	now, bad := d.now(), d.warn
	if needed {
		bad = d.fault
	}
	who := fmt.Sprintf("the certificate of %q", c.Subject)
	switch {
	case now.After(c.NotAfter):
		bad(where, fmt.Sprintf("%s has expired on %s", who, c.NotAfter.Format(time.DateOnly)), "replace the file: the service follows without a restart")
	case now.Before(c.NotBefore):
		bad(where, fmt.Sprintf("%s isn't valid before %s", who, c.NotBefore.Format(time.DateTime)), "compare this machine's clock, or put the one before back until then")
	case c.NotAfter.Sub(now) < expiresSoon:
		d.warn(where, fmt.Sprintf("%s expires on %s", who, c.NotAfter.Format(time.DateOnly)), "renew it: a replaced file counts from the next connection on")
	}
}

// audit looks whether records can be written, without leaving anything behind.
func (d *doctor) audit(s *config.Snapshot) {
	const do = "let the service's user write there: without a record nothing is signed"
	out := s.Audit.Output
	where := "audit.output: " + out
	switch info, err := os.Stat(out); {
	case out == "" || out == "stdout" || out == "stderr":
		d.ok("audit.output", "records go to a stream of the process")
		return
	case err == nil && info.IsDir():
		d.fault(where, "it is a folder", "name a file")
		return
	case err == nil && !info.Mode().IsRegular():
		d.ok(where, "it is no regular file, and isn't opened here: a pipe's reader would notice")
		return
	case err == nil:
		f, err := os.OpenFile(out, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			d.fault(where, causeOf(err), do)
			return
		}
		_ = f.Close()
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			d.warn(where, fmt.Sprintf("its permissions (%#o) let others change what is on record", mode), fmt.Sprintf("chmod %o %s", mode&^0o022, out))
			return
		}
	default:
		f, err := os.CreateTemp(filepath.Dir(out), ".deskmint-doctor-*")
		if err != nil {
			d.fault(where, causeOf(err), do)
			return
		}
		_, _ = f.Close(), os.Remove(f.Name())
	}
	d.ok(where, "records can be written")
}
