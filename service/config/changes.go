package config

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
)

// Changes is what one snapshot has other than another, by name: never a value.
type Changes struct {
	// Kind is configurations, brands, callers, issuers or settings. Brands are named
	// CONFIGURATION/ID, settings by their keys.
	Kind                    string
	Added, Removed, Changed []string // each sorted
}

// kinds are in the order in which changes are told.
var kinds = []string{"settings", "issuers", "configurations", "brands", "callers"}

// parts are digests of what was written, by kind and name.
type parts map[string]map[string][sha256.Size]byte

// Since tells what has changed from before to s, in the kinds of which anything has. It
// is empty where the two say the same, be it in other words or in other files.
func (s *Snapshot) Since(before *Snapshot) []Changes {
	var all []Changes
	for _, kind := range kinds {
		c := Changes{Kind: kind}
		was, is := before.parts[kind], s.parts[kind]
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

// parts is called once everything has been checked.
func (l *loader) parts() parts {
	p := parts{}
	for _, kind := range kinds {
		p[kind] = map[string][sha256.Size]byte{}
	}
	main := l.sources[0]
	for key, value := range map[string]any{
		"include": main.Include, "secrets.refresh": main.Secrets.Refresh,
		"secrets.max_rate": main.Secrets.MaxRate, "secrets.max_stale": main.Secrets.MaxStale,
	} {
		p.add("settings", key, value)
	}
	for _, issuer := range main.Issuers {
		p.add("issuers", issuer.Name, issuer)
	}
	for _, source := range l.sources {
		for _, c := range source.Configurations {
			if c.ZendeskSSO != nil {
				for _, b := range c.ZendeskSSO.Brands {
					p.add("brands", c.Name+"/"+b.ID, b)
				}
				// Brands are told of by themselves.
				own := *c.ZendeskSSO
				own.Brands = nil
				c.ZendeskSSO = &own
			}
			p.add("configurations", c.Name, c)
		}
		for _, c := range source.Callers {
			p.add("callers", c.Name, c)
		}
	}
	return p
}

// add takes in what was written under a name. Only its digest is kept: ten thousand
// configurations would otherwise be held twice.
func (p parts) add(kind, name string, written any) {
	text, err := json.Marshal(written)
	if err != nil {
		text = nil // a test holds that nothing which can be written leads here
	}
	p[kind][name] = sha256.Sum256(slices.Concat(text, []byte(kind)))
}
