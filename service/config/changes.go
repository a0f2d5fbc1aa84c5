package config

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
)

// Changes are the differences between two snapshots of one kind. They consist of names and never of
// values.
type Changes struct {
	// Kind is configurations, brands, callers, issuers or settings. Brands are named
	// CONFIGURATION/ID, and settings are named by their keys.
	Kind                    string
	Added, Removed, Changed []string // each sorted
}

// kinds are in the order in which changes are reported.
var kinds = []string{"settings", "issuers", "configurations", "brands", "callers"}

// digests are digests of the content of the files, by kind and name.
type digests map[string]map[string][sha256.Size]byte

// Since returns the changes from before to s. It leaves out the kinds without changes. Two
// snapshots with the same content have no changes, even if their files are divided or written
// differently.
func (s *Snapshot) Since(before *Snapshot) []Changes {
	var all []Changes
	for _, kind := range kinds {
		c := Changes{Kind: kind}
		was, is := before.digests[kind], s.digests[kind]
		for _, name := range sortedKeys(is) {
			if old, ok := was[name]; !ok {
				c.Added = append(c.Added, name)
			} else if old != is[name] {
				c.Changed = append(c.Changed, name)
			}
		}
		for _, name := range sortedKeys(was) {
			if _, ok := is[name]; !ok {
				c.Removed = append(c.Removed, name)
			}
		}
		if len(c.Added)+len(c.Removed)+len(c.Changed) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// digests returns the digests of the files. All files must have been checked.
func (l *loader) digests() digests {
	d := digests{}
	for _, kind := range append(slices.Clone(kinds), RemovedGrants) {
		d[kind] = map[string][sha256.Size]byte{}
	}
	main := l.sources[0]
	for key, value := range map[string]any{
		"include":           main.Include,
		"secrets.refresh":   main.Secrets.Refresh,
		"secrets.max_rate":  main.Secrets.MaxRate,
		"secrets.max_stale": main.Secrets.MaxStale,

		"clock.references":      main.Clock.References,
		"expect.configurations": main.Expect.Configurations,
		"expect.callers":        main.Expect.Callers,

		"secrets.require_pointer": main.Secrets.RequirePointer,
	} {
		d.add("settings", key, value)
	}
	for _, issuer := range main.Issuers {
		d.add("issuers", issuer.Name, issuer)
	}
	for _, source := range l.sources {
		for _, c := range source.Configurations {
			if c.ZendeskSSO != nil {
				for _, b := range c.ZendeskSSO.Brands {
					d.add("brands", c.Name+"/"+b.ID, b)
				}
				// Brands are a kind, so their changes don't count as changes of the configuration.
				own := *c.ZendeskSSO
				own.Brands = nil
				c.ZendeskSSO = &own
			}
			d.add("configurations", c.Name, c)
		}
		for _, c := range source.Callers {
			d.add("callers", c.Name, c)
			for i, grant := range c.Grants {
				d.add(RemovedGrants, grantKey(c.Name, i), grant)
			}
		}
	}
	return d
}

// add adds the digest of a value. The value itself isn't kept, because this would double the memory
// for ten thousand configurations.
func (d digests) add(kind, name string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		text = nil // TestDigestsAreComplete shows that this doesn't happen
	}
	d[kind][name] = sha256.Sum256(slices.Concat(text, []byte(kind)))
}
