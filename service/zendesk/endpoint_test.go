package zendesk_test

import (
	"slices"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

// TestEndpoint checks that an endpoint at Zendesk is a brand's subdomain, and which hosts are
// neither Zendesk's nor this machine's. The brands are acme and acme-labs.
func TestEndpoint(t *testing.T) {
	const subdomain, port = "is no brand's subdomain at Zendesk: leave it out", "leave it out"
	for _, test := range []struct {
		in, why string
		hosts   []string
	}{
		{"https://{subdomain}.zendesk.com", "", nil},
		{"https://{subdomain}.zendesk.com:443", "", nil},
		{"https://acme.zendesk.com", "", nil},
		{"https://acme-labs.zendesk.com", "", nil},
		{"https://acem.zendesk.com", subdomain, nil},
		{"https://zendesk.com", subdomain, nil},
		{"https://www.zendesk.com", subdomain, nil},
		{"https://help.{subdomain}.zendesk.com", subdomain, nil},
		{"https://{subdomain}-labs.zendesk.com", subdomain, nil},
		{"https://{subdomain}.zendesk.com:8443", port, nil},
		{"https://{brand}.zendesk.com", "only {subdomain} is replaced", nil},
		{"https://{Subdomain}.zendesk.com", "only {subdomain} is replaced", nil},
		{"http://{subdomain}.localhost:8081", "", nil},
		{"https://127.0.0.1:8081", "", nil},
		{"https://help.acme.com", "", []string{"help.acme.com"}},
		{"https://help.acme.com:8443", "", []string{"help.acme.com"}},
		{"https://{subdomain}.acme.com", "", []string{"acme.acme.com", "acme-labs.acme.com"}},
		{"https://acme.notzendesk.com", "", []string{"acme.notzendesk.com"}},
	} {
		s, b := zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}, Endpoint: test.in}, testBrands()
		var want []fault
		if test.why != "" {
			want = []fault{{"endpoint", test.why}}
		}
		wantFaults(t, checkSettings(t, s, b), want...)
		if got := s.EndpointHosts(b); test.why == "" && !slices.Equal(got, test.hosts) {
			t.Errorf("%s: hosts %q, want %q", test.in, got, test.hosts)
		}
	}
}
