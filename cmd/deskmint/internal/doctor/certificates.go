package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/readfile"
	"github.com/deskmint/deskmint/service/text"
)

// expiresSoon is how long before its end a certificate causes a warning. The service itself warns 7
// days before the end.
const expiresSoon = 30 * 24 * time.Hour

// certificates checks dates, names and chains. Loading the configuration has already checked that
// the files can be read and that the key belongs to the certificate.
func (e *examination) certificates(s *config.Snapshot, names []string) {
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
		e.server("tls.certificate: "+s.TLS.Certificate, own, names)
		e.authorities("tls.client_ca: "+s.TLS.ClientCA, clients)
	case s.TLS != nil && s.TLS.AllowPlaintext:
		e.ok("tls.allow_plaintext", "the transports are plaintext: what is in front of them has the certificate")
	default:
		e.ok("tls", "the transports are plaintext, on loopback only")
	}
	if s.Secrets.Source == "vault" && s.Secrets.Vault.CA != "" {
		e.authorities("secrets.vault.ca: "+s.Secrets.Vault.CA, authoritiesIn(s.Secrets.Vault.CA))
	}
}

// authoritiesIn returns the certificates in a file. It returns none if the file can't be read,
// because loading the configuration has already reported that.
func authoritiesIn(path string) (all []*x509.Certificate) {
	text, err := readfile.Small(path)
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

// server checks the certificate of the server and its chain.
func (e *examination) server(where string, chain []*x509.Certificate, names []string) {
	if len(chain) == 0 {
		return
	}
	leaf, found := chain[0], len(e.findings)
	for _, c := range chain {
		e.dates(where, c, true)
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		e.fault(where, "it has no DNS name and no address, so no client takes it",
			"have one issued with subject alternative names")
	}
	forServers := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	if len(leaf.ExtKeyUsage) > 0 && !forServers {
		e.fault(where, "it isn't one for a server", "have one issued with the extended key usage serverAuth")
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			e.fault(where, "it isn't good for "+name,
				"have one issued with that name, or let callers use one of "+strings.Join(namesOf(leaf), ", "))
		}
	}
	for i := range chain[1:] {
		if chain[i].CheckSignatureFrom(chain[i+1]) != nil {
			e.warn(where, fmt.Sprintf("certificate %d in it wasn't issued by certificate %d", i+1, i+2),
				"put the server's first, and after it each one's issuer: some clients fail otherwise")
		}
	}
	if len(e.findings) == found {
		validFor := strings.Join(namesOf(leaf), ", ")
		e.ok(where, fmt.Sprintf("good until %s, for %s", leaf.NotAfter.Format(time.DateOnly), validFor))
	}
}

func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// authorities checks the certificates of authorities. An expired one is a fault only if no other is
// valid: a change of authorities leaves old ones in the file.
func (e *examination) authorities(where string, all []*x509.Certificate) {
	if len(all) == 0 {
		return
	}
	now, found := e.now(), len(e.findings)
	valid := func(c *x509.Certificate) bool { return now.After(c.NotBefore) && now.Before(c.NotAfter) }
	good := slices.ContainsFunc(all, valid)
	for _, c := range all {
		e.dates(where, c, !good)
	}
	if len(e.findings) == found {
		e.ok(where, "valid: "+text.Count(len(all), "certificate"))
	}
}

// dates checks the dates of a certificate. If it is needed, an invalid date is a fault, not a
// warning.
func (e *examination) dates(where string, c *x509.Certificate, needed bool) {
	now, bad := e.now(), e.warn
	if needed {
		bad = e.fault
	}
	who := fmt.Sprintf("the certificate of %q", c.Subject)
	switch {
	case now.After(c.NotAfter):
		bad(where, fmt.Sprintf("%s has expired on %s", who, c.NotAfter.Format(time.DateOnly)),
			"replace the file: the service follows without a restart")
	case now.Before(c.NotBefore):
		bad(where, fmt.Sprintf("%s isn't valid before %s", who, c.NotBefore.Format(time.DateTime)),
			"compare this machine's clock, or put the one before back until then")
	case c.NotAfter.Sub(now) < expiresSoon:
		e.warn(where, fmt.Sprintf("%s expires on %s", who, c.NotAfter.Format(time.DateOnly)),
			"renew it: a replaced file counts from the next connection on")
	}
}
