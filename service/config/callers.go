package config

import (
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/policy"
)

// callers are the callers of all files, by name.
type callers struct {
	identities map[string][]caller.Identity
	grants     map[string][]policy.GrantSettings
	places     map[string][]string // the names of a caller's grants in audit records
}

func (l *loader) readCallers(all *parsedConfigurations) *callers {
	c := &callers{
		identities: map[string][]caller.Identity{},
		grants:     map[string][]policy.GrantSettings{},
		places:     map[string][]string{},
	}
	names, identities := unique{}, unique{}
	var tokens []tokenIdentity
	for _, source := range l.sources {
		for i, entry := range source.Callers {
			at := source.Place("callers").Index(i)
			checkName(at.At("name"), entry.Name, names)
			if len(entry.Identities) == 0 {
				at.At("identities").Problem("is required: how the caller is known, such as api_key_sha256")
			}
			labels := unique{} // two identities of a caller must not have the same name
			for j, id := range entry.Identities {
				at := at.At("identities").Index(j)
				l.checkIdentity(at, id, identities)
				l.checkIdentityMetadata(at, id, labels)
				if id.JWT != nil {
					tokens = append(tokens, tokenIdentity{at.At("jwt"), entry.Name, *id.JWT})
				}
			}
			c.identities[entry.Name] = append(c.identities[entry.Name], entry.Identities...)
			if len(entry.Grants) == 0 {
				at.Warn("has no grants, so everything is denied to it")
				c.grants[entry.Name] = nil // a known caller without grants
			}
			for j, grant := range entry.Grants {
				l.checkGrant(at.At("grants").Index(j), grant, all)
				c.grants[entry.Name] = append(c.grants[entry.Name], grant)
				c.places[entry.Name] = append(c.places[entry.Name], l.grantName(at.At("grants").Index(j)))
			}
		}
	}
	warnOverlaps(tokens)
	if len(c.identities) == 0 && len(names) == 0 && !l.unknown {
		l.sources[0].Place("callers").Warn("is empty, here and in included files, so every request is refused")
	}
	return c
}

// allIdentities returns the identities of all callers, sorted by the callers' names.
func (c *callers) allIdentities() (all []Identity) {
	for _, name := range sortedKeys(c.identities) {
		for _, id := range c.identities[name] {
			all = append(all, Identity{Identity: id, Caller: name})
		}
	}
	return all
}

// grantName returns the name of a grant in audit records and denials. It contains the file's name
// except for the main file.
func (l *loader) grantName(at yamlfile.Place) string {
	if at.Document() == l.sources[0].Document {
		return at.Key()
	}
	return at.Document().Name() + ": " + at.Key()
}

// build returns the authenticator and the policy. It fails only if a problem has been reported
// before.
func (c *callers) build(issuers []caller.Issuer, keys *caller.KeySets) (caller.Authenticator, *policy.Policy, error) {
	known, err := caller.New(c.identities, issuers, keys)
	if err != nil {
		return nil, nil, err
	}
	rights, err := policy.New(c.grants, func(name string, grant int) string { return c.places[name][grant] })
	return known, rights, err
}
