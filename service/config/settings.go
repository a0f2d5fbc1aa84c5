package config

import (
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
)

// checkSettings checks the settings that only the main file has, and sets their defaults.
func (l *loader) checkSettings(main *source) {
	at := main.Place
	main.Listen.setDefaults()
	main.Listen.Check(main.TLS, at("listen").ReportProblem)
	if main.TLS != nil {
		main.TLS.check(at("tls"))
		main.TLS.rebase(l.dir)
	}
	main.Secrets.check(at("secrets"))
	main.Secrets.Vault.Rebase(l.dir)
	main.Secrets.File.Rebase(l.dir)
	main.Clock.Check(at("clock").ReportProblem)
	l.checkIssuers(at("issuers"), main.Issuers)
	main.Audit.EmailKeyFile = rebase(l.dir, main.Audit.EmailKeyFile)
	if out := &main.Audit.Output; *out != "stdout" && *out != "stderr" {
		*out = rebase(l.dir, *out)
	}
	if !main.Audit.NamesPeople() && !at("audit").HasUnreadable() {
		at("audit").Warn("has no email_key_file, so records of sign-ins don't say who was signed in: " +
			"make a key with `openssl rand -hex 32 > audit.key`, and give the file's path. Or set plain_email: true")
	}
}

func (s *Secrets) check(at yamlfile.Place) {
	switch source := at.At("source"); s.Source {
	case "vault":
		s.Vault.Check(at.At("vault").ReportProblem)
	case "file":
		s.File.Check(at.At("file").ReportProblem)
	case "memory":
		source.Warn("is for development: outside `deskmint dev` it is empty, and no sign-in succeeds")
	case "":
		source.Problem("is required: vault, file or memory")
	default:
		source.Problem("is no source of secrets: use vault, file or memory")
	}
	checkDuration(at.At("refresh"), &s.Refresh, secrets.DefaultRefresh, time.Second)
	checkDuration(at.At("max_stale"), &s.MaxStale, secrets.DefaultMaxStale, s.Refresh)
	if rate := at.At("max_rate"); !rate.IsSet() {
		s.MaxRate = secrets.DefaultMaxRate
	} else if s.MaxRate < 1 {
		rate.Problem("must be 1 or more: reads a second")
	}
}

// checkDuration sets the default of a duration that is missing, and reports one that is too short.
func checkDuration(at yamlfile.Place, d *time.Duration, fallback, least time.Duration) {
	if !at.IsSet() {
		*d = fallback
	} else if *d < least || *d <= 0 {
		at.Problem("must be at least %s", least)
	}
}

// checkIssuers checks the issuers. Each issuer must be listed once, because a token names it by its
// iss.
func (l *loader) checkIssuers(at yamlfile.Place, issuers []caller.Issuer) {
	names, values := unique{}, unique{}
	for i := range issuers {
		at := at.Index(i)
		checkName(at.At("name"), issuers[i].Name, names)
		issuers[i].Check(at.ReportProblem)
		if issuers[i].Issuer != "" {
			values.add(at.At("issuer"), issuers[i].Issuer, "issuer")
		}
		issuers[i].Rebase(l.dir)
	}
}
