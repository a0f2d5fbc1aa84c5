package config

import (
	"cmp"
	"strings"

	"github.com/deskmint/deskmint/service/audit"
)

// checkRestartRequired reports each setting that main changes although a service that runs with s
// can't apply the change. Such a service has opened its listeners and its audit log, and the client
// of the secret store has logged in. The messages contain no values.
//
// A change is a problem and not a warning, so that a reload applies a file as a whole or not at
// all. If a reload applied a part of a file, the digest would be wrong, the rest would take effect
// unexpectedly at a later restart, and replicas of different age would differ while all of them
// report the same digest. A rollout that replaces the process isn't affected: the old process ends
// with the settings that it has.
func (s *Snapshot) checkRestartRequired(main *source) {
	before := restartSettings(s.Listen, s.TLS, s.Audit, s.Secrets)
	after := restartSettings(main.Listen, main.TLS, main.Audit, main.Secrets)
	for key, value := range after {
		if old, ok := before[key]; ok && old != value {
			block, _, _ := strings.Cut(key, ".")
			main.Place(key).Problem("can't change while the service runs: restart to change it, "+
				"or put back what the %s block had at the start", block)
		}
	}
}

// restartSettings returns by key the settings that only a restart changes. Of the secret stores it
// returns those of the store in use, because the others have no effect.
func restartSettings(listen Listen, tls *TLS, log audit.Settings, s Secrets) map[string]any {
	if tls == nil {
		tls = &TLS{}
	}
	settings := map[string]any{
		"listen.grpc":          listen.GRPC,
		"listen.http":          listen.HTTP,
		"listen.ops":           listen.Ops,
		"tls.certificate":      tls.Certificate,
		"tls.key":              tls.Key,
		"tls.client_ca":        tls.ClientCA,
		"tls.allow_plaintext":  tls.AllowPlaintext,
		"audit.output":         cmp.Or(log.Output, "stdout"),
		"audit.plain_email":    log.PlainEmail,
		"audit.email_key_file": log.EmailKeyFile,
		"secrets.source":       s.Source,
	}
	if limit := listen.ConnectionsPerAddress; limit != nil {
		settings["listen.connections_per_address"] = *limit
	} else {
		settings["listen.connections_per_address"] = "the default"
	}
	switch s.Source {
	case "vault":
		settings["secrets.vault.addresses"] = strings.Join(s.Vault.Addresses, " ")
		settings["secrets.vault.ca"] = s.Vault.CA
		settings["secrets.vault.skip_verify"] = s.Vault.SkipVerify
		settings["secrets.vault.namespace"] = s.Vault.Namespace
		settings["secrets.vault.mount"] = s.Vault.Mount
		settings["secrets.vault.auth.method"] = s.Vault.Auth.Method
		settings["secrets.vault.auth.mount"] = s.Vault.Auth.Mount
		settings["secrets.vault.auth.role"] = s.Vault.Auth.Role
		settings["secrets.vault.auth.token_file"] = s.Vault.Auth.TokenFile
		settings["secrets.vault.auth.role_id"] = s.Vault.Auth.RoleID
		settings["secrets.vault.auth.role_id_file"] = s.Vault.Auth.RoleIDFile
		settings["secrets.vault.auth.secret_id_file"] = s.Vault.Auth.SecretIDFile
		settings["secrets.vault.auth.jwt_file"] = s.Vault.Auth.JWTFile
	case "file":
		settings["secrets.file.path"] = s.File.Path
	}
	return settings
}
