package config

import (
	"net/url"
	"time"

	"github.com/deskmint/deskmint/secrets"
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
	checkIssuers(at("issuers"), main.Issuers)
	main.Audit.EmailKeyFile = rebase(l.dir, main.Audit.EmailKeyFile)
	if out := &main.Audit.Output; *out != "stdout" && *out != "stderr" {
		*out = rebase(l.dir, *out)
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
		source.fault("is required: vault, file or memory")
	default:
		source.fault("is no source of secrets: use vault, file or memory")
	}
	duration(at.at("refresh"), &s.Refresh, secrets.DefaultRefresh, time.Second)
	duration(at.at("max_stale"), &s.MaxStale, secrets.DefaultMaxStale, s.Refresh)
	if rate := at.at("max_rate"); !rate.given() {
		s.MaxRate = secrets.DefaultMaxRate
	} else if s.MaxRate < 1 {
		rate.fault("must be 1 or more: reads a second")
	}
}

// duration fills in a duration that the file leaves out, and reports one that is too short.
func duration(at place, d *time.Duration, fallback, least time.Duration) {
	if !at.given() {
		*d = fallback
	} else if *d < least || *d <= 0 {
		at.fault("must be at least %s", least)
	}
}

func checkIssuers(at place, issuers []Issuer) {
	names := unique{}
	for i, issuer := range issuers {
		at := at.index(i)
		checkName(at.at("name"), issuer.Name, names)
		if issuer.Audience == "" {
			at.at("audience").fault("is required: what the claim aud must be")
		}
		checkURL(at.at("issuer"), issuer.Issuer)
		checkURL(at.at("jwks"), issuer.JWKS)
	}
	if len(issuers) > 0 {
		at.warn("have no effect in this version: callers can't be known by bearer JWTs yet")
	}
}

func checkURL(at place, value string) {
	u, err := url.Parse(value)
	secure := err == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()))
	if !secure || u.Host == "" || u.User != nil {
		at.fault("must be an https URL; http is for loopback hosts only")
	}
}
