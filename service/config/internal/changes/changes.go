// Package changes compares the content of two configurations by digests. It knows names, and never
// values.
package changes

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The kinds of content.
const (
	Settings       = "settings"
	Issuers        = "issuers"
	Configurations = "configurations"
	Brands         = "brands"
	Callers        = "callers"
	Identities     = "identities"
	Grants         = "grants"
)

// Digests are digests of the content of the files, by kind and name. Settings are named by their
// keys, brands CONFIGURATION/ID, identities CALLER/IDENTITY, and grants CALLER/grants[INDEX].
type Digests map[string]map[string][sha256.Size]byte

// New returns digests of nothing.
func New() Digests {
	d := Digests{}
	for _, kind := range append(RemovalKinds(), Settings) {
		d[kind] = map[string][sha256.Size]byte{}
	}
	return d
}

// Add adds the digest of a value. The value itself isn't kept, because this would double the memory
// for ten thousand configurations.
func (d Digests) Add(kind, name string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		text = nil // TestDigestsAreComplete shows that this doesn't happen
	}
	d[kind][name] = sha256.Sum256(slices.Concat(text, []byte(kind)))
}

// AddGrant adds the digest of a grant. Grants have no names, so they are named by their place.
func (d Digests) AddGrant(caller string, index int, grant any) {
	d.Add(Grants, fmt.Sprintf("%s/grants[%d]", caller, index), grant)
}

// Changes are the differences of one kind.
type Changes struct {
	// Kind is settings, issuers, configurations, brands or callers.
	Kind                    string
	Added, Removed, Changed []string // each sorted
}

// Since returns the changes from before to d. It leaves out the kinds without changes. Identities
// and grants are parts of callers, so they are no kinds here.
func (d Digests) Since(before Digests) []Changes {
	var all []Changes
	for _, kind := range []string{Settings, Issuers, Configurations, Brands, Callers} {
		c := Changes{Kind: kind, Removed: d.missing(before, kind)}
		for _, name := range slices.Sorted(maps.Keys(d[kind])) {
			if old, ok := before[kind][name]; !ok {
				c.Added = append(c.Added, name)
			} else if old != d[kind][name] {
				c.Changed = append(c.Changed, name)
			}
		}
		if len(c.Added)+len(c.Removed)+len(c.Changed) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// Removal lists what one configuration has of a kind, and the next one lacks.
type Removal struct {
	Kind  string
	Names []string // sorted; a grant has the index that it had
}

// RemovalKinds returns the kinds of a [Removal] in the order of [Digests.Removed].
func RemovalKinds() []string {
	return []string{Issuers, Configurations, Brands, Callers, Identities, Grants}
}

// Removed returns everything that before has and d lacks. It leaves out the kinds without removals.
// A caller that is removed loses its identities and grants, so these are listed, too.
//
// The content identifies identities and grants, so an identity that gets another name isn't listed.
// A grant that is only edited isn't listed either: the caller must have fewer grants than before.
func (d Digests) Removed(before Digests) (all []Removal) {
	for _, kind := range RemovalKinds() {
		var names []string
		switch kind {
		case Identities, Grants:
			names = d.missingContent(before, kind)
		default:
			names = d.missing(before, kind)
		}
		if len(names) > 0 {
			all = append(all, Removal{Kind: kind, Names: names})
		}
	}
	return all
}

// missing returns the names that before has and d lacks.
func (d Digests) missing(before Digests, kind string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(before[kind])) {
		if _, ok := d[kind][name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// missingContent returns the names in before of what the same caller doesn't have in d, whatever
// its name there.
func (d Digests) missingContent(before Digests, kind string) (names []string) {
	type content struct {
		caller string
		digest [sha256.Size]byte
	}
	kept, count := map[content]int{}, map[string]int{}
	for name, digest := range d[kind] {
		caller, _, _ := strings.Cut(name, "/")
		kept[content{caller, digest}]++
		count[caller]++
	}
	for name := range before[kind] {
		caller, _, _ := strings.Cut(name, "/")
		count[caller]--
	}
	for _, name := range slices.Sorted(maps.Keys(before[kind])) {
		caller, _, _ := strings.Cut(name, "/")
		c := content{caller, before[kind][name]}
		if kept[c]--; kept[c] < 0 && (kind != Grants || count[caller] < 0) {
			names = append(names, name)
		}
	}
	return names
}
