package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/zendesk"
)

// manyConfigurations returns a file with n configurations, each with a different brand, and with
// callers that may read some of them.
func manyConfigurations(n int) string {
	var b strings.Builder
	b.WriteString("secrets: {source: memory}\naudit: {plain_email: true}\nconfigurations:\n")
	for i := range n {
		audience := "end_user"
		if i == n-1 {
			audience = "team_member"
		}
		fmt.Fprintf(&b, "  - {name: c-%05d, secret: {path: sso/%[1]d}, zendesk_sso: {audiences: [%[3]s], "+
			"brands: [{id: \"%[2]d\", subdomain: s%[1]d, hosts: [help%[1]d.acme.com], default: true}, "+
			"{id: \"9%05[1]d\", subdomain: t%[1]d}]}}\n", i, i+1, audience)
	}
	b.WriteString("callers:\n")
	last := fmt.Sprintf("c-%05d", n-1)
	for name, grants := range map[string]string{
		"everything": `{configurations: ["*"], brands: ["*"], actions: [read]}`,
		"one":        `{configurations: [` + last + `], brands: ["*"], actions: [read]}`,
		"twice": `{configurations: [` + last + `, c-00000], actions: [read]}, ` +
			`{configurations: [c-00000], actions: [read]}`,
		"inspector": `{configurations: ["*"], actions: [inspect]}`,
		"mixed":     `{configurations: ["*"], actions: [inspect]}, {configurations: [c-00000], actions: [read]}`,
	} {
		fmt.Fprintf(&b, "  - {name: %s, identities: [{api_key_sha256: %s}], grants: [%s]}\n", name,
			caller.HashKey("dmk_"+name), grants)
	}
	return b.String()
}

func parseMany(t *testing.T, n int) *Snapshot {
	t.Helper()
	s, err := Parse("many.yaml", []byte(manyConfigurations(n)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadable(t *testing.T) {
	s := parseMany(t, 4)
	for _, test := range []struct{ caller, after, want string }{
		{"everything", "", "c-00000 c-00001 c-00002 c-00003"},
		{"everything", "c-00001", "c-00002 c-00003"},
		{"everything", "c-00001x", "c-00002 c-00003"},
		{"everything", "c-00003", ""},
		{"everything", "zzz", ""},
		{"one", "", "c-00003"},
		{"one", "c-00003", ""},
		{"twice", "", "c-00000 c-00003"},
		{"mixed", "", "c-00000"},
		{"inspector", "", ""},
		{"unknown", "", ""},
	} {
		var names []string
		for _, c := range s.Readable(test.caller, test.after) {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%s after %q: %q, want %q", test.caller, test.after, got, test.want)
		}
	}
	if got := (&Snapshot{}).Readable("everything", ""); got != nil {
		t.Errorf("an empty snapshot has %v", got)
	}
}

// TestSites checks what a search finds, and that the number of candidates doesn't depend on the
// number of configurations.
func TestSites(t *testing.T) {
	const few, many = 4, 300
	small, large := parseMany(t, few), parseMany(t, many)
	for _, test := range []struct {
		caller string
		search Search
		want   string // of the small snapshot: "CONFIGURATION/BRAND"
		flat   bool
	}{
		{"everything", Search{Brand: "2"}, "c-00001/2", true},
		{"everything", Search{Brand: "900001"}, "c-00001/900001", true},
		{"everything", Search{Host: "help1.acme.com"}, "c-00001/2", true},
		{"everything", Search{Host: "t1.zendesk.com"}, "c-00001/900001", true},
		{"everything", Search{Host: "t1.zendesk.com", Brand: "2"}, "", true},
		{"everything", Search{Brand: "2", Audience: zendesk.TeamMember}, "", true},
		{"everything", Search{Brand: "none"}, "", true},
		{"everything", Search{Host: "none"}, "", true},
		{"everything", Search{Audience: zendesk.TeamMember}, "c-00003/4", true},
		{"everything", Search{}, "c-00000/1 c-00001/2 c-00002/3 c-00003/4", false},
		{"one", Search{}, "c-00003/4", true},
		{"one", Search{Audience: zendesk.EndUser}, "", true},
		{"one", Search{Host: "help3.acme.com"}, "c-00003/4", true},
		{"twice", Search{}, "c-00000/1 c-00003/4", true},
		{"twice", Search{Audience: zendesk.EndUser}, "c-00000/1", true},
		{"mixed", Search{}, "c-00000/1", true},
		{"inspector", Search{}, "", true},
		{"unknown", Search{}, "", true},
	} {
		var found []string
		for site := range small.Sites(test.caller, test.search) {
			found = append(found, site.Configuration.Name+"/"+site.Brand.ID)
		}
		if got := strings.Join(found, " "); got != test.want {
			t.Errorf("%s, %+v: %q, want %q", test.caller, test.search, got, test.want)
		}
		before := len(slices.Collect(small.index.candidates(test.caller, test.search)))
		after := len(slices.Collect(large.index.candidates(test.caller, test.search)))
		if test.flat && after > max(1, before) {
			t.Errorf("%s, %+v: %d candidates of %d configurations, %d of %d", test.caller, test.search, before, few,
				after, many)
		}
	}
}
