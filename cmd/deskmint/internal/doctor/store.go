package doctor

import (
	"cmp"
	"context"
	"fmt"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretstore"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/service/config"
)

// prefixComparer is a store that can compare the first characters of a secret without returning it.
type prefixComparer interface {
	Begins(ctx context.Context, ref secrets.Ref, v secrets.Version, prefix string) (bool, error)
}

// diagnoser is a store that has more checks than reading a secret. Diagnose returns false if no
// read would succeed.
type diagnoser interface {
	Diagnose(ctx context.Context, refs []secrets.Ref, report func(secrets.Finding)) bool
}

// adviser is a store that has advice about some errors of reading a secret.
type adviser interface {
	AdviseSecret(ref secrets.Ref, err error) string
}

// store reads every secret that the configurations name, as the service does, and compares
// prefixes.
func (e *examination) store(ctx context.Context, s *config.Snapshot, prefixes map[string]string) {
	source, err := secretstore.Open(s, nil)
	if err != nil {
		e.fault("secrets", err.Error(), "correct the block secrets of the configuration file")
		return
	}
	if remote, ok := source.(diagnoser); ok && !remote.Diagnose(ctx, s.Refs(), e.report) {
		return // every read would report the same
	}
	comparer, _ := source.(prefixComparer)
	if s.Secrets.Source == "file" {
		comparer = file.NewWriter(s.Secrets.File)
	}
	advise, _ := source.(adviser)
	c := secretChecker{examination: e, comparer: comparer, adviser: advise, ring: secrets.NewKeyring(secrets.Options{
		Source: source, MaxRate: secretstore.MaxRate(s), RequirePointer: s.Secrets.RequirePointer,
		Timeout: secretstore.CommandTimeout,
	})}
	usable, active := 0, map[secrets.Ref]secrets.Version{}
	for _, ref := range s.Refs() {
		if version := c.check(ctx, ref); version != 0 {
			active[ref] = version
			usable++
		}
		if ctx.Err() != nil {
			return
		}
	}
	if usable > 0 {
		e.ok("secrets", fmt.Sprintf("%d of %d have an active version that can sign", usable, len(s.Refs())))
	}
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		if prefix, ok := prefixes[name]; ok && active[conf.Secret] != 0 {
			c.comparePrefix(ctx, name, conf.Secret, active[conf.Secret], prefix)
		}
	}
}

// secretChecker checks one secret after another.
type secretChecker struct {
	*examination

	ring     *secrets.Keyring // decides as that of a replica that starts now
	comparer prefixComparer   // nil: the store has none
	adviser  adviser          // nil: the store has none
}

// check reads a secret and returns the version that signs; 0 if none can.
func (c *secretChecker) check(ctx context.Context, ref secrets.Ref) secrets.Version {
	where := "secret " + ref.String()
	if err := c.ring.Warm(ctx, ref); err != nil {
		return 0 // Run reports the timeout
	}
	state, _ := c.ring.State(ref)
	switch {
	case state.Status.Disabled && state.Fault != nil:
		c.warn(where, "it is switched off: nothing is signed with it; and "+causeOf(state.Fault),
			"`deskmint secret enable` switches it on again, or reports what must be done before")
		return 0
	case state.Status.Disabled:
		c.warn(where, "it is switched off: nothing is signed with it", "`deskmint secret enable` switches it on again")
	}
	if state.Held == nil {
		do := ""
		if c.adviser != nil {
			do = c.adviser.AdviseSecret(ref, state.Fault)
		}
		c.fault(where, causeOf(state.Fault), cmp.Or(do,
			"correct that; `deskmint secret status NAME` shows the secret's versions and what is known against each"))
		return 0
	}
	if staged := state.Status.Staged(); state.Fault != nil {
		what := "a version other than the active one can't sign: "
		if _, held := state.Held.Key(staged); staged != 0 && !held {
			what = "the staged version can't sign: "
		}
		c.warn(where, what+causeOf(state.Fault), "stage a valid value before an operator activates the faulty one")
	}
	if state.Unpinned() {
		c.warn(where, fmt.Sprintf("unpinned: version %d signs because it is the newest, so writing a version "+
			"activates it", state.Status.Active),
			"pin it with `deskmint secret activate NAME --version N`; if a provisioning tool manages the secret's "+
				"metadata, see deploy/terraform")
	}
	c.pasteFaults(where, state)
	return state.Status.Active
}

// pasteFaults warns of a value that seems to be pasted wrongly: of the active version, or of a newer
// one.
func (c *secretChecker) pasteFaults(where string, state secrets.State) {
	for _, key := range state.Held.Keys() {
		if fault := key.PasteFault(); fault != "" && key.Version() >= state.Status.Active {
			c.warn(where, fmt.Sprintf("version %d may have been pasted wrongly: the value %s", key.Version(), fault),
				"compare it with the secret that Zendesk shows; if they differ, store Zendesk's with `deskmint secret "+
					"replace`")
		}
	}
}

// comparePrefix reports whether the active version of a secret begins with prefix. No finding
// quotes the prefix.
func (c *secretChecker) comparePrefix(
	ctx context.Context, name string, ref secrets.Ref, active secrets.Version, prefix string,
) {
	where := "secret of " + name
	if c.comparer == nil {
		c.warn(where, "this store can't compare a secret's beginning", "use vault or file")
		return
	}
	switch match, err := c.comparer.Begins(ctx, ref, active, prefix); {
	case err != nil:
		c.fault(where, "its beginning can't be compared: "+err.Error(), "try again")
	case match:
		c.ok(where, fmt.Sprintf("match: version %d begins as given", active))
	default:
		c.fault(where, fmt.Sprintf("no match: version %d begins otherwise, so Zendesk would refuse its "+
			"signatures", active),
			"copy the secret that Zendesk has (or reset it there), and store it with `deskmint secret replace`; "+
				"`deskmint secret status --prefix` compares the other versions")
	}
}
