package config

var structureProblems = []problemCase{
	{"syntax", "  source: file", "  source: [file", []string{"2 "}, "is not valid YAML"},
	{"tab", "  source: file", "\tsource: file", []string{"3 "}, "indent with spaces, not tabs"},
	{"undefined alias", "source: file", "source: *store", []string{"1 "}, "an alias (*…) has no anchor"},
	{"two documents", "callers:", "---\ncallers:", []string{"12 "}, "several documents"},
	{"not a mapping", minimal, "- a\n- b\n", []string{"1 "}, "must be a block of keys"},
	{"empty", minimal, "# nothing\n", []string{"1 configurations", "1 secrets.source"}, "is required"},
	{"empty document", minimal, "---\n", []string{"1 configurations", "1 secrets.source"}, "is required"},
	{"unknown key, near", "callers:", "callerz:", []string{"12 callerz"}, "did you mean callers?"},
	{"unknown key, far", "listen: {grpc", "listen: {rest", []string{"1 listen.rest"},
		"there are connections_per_address, grpc, http, ops"},
	{
		"unknown key of a brand", "subdomain: acme,", "subdomian: acme,",
		[]string{"11 configurations[0].zendesk_sso.brands[0].subdomian"}, "did you mean subdomain?",
	},
	{
		"unknown key of another package", "audiences: [end_user]", "audiences: [end_user]\n      omit_rolle: true",
		[]string{"10 configurations[0].zendesk_sso.omit_rolle"}, "did you mean omit_role?",
	},
	{
		"key that would be a path", "listen: {grpc", `listen: {"a.b[0]": 1, grpc`,
		[]string{`1 listen."a.b[0]"`}, "is no key",
	},
	{
		"key twice", "  source: file", "  source: file\n  refresh: 10s\n  source: vault",
		[]string{"5 secrets.source"}, "is given twice, first in line 3",
	},
	{
		"claim twice", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: any, phone: any}",
		[]string{"21 callers[0].grants[0].claims.phone"}, "is given twice",
	},
	{
		"merge key", "  - name: storefront", "  - <<: {name: storefront}\n    name: storefront",
		[]string{"13 callers[0]"}, "merge key",
	},
	{"key that is a number", "listen: {grpc", "listen: {7: x, grpc", []string{"1 listen"}, "isn't plain text"},
	{"key that is a list", "listen: {grpc", "listen: {[a]: x, grpc", []string{"1 listen"}, "isn't plain text"},
	{
		"key that isn't text, and another problem", "listen: {grpc: \"127.0.0.1:9090\"}\nsecrets:\n  source: file",
		"? [a]\n: b\nsecrets:\n  source: files",
		[]string{"1 ", "4 secrets.source"}, "isn't plain text",
	},
	{"tag", "source: file", "source: !!str file", []string{"3 secrets.source"}, "has a YAML tag"},
	{"no value", "  source: file", "  source:", []string{"3 secrets.source"}, "has no value"},
	{
		"no value in a list", "audiences: [end_user]", "audiences: [end_user, ~]",
		[]string{"9 configurations[0].zendesk_sso.audiences[1]"}, "has no value",
	},
	{
		"list for a block", "  file: {path: secrets.yaml}", "  file: [secrets.yaml]",
		[]string{"4 secrets.file"}, "must be a block of keys",
	},
	{
		"block for a list", "audiences: [end_user]", "audiences: {end_user: true}",
		[]string{"9 configurations[0].zendesk_sso.audiences"}, "must be a list",
	},
	{
		"text for a list", "audiences: [end_user]", "audiences: end_user",
		[]string{"9 configurations[0].zendesk_sso.audiences"}, "must be a list",
	},
	{"block for text", "name: storefront", "name: {a: b}", []string{"13 callers[0].name"}, "must be a single value"},
	{
		"number for text", `id: "360001"`, "id: 360001",
		[]string{"11 configurations[0].zendesk_sso.brands[0].id"}, "must be text: put it in quotes",
	},
	{
		"yes for true", "audiences: [end_user]", "audiences: [end_user]\n      omit_role: yes",
		[]string{"10 configurations[0].zendesk_sso.omit_role"}, "must be true or false",
	},
	{
		"text for a number", "source: file", "source: file\n  max_rate: '5'",
		[]string{"4 secrets.max_rate"}, "must be a whole number",
	},
	{
		"fraction for a whole number", "source: file", "source: file\n  max_rate: 5.5",
		[]string{"4 secrets.max_rate"}, "must be a whole number",
	},
	{
		"hexadecimal", "source: file", "source: file\n  max_rate: 0x10",
		[]string{"4 secrets.max_rate"}, "must be a whole number",
	},
	{
		"text for a fraction", "[help.acme.com]\n", "[help.acme.com]\n        rate: {per_second: fast}\n",
		[]string{"23 callers[0].grants[0].rate.per_second"}, "must be a number",
	},
	{
		"duration without unit", "source: file", "source: file\n  refresh: 10",
		[]string{"4 secrets.refresh"}, "with its unit",
	},
	{
		"duration in days", "source: file", "source: file\n  max_stale: 1d",
		[]string{"4 secrets.max_stale"}, "with its unit",
	},
	{
		"nested too deeply", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: [x, [y]]}",
		[]string{"21 callers[0].grants[0].claims.phone[1]"}, "must be a single value",
	},
	{
		"prefix without a value", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: {prefix: }}",
		[]string{"21 callers[0].grants[0].claims.phone.prefix"}, "has no value",
	},
	{
		"alias of itself", "roles: [end_user]", "roles: [end_user]\n        claims: {phone: &a [*a]}",
		[]string{"21 callers[0].grants[0].claims.phone[0]"}, "must be a single value",
	},
}
