package demo

import (
	"fmt"
	"slices"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/sandbox"
)

// newSandbox returns a Zendesk account with every configuration and brand of the snapshot. Its
// remote login and logout URLs are pages of the demo. It answers a form with a redirect, so that
// the browser applies the page's form-action to the redirect, too, as it does at Zendesk.
func newSandbox(s *config.Snapshot, values secretValues, origin string) (*sandbox.Sandbox, error) {
	o := sandbox.Options{
		MultipleOrganizations: true, Redirect: true, App: origin + "/", Explain: origin + "/received",
	}
	ids := make(map[string]string) // of brands by subdomain; several configurations may have the same brand
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		secret := values[conf.Secret]
		c := sandbox.Configuration{
			Name: name, Secret: func() []byte { return secret }, UpdateExternalIDs: true,
			RemoteLogin:  origin + "/login?configuration=" + name,
			RemoteLogout: origin + "/signed-out?configuration=" + name,
		}
		for _, a := range conf.Profile.Audiences() {
			c.Audiences = append(c.Audiences, string(a))
		}
		for _, b := range conf.Profile.Brands() {
			if known, ok := ids[b.Subdomain]; ok && known != b.ID {
				return nil, fmt.Errorf("the brands %s and %s have the same subdomain %s, so that one sandbox can't "+
					"tell them apart", known, b.ID, b.Subdomain)
			}
			if _, ok := ids[b.Subdomain]; !ok {
				ids[b.Subdomain] = b.ID
				o.Brands = append(o.Brands, sandbox.Brand{
					ID: b.ID, Name: b.Name, Subdomain: b.Subdomain, Hosts: b.Hosts,
				})
			}
			if !slices.Contains(c.Brands, b.ID) {
				c.Brands = append(c.Brands, b.ID)
			}
		}
		o.Configurations = append(o.Configurations, c)
	}
	return sandbox.New(o)
}
