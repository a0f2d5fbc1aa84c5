package config

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// maxExternalID is the maximum length of an external id, in characters.
const maxExternalID = 255

// Protects reports whether only a grant with `protected: true` may sign in the person with this
// email address. The address must be one that [zendesk.ParseEmail] has returned.
func (c *Configuration) Protects(email string) bool {
	domain := zendesk.EmailDomain(email)
	return slices.Contains(c.protectedEmails, email) || matchesDomain(c.protectedDomains, domain)
}

// ProtectsExternalID is Protects for the external id of a person. The id is the one in the request,
// or empty if the request has none. An id that is too long for a token isn't compared.
func (c *Configuration) ProtectsExternalID(id string) bool {
	return id != "" && len(id) <= maxExternalID*utf8.UTFMax && len(c.protectedExternalIDs) > 0 &&
		c.protectedExternalIDs[policy.FoldExternalID(id)]
}

// any reports whether the file names a protected person.
func (p protected) any() bool { return len(p.Emails)+len(p.Domains)+len(p.ExternalIDs) > 0 }

func foldedIDs(ids []string) map[string]bool {
	folded := make(map[string]bool, len(ids))
	for _, id := range ids {
		folded[policy.FoldExternalID(id)] = true
	}
	return folded
}

func checkProtected(at yamlfile.Place, p protected) {
	for i, e := range p.Emails {
		if parsed, err := zendesk.ParseEmail(e, zendesk.EmailForms()...); err != nil {
			at.At("emails").Index(i).Problem("%v", err)
		} else if parsed != e {
			at.At("emails").Index(i).Problem("must be in lower case and at %s, as addresses are compared",
				zendesk.EmailDomain(parsed))
		}
	}
	for i, d := range p.Domains {
		bare := strings.TrimPrefix(d, "*.")
		switch compared := emailDomain(bare); {
		case d == "*" || compared == bare:
		case compared == "":
			at.At("domains").Index(i).Problem("is no domain: " +
				"write acme.com, *.acme.com for its subdomains, or *, in lower case")
		default:
			at.At("domains").Index(i).Problem("must be in the form in which domains are compared: write %s",
				strings.TrimSuffix(d, bare)+compared)
		}
	}
	warnHalfDomains(at.At("domains"), p.Domains, "protects", func(string) bool { return true })
	first := map[string]yamlfile.Place{}
	for i, id := range p.ExternalIDs {
		at, folded := at.At("external_ids").Index(i), policy.FoldExternalID(id)
		if problem := checkExternalID(id); problem != "" {
			at.Problem("%s", problem)
		} else if before, twice := first[folded]; twice {
			at.Problem("is the same id as in %s, since ids are compared without case: remove one", at.Reference(before))
		} else {
			first[folded] = at
		}
	}
}

// checkExternalID returns the problem of an external id, or "" if there is none.
func checkExternalID(id string) string {
	switch {
	case id == "":
		return "is empty: write the external id that the person has at Zendesk"
	case utf8.RuneCountInString(id) > maxExternalID:
		return "is longer than 255 characters, which no external id is"
	case strings.ContainsFunc(id, unicode.IsControl):
		return "holds a control character: remove it"
	case strings.TrimSpace(id) != id:
		return "has white space at its start or end: remove it"
	}
	return ""
}

// protectedPeople returns the protected people of a grant's configurations, sorted by
// configuration.
func protectedPeople(named []parsedConfiguration) (people []policy.ProtectedPeople) {
	for _, s := range named {
		if p := s.settings.Protected; p.any() {
			people = append(people, policy.ProtectedPeople{
				Configuration: s.settings.Name,
				ExternalIDs:   p.ExternalIDs,
			})
		}
	}
	slices.SortFunc(people, func(a, b policy.ProtectedPeople) int {
		return cmp.Compare(a.Configuration, b.Configuration)
	})
	return people
}

// warnDeniedDomains warns of a denied domain whose subdomains the grant allows, and the reverse.
func warnDeniedDomains(at yamlfile.Place, g policy.GrantSettings) {
	if slices.Contains(g.Actions, policy.SignIn) {
		warnHalfDomains(at.At("deny"), g.EmailDomains.Deny, "denies", func(other string) bool {
			return matchesDomain(g.EmailDomains.Allow, other)
		})
	}
}

// warnHalfDomains warns of a domain in a list without its subdomains, and of subdomains without
// their domain. An operator who writes one of them usually means both. matters reports whether the
// missing entry would have an effect.
func warnHalfDomains(at yamlfile.Place, list []string, does string, matters func(other string) bool) {
	for i, d := range list {
		if d == "*" {
			continue
		}
		// matchesDomain treats "*.acme.com" like any subdomain of acme.com.
		other, subdomains := strings.CutPrefix(d, "*.")
		if !subdomains {
			other = "*." + d
		}
		switch {
		case matchesDomain(list, other) || !matters(other):
		case subdomains:
			at.Index(i).Warn(`%s the subdomains of %s, but not %s itself: add %q`, does, other, other, other)
		default:
			at.Index(i).Warn(`%s %s, but not its subdomains, such as sub.%s: add %q`, does, d, d, other)
		}
	}
}

func matchesDomain(list []string, domain string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool { return policy.DomainMatches(pattern, domain) })
}
