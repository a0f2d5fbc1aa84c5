package config

import (
	"maps"
	"slices"

	"github.com/deskmint/deskmint/service/policy"
)

// checkGrant checks a grant, and that all it names exists: a name that nothing bears
// would deny in silence what somebody meant to allow.
func (l *loader) checkGrant(at place, g policy.GrantSettings, all *slots) {
	g.Check(at.report)
	if l.unknown {
		return // what it names may be in a file that can't be read
	}
	for i, name := range g.Configurations {
		if _, exists := all.byName[name]; exists || name == "*" {
			continue
		}
		at := at.at("configurations").index(i)
		if near := nearest(name, sortedKeys(all.byName)); near != "" {
			at.problem("names no configuration: did you mean %s?", near)
		} else {
			at.problem("names no configuration")
		}
	}
	named := all.named(g)
	g.CheckProtected(protectedPeople(named), at.report, at.warning)
	warnDeniedDomains(at.at("email_domains"), g)
	for i, id := range g.Brands {
		if id != "*" && len(named) > 0 && !slices.ContainsFunc(named, func(s slot) bool { return s.hasBrand(id) }) {
			at.at("brands").index(i).problem("is the id of no brand of the grant's configurations")
		}
	}
	for i, host := range g.ReturnToHosts {
		if host != "*" && len(named) > 0 && !slices.ContainsFunc(named, func(s slot) bool { return s.hasHost(g.Brands, host) }) {
			at.at("return_to_hosts").index(i).problem("is no host of the grant's brands: name an endpoint's or a mapped host, as acme.zendesk.com")
		}
	}
}

// named are the configurations that a grant is for.
func (all *slots) named(g policy.GrantSettings) []slot {
	if slices.Contains(g.Configurations, "*") {
		return slices.Collect(maps.Values(all.byName))
	}
	var named []slot
	for _, name := range g.Configurations {
		if s, ok := all.byName[name]; ok {
			named = append(named, s)
		}
	}
	return named
}

// hasBrand is true of the id of a brand, and where that can't be told because the
// configuration itself is at fault.
func (s slot) hasBrand(id string) bool {
	z := s.settings.ZendeskSSO
	return z == nil || s.unread || slices.ContainsFunc(z.Brands, func(b brand) bool { return b.ID == id })
}

// hasHost is the same for hosts that return_to may name at one of the brands.
func (s slot) hasHost(brands []string, host string) bool {
	if s.profile == nil || s.unread {
		return true
	}
	for _, b := range s.profile.Brands() {
		if b.HasHost(host) && (slices.Contains(brands, b.ID) || slices.Contains(brands, "*")) {
			return true
		}
	}
	return false
}
