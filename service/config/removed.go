package config

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/caller"
)

// The kinds of a [Removal].
const (
	RemovedIssuers        = "issuers"
	RemovedConfigurations = "configurations"
	RemovedBrands         = "brands"
	RemovedCallers        = "callers"
	RemovedIdentities     = "identities"
	RemovedGrants         = "grants"
)

// Removal lists what a snapshot lacks of one kind and the snapshot before it has.
type Removal struct {
	Kind string
	// Names are sorted. Brands are named CONFIGURATION/ID, identities CALLER/IDENTITY, and grants
	// CALLER/grants[INDEX], with the index that the grant had.
	Names []string
}

// RemovalKinds returns the kinds of a [Removal] in the order of [Snapshot.Removed].
func RemovalKinds() []string {
	return []string{
		RemovedIssuers, RemovedConfigurations, RemovedBrands, RemovedCallers, RemovedIdentities, RemovedGrants,
	}
}

// Removed returns everything that before has and s lacks. It leaves out the kinds without removals.
// A caller that is removed loses its identities and grants, so these are listed, too.
func (s *Snapshot) Removed(before *Snapshot) (all []Removal) {
	for _, kind := range RemovalKinds() {
		var names []string
		switch kind {
		case RemovedIdentities:
			names = s.removedIdentities(before)
		case RemovedGrants:
			names = s.removedGrants(before)
		default:
			for name := range before.digests[kind] {
				if _, ok := s.digests[kind][name]; !ok {
					names = append(names, name)
				}
			}
		}
		if slices.Sort(names); len(names) > 0 {
			all = append(all, Removal{Kind: kind, Names: names})
		}
	}
	return all
}

// removedIdentities compares credentials and not labels, so that an identity that gets another name
// isn't listed.
func (s *Snapshot) removedIdentities(before *Snapshot) (names []string) {
	type credential struct{ caller, text string }
	of := func(id Identity) credential {
		return credential{id.Caller, caller.Identity{
			MTLSURI: id.MTLSURI, MTLSDNS: id.MTLSDNS, JWT: id.JWT, APIKeySHA256: id.APIKeySHA256,
		}.Label()}
	}
	kept := make(map[credential]bool, len(s.Identities))
	for _, id := range s.Identities {
		kept[of(id)] = true
	}
	for _, id := range before.Identities {
		if !kept[of(id)] {
			names = append(names, id.Caller+"/"+id.Label())
		}
	}
	return names
}

// removedGrants lists the grants of each caller that has fewer than before. Grants have no name, so
// their content identifies them. A grant that is only edited isn't listed.
func (s *Snapshot) removedGrants(before *Snapshot) (names []string) {
	type content struct {
		caller string
		digest [sha256.Size]byte
	}
	kept, count := map[content]int{}, map[string]int{}
	for name, digest := range s.digests[RemovedGrants] {
		caller, _, _ := strings.Cut(name, "/")
		kept[content{caller, digest}]++
		count[caller]++
	}
	for name := range before.digests[RemovedGrants] {
		caller, _, _ := strings.Cut(name, "/")
		count[caller]--
	}
	for _, name := range sortedKeys(before.digests[RemovedGrants]) {
		caller, _, _ := strings.Cut(name, "/")
		c := content{caller, before.digests[RemovedGrants][name]}
		if kept[c]--; kept[c] < 0 && count[caller] < 0 {
			names = append(names, name)
		}
	}
	return names
}

// grantKey returns the name of a grant for [Removal].
func grantKey(caller string, index int) string { return fmt.Sprintf("%s/grants[%d]", caller, index) }
