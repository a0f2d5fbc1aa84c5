package config

import (
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/caller"
)

// checkSettings checks the settings that only the main file has, and sets their defaults.
func (l *loader) checkSettings(main *source) {
	at := main.place
	main.Listen.setDefaults()
	main.Listen.Check(main.TLS, at("listen").reportProblem)
	if main.TLS != nil {
		main.TLS.check(at("tls"))
		main.TLS.rebase(l.dir)
	}
	main.Secrets.check(at("secrets"))
	main.Secrets.Vault.Rebase(l.dir)
	main.Secrets.File.Rebase(l.dir)
	main.Clock.Check(at("clock").reportProblem)
	l.checkIssuers(at("issuers"), main.Issuers)
	main.Audit.EmailKeyFile = rebase(l.dir, main.Audit.EmailKeyFile)
	if out := &main.Audit.Output; *out != "stdout" && *out != "stderr" {
		*out = rebase(l.dir, *out)
	}
	if !main.Audit.NamesPeople() && !at("audit").hasUnreadable() {
		at("audit").warn("has no email_key_file, so records of sign-ins don't say who was signed in: " +
			"make a key with `openssl rand -hex 32 > audit.key`, and give the file's path. Or set plain_email: true")
	}
}

func (s *Secrets) check(at place) {
	switch source := at.at("source"); s.Source {
	case "vault":
		s.Vault.Check(at.at("vault").reportProblem)
	case "file":
		s.File.Check(at.at("file").reportProblem)
	case "memory":
		source.warn("is for development: outside `deskmint dev` it is empty, and no sign-in succeeds")
	case "":
		source.problem("is required: vault, file or memory")
	default:
		source.problem("is no source of secrets: use vault, file or memory")
	}
	checkDuration(at.at("refresh"), &s.Refresh, secrets.DefaultRefresh, time.Second)
	checkDuration(at.at("max_stale"), &s.MaxStale, secrets.DefaultMaxStale, s.Refresh)
	if rate := at.at("max_rate"); !rate.isSet() {
		s.MaxRate = secrets.DefaultMaxRate
	} else if s.MaxRate < 1 {
		rate.problem("must be 1 or more: reads a second")
	}
}

// checkDuration sets the default of a duration that is missing, and reports one that is too short.
func checkDuration(at place, d *time.Duration, fallback, least time.Duration) {
	if !at.isSet() {
		*d = fallback
	} else if *d < least || *d <= 0 {
		at.problem("must be at least %s", least)
	}
}

// checkIssuers checks the issuers. Each issuer must be listed once, because a token names it by its
// iss.
func (l *loader) checkIssuers(at place, issuers []caller.Issuer) {
	names, values := unique{}, unique{}
	for i := range issuers {
		at := at.index(i)
		checkName(at.at("name"), issuers[i].Name, names)
		issuers[i].Check(at.reportProblem)
		if issuers[i].Issuer != "" {
			values.add(at.at("issuer"), issuers[i].Issuer, "issuer")
		}
		issuers[i].Rebase(l.dir)
	}
}
