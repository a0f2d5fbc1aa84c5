package config

import (
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/caller"
)

// checkSettings checks what only the main file has, and fills in what it leaves out.
func (l *loader) checkSettings(main *source) {
	at := main.place
	main.Listen.fill()
	main.Listen.Check(main.TLS, at("listen").report)
	if main.TLS != nil {
		main.TLS.check(at("tls"))
		main.TLS.rebase(l.dir)
	}
	main.Secrets.check(at("secrets"))
	main.Secrets.Vault.Rebase(l.dir)
	main.Secrets.File.Rebase(l.dir)
	l.checkIssuers(at("issuers"), main.Issuers)
	main.Audit.EmailKeyFile = rebase(l.dir, main.Audit.EmailKeyFile)
	if out := &main.Audit.Output; *out != "stdout" && *out != "stderr" {
		*out = rebase(l.dir, *out)
	}
	if !main.Audit.NamesPeople() && !at("audit").unread() {
		at("audit").warn("has no email_key_file, so records of sign-ins don't say who was signed in: " +
			"make a key with `openssl rand -hex 32 > audit.key`, and give the file's path. Or set plain_email: true")
	}
}

func (s *Secrets) check(at place) {
	switch source := at.at("source"); s.Source {
	case "vault":
		s.Vault.Check(at.at("vault").report)
	case "file":
		s.File.Check(at.at("file").report)
	case "memory":
		source.warn("is for development: outside `deskmint dev` nothing fills it, and no sign-in succeeds")
	case "":
		source.problem("is required: vault, file or memory")
	default:
		source.problem("is no source of secrets: use vault, file or memory")
	}
	duration(at.at("refresh"), &s.Refresh, secrets.DefaultRefresh, time.Second)
	duration(at.at("max_stale"), &s.MaxStale, secrets.DefaultMaxStale, s.Refresh)
	if rate := at.at("max_rate"); !rate.given() {
		s.MaxRate = secrets.DefaultMaxRate
	} else if s.MaxRate < 1 {
		rate.problem("must be 1 or more: reads a second")
	}
}

// duration fills in a duration that the file leaves out, and reports one that is too short.
func duration(at place, d *time.Duration, fallback, least time.Duration) {
	if !at.given() {
		*d = fallback
	} else if *d < least || *d <= 0 {
		at.problem("must be at least %s", least)
	}
}

// checkIssuers also wants each issuer once: a token says by its iss whose it is.
func (l *loader) checkIssuers(at place, issuers []caller.Issuer) {
	names, values := unique{}, unique{}
	for i := range issuers {
		at := at.index(i)
		checkName(at.at("name"), issuers[i].Name, names)
		issuers[i].Check(at.report)
		if issuers[i].Issuer != "" {
			values.add(at.at("issuer"), issuers[i].Issuer, "issuer")
		}
		issuers[i].Rebase(l.dir)
	}
}
