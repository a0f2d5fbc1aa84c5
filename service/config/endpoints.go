package config

import "github.com/deskmint/deskmint/service/config/internal/yamlfile"

// checkEndpoints reports each endpoint that is a mapped host of any brand. Zendesk takes tokens at a
// brand's subdomain only, and answers them at a mapped host with an error. Any other host outside
// Zendesk gets a warning.
func (l *loader) checkEndpoints() {
	custom := false
	l.eachProfile(func(_ yamlfile.Place, z *zendeskSSO) { custom = custom || z.Endpoint != "" })
	if !custom {
		return
	}
	mapped := map[string]yamlfile.Place{}
	l.eachProfile(func(at yamlfile.Place, z *zendeskSSO) {
		for i, b := range z.Brands {
			for j, host := range b.Hosts {
				mapped[host] = at.At("brands").Index(i).At("hosts").Index(j)
			}
		}
	})
	l.eachProfile(func(at yamlfile.Place, z *zendeskSSO) {
		at = at.At("endpoint")
		for _, host := range z.EndpointHosts(z.brands()) {
			switch brand, ok := mapped[host]; {
			case at.HasProblem():
			case ok:
				at.Problem("is a mapped host (%s), where Zendesk takes no tokens: leave it out, "+
					"and forms are posted to the brand's subdomain", at.Reference(brand))
			default:
				at.Warn("posts tokens to %s, which isn't Zendesk's: leave it out, unless a sandbox is there", host)
			}
		}
	})
}

func (l *loader) eachProfile(do func(at yamlfile.Place, z *zendeskSSO)) {
	for _, source := range l.sources {
		for i, c := range source.Configurations {
			if c.ZendeskSSO != nil {
				do(source.Place("configurations").Index(i).At("zendesk_sso"), c.ZendeskSSO)
			}
		}
	}
}
