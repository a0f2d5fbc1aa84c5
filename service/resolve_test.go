package service_test

import (
	"testing"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

func TestResolveConfiguration(t *testing.T) {
	const customers, staff, both = "acme-customers", "acme-staff", "acme-both"
	s := start(t, settings{configuration: configuration})
	for _, c := range []struct {
		name, key, body string
		conf, brand     string // the result, if there is no reason
		reason          string
		field           string
	}{
		{name: "by brand", body: `"brandId":"360002"`, conf: customers, brand: "360002"},
		{name: "by another brand", body: `"brandId":"360009"`, conf: both, brand: "360009"},
		{name: "a brand of two", body: `"brandId":"360001"`, reason: "CONFIGURATION_AMBIGUOUS"},
		{name: "by brand and customers", body: `"brandId":"360001","audience":"AUDIENCE_END_USER"`,
			conf: customers, brand: "360001"},
		{name: "by brand and team", body: `"brandId":"360001","audience":"AUDIENCE_TEAM_MEMBER"`,
			conf: staff, brand: "360001"},
		{name: "an address in range", body: `"brandId":"360001","clientIp":"192.0.2.9"`,
			reason: "CONFIGURATION_AMBIGUOUS"},
		{name: "an address out of range", body: `"brandId":"360001","clientIp":"198.51.100.9"`,
			conf: customers, brand: "360001"},
		{name: "an IPv6 address in range",
			body: `"brandId":"360001","audience":"AUDIENCE_TEAM_MEMBER","clientIp":"2001:db8::9"`,
			conf: staff, brand: "360001"},
		{name: "an IPv4 address in IPv6",
			body: `"brandId":"360001","audience":"AUDIENCE_TEAM_MEMBER","clientIp":"::ffff:192.0.2.9"`,
			conf: staff, brand: "360001"},
		{name: "a team member out of range",
			body:   `"brandId":"360001","audience":"AUDIENCE_TEAM_MEMBER","clientIp":"198.51.100.9"`,
			reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "by mapped host", body: `"returnTo":"https://help.acme.com/hc/en-us"`, conf: customers, brand: "360001"},
		{name: "by subdomain", body: `"returnTo":"https://acme-labs.zendesk.com/"`, conf: customers, brand: "360002"},
		{name: "by a subdomain of two configurations", body: `"returnTo":"https://acme.zendesk.com/agent"`,
			reason: "CONFIGURATION_AMBIGUOUS"},
		{name: "by host and brand", body: `"returnTo":"https://acme.zendesk.com/","brandId":"360002"`,
			reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "by an origin", body: `"returnTo":"HTTPS://Help.acme.com:443"`, conf: customers, brand: "360001"},
		{name: "by a foreign host", body: `"returnTo":"https://evil.example/"`, reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "by a path, which has no effect", body: `"brandId":"360002","returnTo":"/hc"`,
			conf: customers, brand: "360002"},
		{name: "an empty search", reason: "CONFIGURATION_AMBIGUOUS"},
		{name: "the team's default brands", body: `"audience":"AUDIENCE_TEAM_MEMBER"`,
			reason: "CONFIGURATION_AMBIGUOUS"},
		{name: "an unknown brand", body: `"brandId":"1234567"`, reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a configuration that isn't granted", body: `"brandId":"7"`, reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a caller's only configuration", key: "dmk_storefront", conf: customers, brand: "360001"},
		{name: "a brand that isn't granted", key: "dmk_storefront", body: `"brandId":"360002"`,
			reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a brand of two, one granted", key: "dmk_storefront", body: `"brandId":"360001"`,
			conf: customers, brand: "360001"},
		{name: "without grants", key: "dmk_nobody", body: `"brandId":"360001"`, reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "without read", key: "dmk_slow", body: `"brandId":"360001"`, reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "an unknown caller", key: "dmk_other", body: `"brandId":"360001"`, reason: "CALLER_UNAUTHENTICATED"},
		{name: "not an address", body: `"clientIp":"` + inputMarker + `"`, reason: "INVALID_FIELD", field: "client_ip"},
		{name: "an address with a zone", body: `"clientIp":"fe80::1%eth0"`,
			reason: "INVALID_FIELD", field: "client_ip"},
		{name: "a host with the same suffix", body: `"returnTo":"https://evil-help.acme.com/"`,
			reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a host with the same prefix", body: `"returnTo":"https://help.acme.com.evil.example/"`,
			reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a host as a user name", body: `"returnTo":"https://help.acme.com@evil.example/"`,
			reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a port", body: `"returnTo":"https://help.acme.com:444/"`, reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a host without a scheme", body: `"brandId":"360002","returnTo":"//evil.example/"`,
			reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "a host for browsers only", body: `"brandId":"360002","returnTo":"/\\evil.example/"`,
			reason: "INVALID_FIELD", field: "return_to"},
		{name: "not a URL", body: `"returnTo":"` + inputMarker + `"`, reason: "INVALID_FIELD", field: "return_to"},
		{name: "a script", body: `"returnTo":"javascript:alert(1)"`, reason: "CONFIGURATION_NOT_RESOLVED"},
		{name: "two violations, the first", body: `"returnTo":"http://[","clientIp":"1.2.3"`,
			reason: "INVALID_FIELD", field: "client_ip"},
		{name: "two violations, the second", body: `"returnTo":"http://[","clientIp":"1.2.3"`,
			reason: "INVALID_FIELD", field: "return_to"},
		{name: "an unknown audience", body: `"audience":9`, reason: "INVALID_FIELD", field: "audience"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				keys := []string{c.key}
				if c.key == "" {
					keys = nil
				}
				r := tr.send(t.Context(), t, s, call{method: "ResolveConfiguration", keys: keys, body: c.body})
				m := get[*pb.ResolveConfigurationResponse](t, r)
				want := ""
				if c.conf != "" {
					want = "configurations/" + c.conf
				}
				if r.reason != c.reason || m.GetConfiguration() != want || m.GetBrandId() != c.brand {
					t.Errorf("%v %s %s %s", r.code, r.reason, m.GetConfiguration(), m.GetBrandId())
				}
				if c.field != "" && r.field[c.field] == "" {
					t.Errorf("violations %v, want one of %s", r.field, c.field)
				}
				code := map[string]int{
					"":                           200,
					"CONFIGURATION_NOT_RESOLVED": 404,
					"CONFIGURATION_AMBIGUOUS":    409,
					"INVALID_FIELD":              400,
					"CALLER_UNAUTHENTICATED":     401,
				}[c.reason]
				if tr.name == "http" && r.http != code {
					t.Errorf("HTTP %d, want %d", r.http, code)
				}
			})
		})
	}
}
