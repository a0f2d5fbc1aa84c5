package config

var settingsProblems = []problemCase{
	{"no source", "  source: file\n", "", []string{"2 secrets.source"}, "is required"},
	{"unknown source", "source: file", "source: keychain", []string{"3 secrets.source"}, "use vault, file or memory"},
	{"file without path", "  file: {path: secrets.yaml}\n", "", []string{"2 secrets.file.path"}, "is required"},
	{
		"vault without settings", "source: file", "source: vault",
		[]string{"2 secrets.vault.addresses", "2 secrets.vault.auth.method"}, "is required",
	},
	{
		"vault unverified beside its ca", "source: file",
		`source: vault
  vault: {addresses: ['https://v'], ca: ca.pem, skip_verify: true, auth: {method: token}}`,
		[]string{"4 secrets.vault.skip_verify"}, "contradicts ca",
	},
	{
		"vault in plaintext", "source: file",
		"source: vault\n  vault: {addresses: ['http://vault.internal'], auth: {method: token}}",
		[]string{"4 secrets.vault.addresses"}, "https",
	},
	{
		"refresh too short", "source: file", "source: file\n  refresh: 999ms",
		[]string{"4 secrets.refresh"}, "at least 1s",
	},
	{"zero refresh", "source: file", "source: file\n  refresh: 0s", []string{"4 secrets.refresh"}, "at least 1s"},
	{
		"max_stale below refresh", "source: file", "source: file\n  refresh: 1m\n  max_stale: 59s",
		[]string{"5 secrets.max_stale"}, "at least 1m0s",
	},
	{"max_rate of zero", "source: file", "source: file\n  max_rate: 0", []string{"4 secrets.max_rate"}, "1 or more"},
	{"address without port", "127.0.0.1:9090", "127.0.0.1", []string{"1 listen.grpc"}, "host:port"},
	{"address with a service's name", "127.0.0.1:9090", "127.0.0.1:http", []string{"1 listen.grpc"}, "host:port"},
	{"port out of range", "127.0.0.1:9090", "127.0.0.1:65536", []string{"1 listen.grpc"}, "host:port"},
	{
		"plaintext on all addresses", "127.0.0.1:9090", ":9090", []string{"1 listen.grpc"},
		"plaintext beyond this machine",
	},
	{
		"one address, two listeners", "127.0.0.1:9090", "127.0.0.1:8080",
		[]string{"1 listen.http"}, "is the address of grpc, too",
	},
	{"include", "callers:", "include: [a.yaml]\ncallers:", []string{"12 include"}, "one document"},
	{"certificate without key", "callers:", "tls: {certificate: a}\ncallers:", []string{"12 tls.key"}, "is required"},
	{"key without certificate", "callers:", "tls: {key: a}\ncallers:", []string{"12 tls.certificate"}, "is required"},
	{
		"client_ca alone", "callers:", "tls: {client_ca: a, allow_plaintext: true}\ncallers:",
		[]string{"12 tls.certificate"}, "is required",
	},
	{"empty tls block", "callers:", "tls: {}\ncallers:", []string{"12 tls.certificate"}, "allow_plaintext"},
	{
		"tls and plaintext", "callers:", "tls: {certificate: a, key: b, allow_plaintext: true}\ncallers:",
		[]string{"12 tls.allow_plaintext"}, "contradicts",
	},
	{
		"empty issuer", "callers:", "issuers: [{}]\ncallers:",
		[]string{"12 issuers[0].audience", "12 issuers[0].issuer", "12 issuers[0].name"}, "is required",
	},
	{
		"issuer in plaintext", "callers:",
		`issuers: [{name: a, audience: b, issuer: 'http://a.example', jwks: 'http://localhost:1/'}]
callers:`,
		[]string{"12 issuers[0].issuer"}, "https",
	},
	{
		"keys in plaintext", "callers:",
		`issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'http://a.example/'}]
callers:`,
		[]string{"12 issuers[0].jwks"}, "or the path of a file",
	},
	{
		"keys by another scheme", "callers:",
		`issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'file:///etc/keys'}]
callers:`,
		[]string{"12 issuers[0].jwks"}, "or the path of a file",
	},
	{
		"issuer with a password", "callers:",
		"issuers: [{name: a, audience: b, issuer: 'https://u:p@a.example'}]\ncallers:",
		[]string{"12 issuers[0].issuer"}, "https",
	},
	{
		"issuer that can't be discovered", "callers:",
		"issuers: [{name: a, audience: b, issuer: 'https://a.example?x'}]\ncallers:",
		[]string{"12 issuers[0].issuer"}, "give jwks",
	},
	{
		"ca and token beside a file", "callers:",
		`issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: keys.json, ca: ca.pem, token_file: token}]
callers:`,
		[]string{"12 issuers[0].ca", "12 issuers[0].token_file"}, "has no use",
	},
	{
		"one issuer, two names", "callers:",
		`issuers:
  - {name: a, audience: b, issuer: 'https://a.example'}
  - {name: b, audience: c, issuer: 'https://a.example'}
callers:`,
		[]string{"14 issuers[1].issuer"}, "is the same issuer as in line 13",
	},
	{
		"one name, two issuers", "callers:",
		`issuers:
  - {name: a, audience: b, issuer: 'https://a.example'}
  - {name: a, audience: b, issuer: 'https://b.example'}
callers:`,
		[]string{"14 issuers[1].name"}, "is the same name as in line 13",
	},
}
