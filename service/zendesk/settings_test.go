package zendesk_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

type brands = []zendesk.BrandSettings

// checkSettings returns the faults that Check finds, and checks that New reports the same.
func checkSettings(t *testing.T, s zendesk.Settings, b brands) (faults []fault) {
	t.Helper()
	zendesk.Check(s, b, func(key, why string) { faults = append(faults, fault{key, why}) })
	p, err := zendesk.New(s, b)
	if (err != nil) != (len(faults) > 0) || (p == nil) != (err != nil) {
		t.Errorf("Check finds %q, New returns %v", faults, err)
	}
	for _, f := range faults {
		if !strings.Contains(err.Error(), f.Field+" "+f.Description) {
			t.Errorf("New doesn't report %q", f)
		}
	}
	return faults
}

func TestSettingsFaults(t *testing.T) {
	set := func(edit func(*zendesk.Settings, brands)) (zendesk.Settings, brands) {
		s, b := zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}}, testBrands()
		edit(&s, b)
		return s, b
	}
	const origin, csp = "is no origin", "lower case, and without characters"
	for name, test := range map[string]struct {
		edit func(*zendesk.Settings, brands)
		want []fault
	}{
		"nothing wrong": {func(s *zendesk.Settings, b brands) {}, nil},

		"no audience": {func(s *zendesk.Settings, _ brands) { s.Audiences = nil },
			[]fault{{"audiences", "is required"}}},
		"unknown audience": {func(s *zendesk.Settings, _ brands) { s.Audiences = []zendesk.Audience{"agents"} },
			[]fault{{"audiences[0]", `"agents" is no audience`}}},
		"empty audience": {
			func(s *zendesk.Settings, _ brands) { s.Audiences = []zendesk.Audience{zendesk.EndUser, ""} },
			[]fault{{"audiences[1]", "is no audience"}},
		},
		"audience twice": {func(s *zendesk.Settings, _ brands) {
			s.Audiences = []zendesk.Audience{zendesk.EndUser, zendesk.EndUser}
		},
			[]fault{{"audiences[1]", "is listed twice"}}},

		"range without length": {
			func(s *zendesk.Settings, _ brands) { s.IPRanges = []string{"192.0.2.0/24", "192.0.2.1"} },
			[]fault{{"ip_ranges[1]", "is no range"}},
		},
		"range with host bits": {func(s *zendesk.Settings, _ brands) { s.IPRanges = []string{"192.0.2.1/24"} },
			[]fault{{"ip_ranges[0]", "did you mean 192.0.2.0/24"}}},
		"range too long": {func(s *zendesk.Settings, _ brands) { s.IPRanges = []string{"192.0.2.0/33"} },
			[]fault{{"ip_ranges[0]", "is no range"}}},
		"range with a zone": {func(s *zendesk.Settings, _ brands) { s.IPRanges = []string{"fe80::%eth0/10"} },
			[]fault{{"ip_ranges[0]", "is no range"}}},
		// Addresses of browsers are unmapped before the comparison, so this range would contain
		// none.
		"IPv4 in IPv6": {func(s *zendesk.Settings, _ brands) { s.IPRanges = []string{"::ffff:192.0.2.0/120"} },
			[]fault{{"ip_ranges[0]", "is no range"}}},

		"organization_id_type": {func(s *zendesk.Settings, _ brands) { s.OrganizationIDType = "int" },
			[]fault{{"organization_id_type", `"int" is none of its values: use string, integer`}}},
		"on_invalid_optional": {func(s *zendesk.Settings, _ brands) { s.OnInvalidOptional = "Omit" },
			[]fault{{"on_invalid_optional", "none of its values: use refuse, omit"}}},
		"on_invalid_optional of claims": {
			func(s *zendesk.Settings, _ brands) {
				s.OnInvalidOptional = map[string]any{"phone": "drop", "role": "omit", "tags": "omit", "user_fields": 1}
			},
			[]fault{
				{"on_invalid_optional.phone", "none of its values: use refuse, omit"},
				{"on_invalid_optional.role", "is no optional claim: use custom_role_id, external_id, locale_id"},
				{"on_invalid_optional.user_fields", "none of its values: use refuse, omit"},
			},
		},
		"on_invalid_optional as a list": {
			func(s *zendesk.Settings, _ brands) { s.OnInvalidOptional = []any{"phone"} },
			[]fault{{"on_invalid_optional", "must be refuse or omit, or a block such as {phone: omit, tags: refuse}"}},
		},
		"email_forms": {
			func(s *zendesk.Settings, _ brands) {
				s.EmailForms = []zendesk.EmailForm{"carrier_dots", "quoted", "carrier_dots"}
			},
			[]fault{
				{"email_forms[1]", `"quoted" is none of its values: use carrier_dots, underscored_domains`},
				{"email_forms[2]", "carrier_dots is listed twice"},
			},
		},
		"on_bad_return_to": {func(s *zendesk.Settings, _ brands) { s.OnBadReturnTo = "omit" },
			[]fault{{"on_bad_return_to", "none of its values: use refuse, home, auto"}}},
		"values spelt out": {func(s *zendesk.Settings, _ brands) {
			s.OrganizationIDType, s.OnInvalidOptional, s.OnBadReturnTo = "string", "refuse", "refuse"
		}, nil},

		"brand without id": {func(_ *zendesk.Settings, b brands) { b[1].ID = "" },
			[]fault{{"brands[1].id", "is no brand id"}}},
		"brand id in words": {func(_ *zendesk.Settings, b brands) { b[0].ID = "acme" },
			[]fault{{"brands[0].id", `"acme" is no brand id`}}},
		"negative brand id": {func(_ *zendesk.Settings, b brands) { b[0].ID = "-1" },
			[]fault{{"brands[0].id", "is no brand id"}}},
		"brand id and newline": {func(_ *zendesk.Settings, b brands) { b[0].ID = "1\n" },
			[]fault{{"brands[0].id", "is no brand id"}}},
		"brand id of 21 digits": {func(_ *zendesk.Settings, b brands) { b[0].ID = strings.Repeat("1", 21) },
			[]fault{{"brands[0].id", "is no brand id"}}},
		"brand id twice": {func(_ *zendesk.Settings, b brands) { b[1].ID = b[0].ID },
			[]fault{{"brands[1].id", "the same id"}}},
		"no subdomain": {func(_ *zendesk.Settings, b brands) { b[0].Subdomain = "" },
			[]fault{{"brands[0].subdomain", "is no Zendesk subdomain"}}},
		"subdomain with its host": {func(_ *zendesk.Settings, b brands) { b[0].Subdomain = "acme.zendesk.com" },
			[]fault{{"brands[0].subdomain", "the part before .zendesk.com"}}},
		"subdomain in capitals": {func(_ *zendesk.Settings, b brands) { b[0].Subdomain = "Acme" },
			[]fault{{"brands[0].subdomain", "lower-case"}}},
		"subdomain with a slash": {func(_ *zendesk.Settings, b brands) { b[0].Subdomain = "evil.example/" },
			[]fault{{"brands[0].subdomain", "is no Zendesk subdomain"}}},
		"subdomain with an at": {func(_ *zendesk.Settings, b brands) { b[0].Subdomain = "me@evil" },
			[]fault{{"brands[0].subdomain", "is no Zendesk subdomain"}}},
		"subdomain with a hyphen": {func(_ *zendesk.Settings, b brands) { b[0].Subdomain = "acme-" },
			[]fault{{"brands[0].subdomain", "is no Zendesk subdomain"}}},
		"subdomain of 64": {func(_ *zendesk.Settings, b brands) { b[0].Subdomain = strings.Repeat("a", 64) },
			[]fault{{"brands[0].subdomain", "is no Zendesk subdomain"}}},
		"subdomain twice": {func(_ *zendesk.Settings, b brands) { b[1].Subdomain = "acme" },
			[]fault{{"brands[1].subdomain", "the same subdomain"}}},
		"subdomain twice, where the endpoint has none": {func(s *zendesk.Settings, b brands) {
			b[1].Subdomain, s.Endpoint = "acme", "http://127.0.0.1:8081"
		}, nil},
		"brand name with a control": {func(_ *zendesk.Settings, b brands) { b[0].Name = "Ac\x00me" },
			[]fault{{"brands[0].name", "control"}}},
		"brand name with a joiner": {func(_ *zendesk.Settings, b brands) { b[0].Name = "آکمی\u200cها" }, nil},

		"host with scheme": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[1] = "https://help.acme.com" },
			[]fault{{"brands[0].hosts[1]", "no host name: write help.acme.com"}}},
		"host with port": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "help.acme.com:443" },
			[]fault{{"brands[0].hosts[0]", "is no host name: write help.acme.com"}}},
		"host with path": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "help.acme.com/" },
			[]fault{{"brands[0].hosts[0]", "is no host name: write help.acme.com"}}},
		"host in capitals": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "Help.acme.com" },
			[]fault{{"brands[0].hosts[0]", "is no host name: write help.acme.com"}}},
		"host with wildcard": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "*.acme.com" },
			[]fault{{"brands[0].hosts[0]", "without wildcards"}}},
		"host of one label": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "localhost" },
			[]fault{{"brands[0].hosts[0]", "write it with its domain"}}},
		"host an address": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "192.0.2.1" },
			[]fault{{"brands[0].hosts[0]", "an IP address can't be mapped"}}},
		"host an IDN": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "bücher.example" },
			[]fault{{"brands[0].hosts[0]", "is no host name: write xn--bcher-kva.example"}}},
		"host with an underscore": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "my_store.acme.com" },
			[]fault{{"brands[0].hosts[0]", "has no underscores"}}},
		"empty host": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "" },
			[]fault{{"brands[0].hosts[0]", "is no host name"}}},
		"host of 254 bytes": {
			func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = strings.Repeat("a.", 125) + "aaaa" },
			[]fault{{"brands[0].hosts[0]", "is no host name"}},
		},
		"host of 253 bytes": {
			func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = strings.Repeat("a.", 125) + "aaa" }, nil,
		},
		"host in its xn form": {func(_ *zendesk.Settings, b brands) { b[0].Hosts[0] = "xn--bcher-kva.example" }, nil},

		"two defaults": {func(_ *zendesk.Settings, b brands) { b[1].Default = true },
			[]fault{{"brands", "2 brands are the default"}}},
		"none of two": {func(_ *zendesk.Settings, b brands) { b[0].Default = false },
			[]fault{{"brands", "0 brands are the default"}}},
		"several wrong": {func(s *zendesk.Settings, b brands) { s.Audiences, b[0].ID, s.Endpoint = nil, "x", "x" },
			[]fault{{"audiences", ""}, {"endpoint", origin}, {"brands[0].id", ""}}},

		"origin with path": {func(s *zendesk.Settings, _ brands) {
			s.Origins = []string{"https://a.example", "https://b.example/login"}
		}, []fault{{"origins[1]", origin + ": write https://b.example"}}},
		"origin with a slash": {func(s *zendesk.Settings, _ brands) { s.Origins = []string{"https://a.example/"} },
			[]fault{{"origins[0]", origin + ": write https://a.example"}}},
		"origin in Unicode": {
			func(s *zendesk.Settings, _ brands) { s.Origins = []string{"https://Bücher.example:8443"} },
			[]fault{{"origins[0]", csp + " that have a meaning in a Content-Security-Policy: " +
				"write https://xn--bcher-kva.example:8443"}},
		},
		"origin in capitals": {func(s *zendesk.Settings, _ brands) { s.Origins = []string{"HTTPS://A.example/x"} },
			[]fault{{"origins[0]", "write https://a.example"}}},
		"origin a directive": {
			func(s *zendesk.Settings, _ brands) { s.Origins = []string{"https://a.example;script-src"} },
			[]fault{{"origins[0]", csp}},
		},
		"origin a wildcard": {func(s *zendesk.Settings, _ brands) { s.Origins = []string{"https://*.example"} },
			[]fault{{"origins[0]", csp}}},
		"origin a keyword": {func(s *zendesk.Settings, _ brands) { s.Origins = []string{"'self'"} },
			[]fault{{"origins[0]", origin}}},
	} {
		t.Run(name, func(t *testing.T) {
			wantFaults(t, checkSettings(t, first(set(test.edit)), second(set(test.edit))), test.want...)
		})
	}
	for _, none := range []brands{nil, {}} {
		wantFaults(t, checkSettings(t, zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}}, none),
			fault{"brands", "is required"})
	}
}

func first[A, B any](a A, _ B) A  { return a }
func second[A, B any](_ A, b B) B { return b }

// TestWarn checks that settings without further origins are valid, but cause a warning.
func TestWarn(t *testing.T) {
	for _, origins := range [][]string{nil, {}, {"https://login.acme.com"}} {
		var keys []string
		zendesk.Warn(zendesk.Settings{Origins: origins}, func(key, warning string) {
			keys = append(keys, key)
			if !strings.Contains(warning, "https://login.example.com") {
				t.Errorf("%s %s", key, warning)
			}
		})
		if warned := slices.Equal(keys, []string{"origins"}); warned == (len(origins) > 0) {
			t.Errorf("%q: warnings about %q", origins, keys)
		}
	}
}

// TestOrigins checks that endpoint and origins follow the same rule.
func TestOrigins(t *testing.T) {
	const origin, secure, csp = "is no origin", "must be https", "lower case, and without characters"
	for _, test := range []struct{ in, why string }{
		{"https://{subdomain}.zendesk.com", ""},
		{"https://sso.acme.example", ""},
		{"https://sso", ""},
		{"https://192.0.2.1", ""},
		{"https://[2001:db8::1]:8443", ""},
		{"https://sso.acme.example:8443", ""},
		{"http://localhost", ""},
		{"http://localhost:8081", ""},
		{"http://{subdomain}.localhost:8081", ""},
		{"http://127.0.0.1:8081", ""},
		{"http://127.1.2.3:8081", ""},
		{"http://[::1]:8081", ""},
		{"http://{subdomain}.zendesk.com", secure + ": plain http is for loopback"},
		{"http://localhost.evil.example", secure + ": plain http is for loopback"},
		{"http://evil-localhost", secure + ": plain http is for loopback"},
		{"http://127.0.0.1.evil.example", secure + ": plain http is for loopback"},
		{"http://0.0.0.0:8081", secure + ": plain http is for loopback"},
		{"http://[::ffff:192.0.2.1]", secure + ": plain http is for loopback"},
		{"http://{subdomain}", secure + ": plain http is for loopback"},
		{"ftp://localhost", secure},
		{"javascript://localhost", secure},
		{"HTTPS://sso.acme.example", origin},
		{"https://SSO.acme.example", csp},
		{"https://sso.acme.example/", origin},
		{"https://sso.acme.example/access/jwt", origin},
		{"https://sso.acme.example?x", origin},
		{"https://sso.acme.example#x", origin},
		{"https://me@sso.acme.example", origin},
		{"https://{subdomain}@evil.example", origin},
		{"https://sso.acme.example:", origin},
		{"https://:8443", origin},
		{"https://sso.acme.example:x", origin},
		{"//sso.acme.example", origin},
		{"sso.acme.example", origin},
		{"https:sso.acme.example", origin},
		{"https://", origin},
		{"https", origin},
		{" https://sso.acme.example", origin},
		{"https://sso.acme.example ", origin},
		{"https://sso.acme.example\n", origin},
		{"https://bücher.example", csp},
		{"https://a.example,b.example", csp},
		{"https://a.example;b", csp},
		{"https://a'b.example", csp},
		{`https://a"b.example`, csp},
		{"https://a<b>.example", csp},
		{"https://a_b.example", csp},
		{"https://*.acme.example", csp},
		{"https://{brand}.zendesk.com", origin},
		{"https://{subdomain", origin},
	} {
		s := zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}, Endpoint: test.in}
		var want []fault
		if test.why != "" {
			want = append(want, fault{"endpoint", test.why})
		}
		wantFaults(t, checkSettings(t, s, testBrands()), want...)
		if t.Failed() {
			t.Fatalf("with %q", test.in)
		}
		if strings.Contains(test.in, "{subdomain}") {
			continue
		}
		s.Endpoint, s.Origins = "", []string{test.in}
		for i := range want {
			want[i].Field = "origins[0]"
		}
		wantFaults(t, checkSettings(t, s, testBrands()), want...)
	}
	s := zendesk.Settings{
		Audiences: []zendesk.Audience{zendesk.EndUser},
		Origins:   []string{"https://{subdomain}.zendesk.com"},
	}
	if faults := checkSettings(t, s, testBrands()); len(faults) != 1 {
		t.Errorf("{subdomain} in origins is accepted: %q", faults)
	}
}

func TestProfile(t *testing.T) {
	p := testProfile(t, forBoth)
	if got := p.Audiences(); !slices.Equal(got, []zendesk.Audience{zendesk.EndUser, zendesk.TeamMember}) {
		t.Errorf("Audiences are %q", got)
	}
	p.Audiences()[0], p.Brands()[0] = "x", nil // must change copies only
	if p.Audiences()[0] != zendesk.EndUser || p.Brands()[0] == nil {
		t.Error("a caller can change the profile")
	}
	var ids []string
	for _, b := range p.Brands() {
		ids = append(ids, b.ID)
	}
	if !slices.Equal(ids, []string{"360001", "360002"}) {
		t.Errorf("Brands are %q, want them in the file's order", ids)
	}
	if p.Brand("") != p.Brand("360001") || p.Brand("360002") == nil || p.Brand("360003") != nil ||
		p.Brand("acme") != nil {
		t.Error("Brand returns the wrong brand")
	}
	for a, want := range map[zendesk.Audience]bool{
		"":                 true,
		zendesk.EndUser:    false,
		zendesk.TeamMember: true,
		"x":                false,
	} {
		if got := testProfile(t, forStaff).Serves(a); got != want {
			t.Errorf("Serves(%q) is %t", a, got)
		}
	}
}

func TestBrand(t *testing.T) {
	origins := func(s *zendesk.Settings) {
		s.Origins = []string{"https://login.acme.com", "https://help.acme.com"}
	}
	for name, test := range map[string]struct {
		profile *zendesk.Profile
		id      string
		action  string
		sources []string
	}{
		"with mapped hosts": {testProfile(t, origins), "360001", "https://acme.zendesk.com/access/jwt",
			[]string{
				"https://acme.zendesk.com", "https://help.acme.com", "https://hilfe.acme.de",
				"https://login.acme.com",
			}},
		"without": {testProfile(t), "360002", "https://acme-labs.zendesk.com/access/jwt",
			[]string{"https://acme-labs.zendesk.com"}},
		"at the sandbox": {testProfile(t,
			func(s *zendesk.Settings) { s.Endpoint = "http://{subdomain}.localhost:8081" }), "360002",
			"http://acme-labs.localhost:8081/access/jwt",
			[]string{"http://acme-labs.localhost:8081", "https://acme-labs.zendesk.com"}},
		"at one host": {testProfile(t, func(s *zendesk.Settings) { s.Endpoint = "http://127.0.0.1:8081" }), "360002",
			"http://127.0.0.1:8081/access/jwt", []string{"http://127.0.0.1:8081", "https://acme-labs.zendesk.com"}},
	} {
		b := test.profile.Brand(test.id)
		if b.Action != test.action || !slices.Equal(b.FormActionSources, test.sources) {
			t.Errorf("%s: the form is posted to %s, with sources %q", name, b.Action, b.FormActionSources)
		}
	}
	p := testProfile(t)
	if a, b := p.Brand("360001"), p.Brand("360002"); a.Name != "Acme" || !a.Default || b.Name != "acme-labs" ||
		b.Default || b.Subdomain != "acme-labs" {
		t.Errorf("brands are %+v and %+v", a, b)
	}
	only, err := zendesk.New(zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}},
		brands{{ID: "1", Subdomain: "a"}})
	if err != nil || only.Brand("") == nil || !only.Brand("").Default {
		t.Errorf("the only brand is not the default: %v", err)
	}
	b := p.Brand("")
	for host, want := range map[string]bool{
		"acme.zendesk.com": true, "help.acme.com": true, "hilfe.acme.de": true, "acme-labs.zendesk.com": false,
		"ACME.zendesk.com": false, "acme.zendesk.com:443": false, "": false, "zendesk.com": false,
	} {
		if got := b.HasHost(host); got != want {
			t.Errorf("HasHost(%q) is %t", host, got)
		}
	}
}
