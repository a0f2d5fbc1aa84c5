package config

import (
	"maps"
	"slices"

	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/spelling"
)

// checkGrant checks a grant, and that everything it names exists. A wrong name would silently deny
// what the grant is meant to allow.
func (l *loader) checkGrant(at yamlfile.Place, g policy.GrantSettings, all *parsedConfigurations) {
	g.Check(at.ReportProblem)
	if l.unknown {
		return // the names may be those of configurations that can't be read
	}
	for i, name := range g.Configurations {
		if _, exists := all.byName[name]; exists || name == "*" {
			continue
		}
		at := at.At("configurations").Index(i)
		if near := spelling.Nearest(name, sortedKeys(all.byName)); near != "" {
			at.Problem("names no configuration: did you mean %s?", near)
		} else {
			at.Problem("names no configuration")
		}
	}
	named := all.ofGrant(g)
	g.CheckProtected(protectedPeople(named), at.ReportProblem, at.ReportWarning)
	warnDeniedDomains(at.At("email_domains"), g)
	for i, id := range g.Brands {
		hasBrand := func(s parsedConfiguration) bool { return s.hasBrand(id) }
		if id != "*" && len(named) > 0 && !slices.ContainsFunc(named, hasBrand) {
			at.At("brands").Index(i).Problem("is the id of no brand of the grant's configurations")
		}
	}
	for i, host := range g.ReturnToHosts {
		hasHost := func(s parsedConfiguration) bool { return s.hasHost(g.Brands, host) }
		if host != "*" && len(named) > 0 && !slices.ContainsFunc(named, hasHost) {
			at.At("return_to_hosts").Index(i).Problem("is no host of the grant's brands: " +
				"name an endpoint's or a mapped host, as acme.zendesk.com")
		}
	}
}

// ofGrant returns the configurations of a grant.
func (all *parsedConfigurations) ofGrant(g policy.GrantSettings) []parsedConfiguration {
	if slices.Contains(g.Configurations, "*") {
		return slices.Collect(maps.Values(all.byName))
	}
	var named []parsedConfiguration
	for _, name := range g.Configurations {
		if s, ok := all.byName[name]; ok {
			named = append(named, s)
		}
	}
	return named
}

// hasBrand reports whether the configuration has a brand with this id. It is true, too, if the
// brands couldn't be read.
func (s parsedConfiguration) hasBrand(id string) bool {
	z := s.settings.ZendeskSSO
	return z == nil || s.incomplete || slices.ContainsFunc(z.Brands, func(b brand) bool { return b.ID == id })
}

// hasHost reports whether return_to may name a host of one of the brands. It is true, too, if the
// brands couldn't be read.
func (s parsedConfiguration) hasHost(brands []string, host string) bool {
	if s.profile == nil || s.incomplete {
		return true
	}
	for _, b := range s.profile.Brands() {
		if b.HasHost(host) && (slices.Contains(brands, b.ID) || slices.Contains(brands, "*")) {
			return true
		}
	}
	return false
}
