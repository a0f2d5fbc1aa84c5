package demo

import (
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Load loads the configuration file at path, or [Configuration] if path is empty. It makes the
// following changes, so that the service signs people in at the sandbox and accepts the demo as a
// caller:
//
//   - Forms post to the sandbox, which is served at port.
//   - A grant that allows return_to at the host of a brand's endpoint allows it at the sandbox's
//     host of the brand.
//   - The demo's origin replaces the origins of a configuration, because the demo serves the remote
//     login and logout pages. A configuration that lists no origins gets none, because redirects to
//     these pages fail in production, too.
//   - If no caller has [config.DevKey], Load adds a caller that has it and may do everything.
//
// Load loads the file twice. The first time it makes no changes, so that the problems of the file
// itself are reported.
func Load(path, port string) (*config.Snapshot, error) {
	original, err := load(path, nil)
	if err != nil {
		return nil, err
	}
	r := &rewriter{original: original, port: port}
	return load(path, r.rewrite)
}

func load(path string, rewrite func(*config.File, func(key, message string))) (*config.Snapshot, error) {
	o := config.Options{Development: true, Rewrite: rewrite}
	if path == "" {
		return config.Parse("demo.yaml", Configuration(), o)
	}
	return config.Load(path, o)
}

// rewriter changes the files of a configuration that is known to be valid.
type rewriter struct {
	original *config.Snapshot
	port     string
	added    bool // the caller of dev is in a file
}

// rewrite changes one file.
func (r *rewriter) rewrite(file *config.File, warn func(key, message string)) {
	for _, c := range file.Configurations {
		if c.ZendeskSSO == nil {
			continue // the file has just changed, so the profile is missing
		}
		c.ZendeskSSO.Endpoint = "http://{subdomain}.localhost:" + r.port
		if len(c.ZendeskSSO.Origins) > 0 {
			c.ZendeskSSO.Origins = []string{Origin(r.port)}
		}
	}
	for _, c := range file.Callers {
		for i := range c.Grants {
			c.Grants[i].ReturnToHosts = r.replaceHosts(c.Grants[i])
		}
	}
	if !r.added && !hasDevKey(r.original) {
		r.added = true
		file.Callers = append(file.Callers, config.Caller{
			Name:       "deskmint-dev",
			Identities: []caller.Identity{{APIKeySHA256: caller.HashKey(config.DevKey)}},
			Grants:     []policy.GrantSettings{policy.UnrestrictedGrant()},
		})
	}
}

// replaceHosts returns the entries of return_to_hosts that allow the same brands at the sandbox. An
// endpoint's host becomes the sandbox's host of each brand with this endpoint. A brand keeps its
// host at Zendesk and its mapped hosts.
func (r *rewriter) replaceHosts(g policy.GrantSettings) (replaced []string) {
	covers := func(list []string, name string) bool {
		return slices.Contains(list, name) || slices.Contains(list, "*")
	}
	if slices.Contains(g.ReturnToHosts, "*") {
		return g.ReturnToHosts
	}
	for _, name := range r.original.Names() {
		c, _ := r.original.Configuration(name)
		for _, b := range c.Profile.Brands() {
			if !covers(g.Configurations, name) || !covers(g.Brands, b.ID) {
				continue
			}
			for _, host := range g.ReturnToHosts {
				if slices.Contains(b.Hosts, host) || host == b.Subdomain+".zendesk.com" {
					replaced = append(replaced, host)
				}
				if _, endpoint, _ := strings.Cut(b.Action, "://"); endpoint == host+zendesk.Path {
					replaced = append(replaced, b.Subdomain+".localhost:"+r.port)
				}
			}
		}
	}
	slices.Sort(replaced)
	return slices.Compact(replaced)
}

// hasDevKey reports whether a caller has the key of dev.
func hasDevKey(s *config.Snapshot) bool {
	return slices.ContainsFunc(s.Identities, func(id config.Identity) bool {
		return strings.EqualFold(id.APIKeySHA256, caller.HashKey(config.DevKey))
	})
}
