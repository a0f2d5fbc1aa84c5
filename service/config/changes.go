package config

import (
	"time"

	"github.com/deskmint/deskmint/service/config/internal/changes"
)

// Changes are the differences between two snapshots of one kind. They consist of names and never of
// values.
type Changes = changes.Changes

// Removal lists what a snapshot lacks of one kind and the snapshot before it has.
type Removal = changes.Removal

// RemovalKinds returns the kinds of a [Removal] in the order of [Snapshot.Removed].
func RemovalKinds() []string { return changes.RemovalKinds() }

// Since returns the changes from before to s. It leaves out the kinds without changes. Two
// snapshots with the same content have no changes, even if their files are divided or written
// differently.
func (s *Snapshot) Since(before *Snapshot) []Changes { return s.digests.Since(before.digests) }

// Removed returns everything that before has and s lacks. It leaves out the kinds without removals.
// A caller that is removed loses its identities and grants, so these are listed, too.
func (s *Snapshot) Removed(before *Snapshot) []Removal { return s.digests.Removed(before.digests) }

// digests returns the digests of the files. All files must have been checked.
func (l *loader) digests() changes.Digests {
	d := changes.New()
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
		d.Add(changes.Settings, key, value)
	}
	for _, issuer := range main.Issuers {
		d.Add(changes.Issuers, issuer.Name, issuer)
	}
	for _, source := range l.sources {
		for _, c := range source.Configurations {
			if c.ZendeskSSO != nil {
				for _, b := range c.ZendeskSSO.Brands {
					d.Add(changes.Brands, c.Name+"/"+b.ID, b)
				}
				// Brands are a kind, so their changes don't count as changes of the configuration.
				own := *c.ZendeskSSO
				own.Brands = nil
				c.ZendeskSSO = &own
			}
			d.Add(changes.Configurations, c.Name, c)
		}
		for _, c := range source.Callers {
			d.Add(changes.Callers, c.Name, c)
			for i, grant := range c.Grants {
				d.AddGrant(c.Name, i, grant)
			}
			for _, id := range c.Identities {
				credential := id // without what doesn't decide whom it identifies
				credential.Name, credential.Owner, credential.NotAfter = "", "", time.Time{}
				d.Add(changes.Identities, c.Name+"/"+id.Label(), credential)
			}
		}
	}
	return d
}
