package service

import (
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/transport"
	"github.com/deskmint/deskmint/service/zendesk"
)

// The limits of what an error says about the sites that a search has found. A value of the metadata
// has at most 200 bytes, so at least two sites fit.
const (
	maxCandidates     = 5
	maxCandidatesText = 180
)

// resolveError is a search that found no site or several sites. The caller may read all of them.
type resolveError struct {
	search search
	found  []config.Site // at most one more than maxCandidates
	// returnTo says why nothing was found, if the return_to is the only reason.
	returnTo string
}

func (e *resolveError) Error() string {
	if len(e.found) == 0 {
		return "no configuration or brand"
	}
	return "several configurations or brands"
}

// candidates returns the names of the first sites that were found, as CONFIGURATION/BRAND.
func (e *resolveError) candidates() string {
	var b strings.Builder
	for i, site := range e.found {
		name := site.Configuration.Name + "/" + site.Brand.ID
		if i == maxCandidates || b.Len()+len(name) > maxCandidatesText {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name)
	}
	return b.String()
}

// choices returns the fields that the request lacks and that would tell the found sites apart.
func (e *resolveError) choices() (all []transport.Violation) {
	add := func(field, description string) {
		all = append(all, transport.Violation{Field: field, Description: description})
	}
	if e.search.Brand == "" && differ(e.found, func(s config.Site) string { return s.Brand.ID }) {
		add("brand_id", "is missing: the candidates have different brands")
	}
	if e.search.Audience == "" && differ(e.found, func(s config.Site) string {
		return strings.Join(audiencesOf(s), " ")
	}) {
		add("audience", "is missing: "+e.byAudience())
	}
	if !e.search.ip.IsValid() && differ(e.found, func(s config.Site) string {
		return strings.Join(s.Configuration.Profile.IPRanges(), " ")
	}) {
		add("client_ip", "is missing: the candidates have different ip_ranges")
	}
	if e.search.Host == "" && differ(e.found, func(s config.Site) string {
		return strings.Join(s.Brand.AllHosts(), " ")
	}) {
		add("return_to", "names no host: the candidates have different hosts")
	}
	return all
}

// byAudience says which of the found sites are for which audience.
func (e *resolveError) byAudience() string {
	var parts []string
	for _, audience := range []zendesk.Audience{zendesk.EndUser, zendesk.TeamMember} {
		var names []string
		for _, site := range e.found {
			if name := site.Configuration.Name; site.Configuration.Profile.Serves(audience) &&
				!slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		parts = append(parts, audienceOf(audience).String()+" is for "+strings.Join(names, ", "))
	}
	return strings.Join(parts, "; ")
}

func audiencesOf(s config.Site) (names []string) {
	for _, a := range []zendesk.Audience{zendesk.EndUser, zendesk.TeamMember} {
		if s.Configuration.Profile.Serves(a) {
			names = append(names, string(a))
		}
	}
	return names
}

func differ(sites []config.Site, value func(config.Site) string) bool {
	return slices.ContainsFunc(sites, func(s config.Site) bool { return value(s) != value(sites[0]) })
}

// explainResolve explains a search without a single result.
func (r *refusal) explainResolve(e *resolveError) {
	if len(e.found) == 0 {
		r.Reason = reasonNotResolved
		if e.returnTo != "" {
			r.Violations = []transport.Violation{{
				Field: "return_to", Description: e.returnTo + ". Without it, the search finds something",
			}}
		}
		return
	}
	r.Reason = reasonAmbiguous
	r.Metadata = map[string]string{"candidates": e.candidates()}
	if r.Violations = e.choices(); len(r.Violations) == 0 {
		w := wordingOf(reasonAmbiguous)
		r.Code, r.HTTP = w.code, w.http
		r.Message = "Several of the caller's configurations serve this, and nothing that a request can say chooses " +
			"between them: name one of the candidates at sign-in."
	}
}
