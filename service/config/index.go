package config

import (
	"iter"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Site is a brand of a configuration.
type Site struct {
	Configuration *Configuration
	Brand         *zendesk.Brand
}

// index finds configurations without walking all of them. Only a search without a brand and a host
// walks those that the caller may read. It is immutable.
type index struct {
	all        []*Configuration // sorted by name
	byAudience map[zendesk.Audience][]*Configuration
	byBrand    map[string][]Site           // by brand id
	byHost     map[string][]Site           // by the hosts that return_to may name
	readable   map[string][]*Configuration // by caller, sorted by name
}

func newIndex(configurations map[string]*Configuration, callers []string, rights *policy.Policy) *index {
	x := &index{
		byAudience: make(map[zendesk.Audience][]*Configuration),
		byBrand:    make(map[string][]Site),
		byHost:     make(map[string][]Site),
		readable:   make(map[string][]*Configuration, len(callers)),
	}
	for _, name := range sortedKeys(configurations) {
		x.add(configurations[name])
	}
	for _, caller := range callers {
		names, all := rights.Named(caller, policy.Read)
		if all {
			x.readable[caller] = x.all // shared, because there may be thousands of such callers
			continue
		}
		for _, name := range names {
			if c, ok := configurations[name]; ok {
				x.readable[caller] = append(x.readable[caller], c)
			}
		}
		slices.SortFunc(x.readable[caller], byName)
	}
	return x
}

func byName(a, b *Configuration) int { return strings.Compare(a.Name, b.Name) }

// add adds the next configuration.
func (x *index) add(c *Configuration) {
	x.all = append(x.all, c)
	for _, a := range c.Profile.Audiences() {
		x.byAudience[a] = append(x.byAudience[a], c)
	}
	for _, b := range c.Profile.Brands() {
		site := Site{c, b}
		x.byBrand[b.ID] = append(x.byBrand[b.ID], site)
		for _, host := range b.AllHosts() {
			// Two origins of a brand may have the same host.
			if before := x.byHost[host]; len(before) == 0 || before[len(before)-1] != site {
				x.byHost[host] = append(before, site)
			}
		}
	}
}

// Readable returns the configurations that a caller may read and whose names come after a name,
// sorted by name. The slice must not be changed.
func (s *Snapshot) Readable(caller, after string) []*Configuration {
	if s.index == nil {
		return nil
	}
	all := s.index.readable[caller]
	i, found := slices.BinarySearchFunc(all, after, func(c *Configuration, name string) int {
		return strings.Compare(c.Name, name)
	})
	if found {
		i++
	}
	return all[i:]
}

// Search is what is known about a sign-in whose configuration is wanted. A field that is empty
// doesn't narrow the search.
type Search struct {
	Brand    string // a brand id
	Audience zendesk.Audience
	Host     string // a host that return_to names
}

// Sites returns the sites that match a search, and that the caller may read as far as the names of
// configurations decide that. Without a brand and a host, these are default brands. Sites examines
// only the sites of the brand, of the host, of the audience or of the caller: the smallest of these
// sets.
func (s *Snapshot) Sites(caller string, w Search) iter.Seq[Site] {
	return func(yield func(Site) bool) {
		if s.index == nil {
			return
		}
		for site := range s.index.candidates(caller, w) {
			if w.matches(site) && !yield(site) {
				return
			}
		}
	}
}

func (w Search) matches(s Site) bool {
	return s.Configuration.Profile.Serves(w.Audience) &&
		(w.Brand == "" || s.Brand.ID == w.Brand) && (w.Host == "" || s.Brand.HasHost(w.Host)) &&
		(w.Brand != "" || w.Host != "" || s.Brand.Default)
}

// candidates returns the fewest sites that contain all those that match.
func (x *index) candidates(caller string, w Search) iter.Seq[Site] {
	configurations := x.readable[caller]
	if of := x.byAudience[w.Audience]; w.Audience != "" && len(of) < len(configurations) {
		configurations = of
	}
	sites, known := []Site(nil), false
	if w.Brand != "" {
		sites, known = x.byBrand[w.Brand], true
	}
	if of := x.byHost[w.Host]; w.Host != "" && (!known || len(of) < len(sites)) {
		sites, known = of, true
	}
	if known && len(sites) <= len(configurations) {
		return slices.Values(sites)
	}
	return func(yield func(Site) bool) {
		for _, c := range configurations {
			brands := []*zendesk.Brand{c.Profile.Brand(w.Brand)} // "": the default brand
			if w.Brand == "" && w.Host != "" {
				brands = c.Profile.Brands()
			}
			for _, b := range brands {
				if b != nil && !yield(Site{c, b}) {
					return
				}
			}
		}
	}
}
