package zendesk

import (
	"net/url"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/loopback"
)

const (
	placeholder = "{subdomain}"
	zendeskHost = "zendesk.com"

	defaultEndpoint = "https://" + placeholder + "." + zendeskHost
)

func (s Settings) endpoint() string {
	if s.Endpoint == "" {
		return defaultEndpoint
	}
	return s.Endpoint
}

// endpointOf returns the origin that a brand's form is posted to.
func (s Settings) endpointOf(subdomain string) string {
	return strings.ReplaceAll(s.endpoint(), placeholder, subdomain)
}

// EndpointHosts returns the hosts that the brands' forms are posted to, except for those of Zendesk
// and of this machine. Only a sandbox can be at such a host. The settings may have faults.
func (s Settings) EndpointHosts(brands []BrandSettings) (hosts []string) {
	if s.Endpoint == "" {
		return nil
	}
	for _, b := range brands {
		u, err := url.Parse(s.endpointOf(b.Subdomain))
		if err != nil {
			continue
		}
		host := u.Hostname()
		if host != "" && !atZendesk(host) && !loopback.BrowserHost(host) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func atZendesk(host string) bool {
	return host == zendeskHost || strings.HasSuffix(host, "."+zendeskHost)
}

// checkEndpoint explains why the endpoint can't receive tokens. It returns "" if it can.
func (s Settings) checkEndpoint(brands []BrandSettings) string {
	if rest := strings.ReplaceAll(s.Endpoint, placeholder, ""); strings.ContainsAny(rest, "{}") {
		return "is no origin: only " + placeholder + " is replaced"
	}
	if fault := checkOrigin(s.endpointOf("x")); fault != "" {
		return fault
	}
	u, err := url.Parse(s.endpointOf("x"))
	if err != nil || !atZendesk(u.Hostname()) {
		return ""
	}
	if port := u.Port(); port != "" && port != "443" {
		return "has a port at which Zendesk takes no tokens: leave it out"
	}
	names := func(b BrandSettings) bool { return u.Hostname() == b.Subdomain+"."+zendeskHost }
	if strings.Contains(s.Endpoint, placeholder) && u.Hostname() != "x."+zendeskHost ||
		!strings.Contains(s.Endpoint, placeholder) && !slices.ContainsFunc(brands, names) {
		return "is no brand's subdomain at Zendesk: leave it out, or write " + defaultEndpoint
	}
	return ""
}
