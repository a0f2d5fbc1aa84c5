package config

var callerProblems = []problemCase{
	{
		"no identities",
		`    identities:
      - api_key_sha256: ` + storefrontHash + "\n",
		"",
		[]string{"13 callers[0].identities"}, "is required",
	},
	{
		"empty identity", "api_key_sha256: " + storefrontHash,
		"{}",
		[]string{"15 callers[0].identities[0]"}, "exactly one of",
	},
	{
		"two in one identity", "      - api_key_sha256:", "      - mtls_dns: a.example\n        api_key_sha256:",
		[]string{"15 callers[0].identities[0]"}, "exactly one of",
	},
	{
		"no hash", storefrontHash, "4f53",
		[]string{"15 callers[0].identities[0].api_key_sha256"}, "is no SHA-256",
	},
	{
		"key instead of a hash", storefrontHash, "dmk_x",
		[]string{"15 callers[0].identities[0].api_key_sha256"}, "is an API key, where its SHA-256 belongs",
	},
	{
		"URI", "      - api_key_sha256:", "      - mtls_uri: storefront\n      - api_key_sha256:",
		[]string{"15 callers[0].identities[0].mtls_uri"}, "spiffe://",
	},
	{
		"URI in upper case", "      - api_key_sha256:",
		"      - mtls_uri: SPIFFE://acme.internal/x\n      - api_key_sha256:",
		[]string{"15 callers[0].identities[0].mtls_uri"}, "spiffe://",
	},
	{
		"DNS name", "      - api_key_sha256:", "      - mtls_dns: '*.acme.internal'\n      - api_key_sha256:",
		[]string{"15 callers[0].identities[0].mtls_dns"}, "no DNS name",
	},
	{
		"unknown issuer", "      - api_key_sha256:",
		"      - jwt: {issuer: a, subject: b}\n      - api_key_sha256:",
		[]string{"15 callers[0].identities[0].jwt.issuer"}, "is the name of no issuer",
	},
	{
		"JWT without requirements", "      - api_key_sha256:", "      - jwt: {}\n      - api_key_sha256:",
		[]string{"15 callers[0].identities[0].jwt.issuer", "15 callers[0].identities[0].jwt.subject"},
		"is required",
	},
	{
		"JWT claim", "callers:\n",
		`issuers: [{name: a, audience: b, issuer: 'https://a.example', jwks: 'https://a.example/'}]
callers:
  - name: x
    identities: [{jwt: {issuer: a, claims: {b: [c]}}}]
`,
		[]string{"15 callers[0].identities[0].jwt.claims.b"}, "single value",
	},
	{
		"one JWT, two callers", "callers:\n",
		`issuers: [{name: a, audience: b, issuer: 'https://a.example'}]
callers:
  - {name: x, identities: [{jwt: {issuer: a, subject: s, claims: {b: true, c: 1}}}]}
  - {name: y, identities: [{jwt: {issuer: a, subject: s, claims: {c: '1', b: 'true'}}}]}
`,
		[]string{"15 callers[1].identities[0].jwt"}, "is the same identity as in line 14",
	},
	{
		"one key, two callers", "callers:\n",
		`callers:
  - {name: x, identities: [{api_key_sha256: 4F53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945}]}
`,
		[]string{"16 callers[1].identities[0].api_key_sha256"}, "is the same API key as in line 13",
	},
	{
		"one name, two callers", "callers:\n", "callers:\n  - {name: storefront, identities: [{mtls_dns: a}]}\n",
		[]string{"14 callers[1].name"}, "is the same name as in line 13",
	},
	{
		"one identity, two callers", "callers:\n",
		`callers:
  - {name: x, identities: [{mtls_dns: a}]}
  - {name: y, identities: [{mtls_dns: a}]}
`,
		[]string{"14 callers[1].identities[0].mtls_dns"}, "is the same identity as in line 13",
	},
	{
		"grant without configurations", "configurations: [acme-customers]", "configurations: []",
		[]string{"17 callers[0].grants[0].configurations"}, "is required",
	},
	{
		"action", "actions: [sign_in, read]", "actions: [sign_in, mint]",
		[]string{"19 callers[0].grants[0].actions[1]"}, "",
	},
	{
		"claim", "roles: [end_user]", "roles: [end_user]\n        claims: {jti: any}",
		[]string{"21 callers[0].grants[0].claims.jti"}, "",
	},
	{
		"claim's rule", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: every}",
		[]string{"21 callers[0].grants[0].claims.phone"}, "",
	},
	{
		"unknown configuration, near", "configurations: [acme-customers]", "configurations: [acme-costumers]",
		[]string{"17 callers[0].grants[0].configurations[0]"}, "did you mean acme-customers?",
	},
	{
		"unknown configuration, far", "configurations: [acme-customers]", "configurations: [acme-customers, shop]",
		[]string{"17 callers[0].grants[0].configurations[1]"}, "names no configuration",
	},
	{
		"unknown brand", `brands: ["*"]`, `brands: ["360001", "360009"]`,
		[]string{"18 callers[0].grants[0].brands[1]"}, "no brand",
	},
	{
		"host of no brand", "return_to_hosts: [help.acme.com]",
		"return_to_hosts: [help.acme.com, acme.zendesk.com, evil.example]",
		[]string{"22 callers[0].grants[0].return_to_hosts[2]"}, "no host of the grant's brands",
	},
}
