package config

import "strings"

var configurationProblems = []problemCase{
	{
		"no configurations", minimal, "secrets: {source: memory}\nconfigurations: []\n",
		[]string{"2 configurations"}, "at least one",
	},
	{
		"no name", "name: acme-customers", "display_name: x",
		[]string{"6 configurations[0].name", "17 callers[0].grants[0].configurations[0]"}, "is required",
	},
	{
		"bad name", "name: acme-customers", "name: Acme",
		[]string{"6 configurations[0].name", "17 callers[0].grants[0].configurations[0]"}, "lower-case letters",
	},
	{
		"display name that can't be seen", "name: acme-customers",
		"name: acme-customers\n    display_name: \"a\\u202eb\"",
		[]string{"7 configurations[0].display_name"}, "can't be seen",
	},
	{
		"display name with U+00AD", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u00ADb\"",
		[]string{"7 configurations[0].display_name"}, "can't be seen",
	},
	{
		"display name with U+180E", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u180Eb\"",
		[]string{"7 configurations[0].display_name"}, "can't be seen",
	},
	{
		"display name with U+2061", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u2061b\"",
		[]string{"7 configurations[0].display_name"}, "can't be seen",
	},
	{
		"display name with U+3164", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\u3164b\"",
		[]string{"7 configurations[0].display_name"}, "can't be seen",
	},
	{
		"display name with U+FFF9", "name: acme-customers", "name: acme-customers\n    display_name: \"a\\uFFF9b\"",
		[]string{"7 configurations[0].display_name"}, "can't be seen",
	},
	{
		"display name with U+E0001", "name: acme-customers",
		"name: acme-customers\n    display_name: \"a\\U000E0001b\"",
		[]string{"7 configurations[0].display_name"}, "can't be seen",
	},
	{
		"display name too long", "name: acme-customers",
		"name: acme-customers\n    display_name: " + strings.Repeat("a ", 60) + "b",
		[]string{"7 configurations[0].display_name"}, "100",
	},
	{
		"no secret", "    secret: {path: sso/acme-customers}\n", "",
		[]string{"6 configurations[0].secret.path"}, "is required",
	},
	{"dotted path", "path: sso/acme-customers", "path: sso/../x", []string{"7 configurations[0].secret"}, ""},
	{
		"empty field", "path: sso/acme-customers", "path: a, field: ''",
		[]string{"7 configurations[0].secret.field"}, "shared_secret",
	},
	{
		"zero max_stale", "secret: {", "max_stale: 0s\n    secret: {",
		[]string{"7 configurations[0].max_stale"}, "at least 10s",
	},
	{
		"negative max_stale", "secret: {", "max_stale: -1h\n    secret: {",
		[]string{"7 configurations[0].max_stale"}, "at least 10s",
	},
	{
		"loop limit of one", "secret: {", "loop: {limit: 1}\n    secret: {",
		[]string{"7 configurations[0].loop.limit"}, "2 or more",
	},
	{
		"loop limit of zero", "secret: {", "loop: {limit: 0}\n    secret: {",
		[]string{"7 configurations[0].loop.limit"}, "2 or more",
	},
	{
		"loop limit too high", "secret: {", "loop: {limit: 101}\n    secret: {",
		[]string{"7 configurations[0].loop.limit"}, "100 or less",
	},
	{
		"window too short", "secret: {", "loop: {window: 1ms}\n    secret: {",
		[]string{"7 configurations[0].loop.window"}, "at least 1s",
	},
	{
		"window too long", "secret: {", "loop: {window: 25h}\n    secret: {",
		[]string{"7 configurations[0].loop.window"}, "24h",
	},
	{
		"protected email", "secret: {", "protected: {emails: [a@b.example, Boss <a@b.example>]}\n    secret: {",
		[]string{"7 configurations[0].protected.emails[1]"}, "",
	},
	{
		"protected email in upper case", "secret: {", "protected: {emails: [CEO@b.example]}\n    secret: {",
		[]string{"7 configurations[0].protected.emails[0]"}, "lower case",
	},
	{
		"protected email in Unicode", "secret: {", "protected: {emails: [ceo@bücher.example]}\n    secret: {",
		[]string{"7 configurations[0].protected.emails[0]"}, "at xn--bcher-kva.example",
	},
	{
		"protected email in full width", "secret: {", "protected: {emails: [ceo@ａcme.com]}\n    secret: {",
		[]string{"7 configurations[0].protected.emails[0]"}, "full-width",
	},
	{
		"protected domain in another form", "secret: {",
		"protected: {domains: ['*.Bücher.example', '*.bücher.example']}\n    secret: {",
		[]string{"7 configurations[0].protected.domains[0]", "7 configurations[0].protected.domains[1]"},
		"write *.xn--bcher-kva.example",
	},
	{
		"protected domain in upper case", "secret: {", "protected: {domains: [Acme.com]}\n    secret: {",
		[]string{"7 configurations[0].protected.domains[0]"}, "write acme.com",
	},
	{
		"protected domain", "secret: {",
		"protected: {domains: [acme, '*acme.com', ａcme.com, '@acme.com']}\n    secret: {",
		[]string{
			"7 configurations[0].protected.domains[0]", "7 configurations[0].protected.domains[1]",
			"7 configurations[0].protected.domains[2]", "7 configurations[0].protected.domains[3]",
		},
		"is no domain",
	},
	{
		"no profile",
		`    zendesk_sso:
      audiences: [end_user]
      origins: [https://login.acme.com]
      brands: [{id: "360001", subdomain: acme, hosts: [help.acme.com]}]
`,
		"",
		[]string{"6 configurations[0].zendesk_sso"}, "exactly one profile block",
	},
	{
		"audience", "audiences: [end_user]", "audiences: [everybody]",
		[]string{"9 configurations[0].zendesk_sso.audiences[0]"}, "",
	},
	{
		"no brands", "[{id: \"360001\", subdomain: acme, hosts: [help.acme.com]}]", "[]",
		[]string{"11 configurations[0].zendesk_sso.brands"}, "is required",
	},
	{"brand's id", `id: "360001"`, `id: "acme"`, []string{"11 configurations[0].zendesk_sso.brands[0].id"}, ""},
	{
		"brand's name too long", "subdomain: acme,", "name: " + strings.Repeat("a ", 60) + "b, subdomain: acme,",
		[]string{"11 configurations[0].zendesk_sso.brands[0].name"}, "at most 100",
	},
	{
		"origin that no page's policy can name", "origins: [https://login.acme.com]",
		"origins: ['https://[2001:db8::1]']",
		[]string{"10 configurations[0].zendesk_sso.origins[0]"}, "no IPv6 address",
	},
	{
		"endpoint a mapped host", "audiences: [end_user]",
		"audiences: [end_user]\n      endpoint: https://help.acme.com",
		[]string{"10 configurations[0].zendesk_sso.endpoint"},
		"is a mapped host (line 12), where Zendesk takes no tokens: leave it out",
	},
	{
		"endpoint a mapped host with a port", "audiences: [end_user]",
		"audiences: [end_user]\n      endpoint: https://help.acme.com:443",
		[]string{"10 configurations[0].zendesk_sso.endpoint"}, "is a mapped host",
	},
	{
		"endpoint a mapped host of another configuration", "hosts: [help.acme.com]}]", `hosts: [help.acme.com]}]
  - name: help
    secret: {path: sso/help}
    zendesk_sso:
      {audiences: [end_user], endpoint: "https://{subdomain}.acme.com", brands: [{id: "1", subdomain: help}]}`,
		[]string{"15 configurations[1].zendesk_sso.endpoint"}, "is a mapped host (line 11)",
	},
	{
		"referrer policy", "audiences: [end_user]", "audiences: [end_user]\n      referrer_policy: origin",
		[]string{"10 configurations[0].zendesk_sso.referrer_policy"}, "no-referrer, strict-origin",
	},
	{
		"style of the page", "subdomain: acme,", "subdomain: acme, page: {language: en_US, color: blue},",
		[]string{
			"11 configurations[0].zendesk_sso.brands[0].page.color",
			"11 configurations[0].zendesk_sso.brands[0].page.language",
		},
		"colour",
	},
	{
		"start of the page", "subdomain: acme,", "subdomain: acme, page: {start: //acme.com},",
		[]string{"11 configurations[0].zendesk_sso.brands[0].page.start"}, "one slash",
	},
	{
		"name twice", "callers:",
		`  - name: acme-customers
    secret: {path: x}
    zendesk_sso: {audiences: [end_user], brands: [{id: "1", subdomain: a}]}
callers:`,
		[]string{"12 configurations[1].name"}, "is the same name as in line 6",
	},
}
