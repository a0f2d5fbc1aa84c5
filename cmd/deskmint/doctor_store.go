package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretstore"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/service/config"
)

// beginner compares the beginning of a value, and doesn't hand it out.
type beginner interface {
	Begins(ctx context.Context, ref secrets.Ref, v secrets.Version, prefix string) (bool, error)
}

// diagnosable is a store that can say more of itself than whether a read succeeds. It
// reports false where none would.
type diagnosable interface {
	Diagnose(ctx context.Context, refs []secrets.Ref, report func(secrets.Finding)) bool
}

// store reads every secret that the configurations name, as the service does.
func (d *doctor) store(ctx context.Context, s *config.Snapshot, starts map[string]string) {
	source, err := secretstore.Open(s, nil)
	if err != nil {
		d.fault("secrets", err.Error(), "mend the block secrets of the configuration file")
		return
	}
	if remote, ok := source.(diagnosable); ok && !remote.Diagnose(ctx, s.Refs(), d.report) {
		return // every read would say it again
	}
	begins, _ := source.(beginner)
	if s.Secrets.Source == "file" {
		begins = file.NewWriter(s.Secrets.File)
	}
	e := examination{doctor: d, begins: begins, ring: secrets.NewKeyring(secrets.Options{
		Source: source, MaxRate: secretstore.MaxRate(s), RequirePointer: s.Secrets.RequirePointer, Timeout: secretstore.CommandTimeout,
	})}
	usable, refs := 0, map[secrets.Ref]secrets.Version{}
	for _, ref := range s.Refs() {
		if active := e.secret(ctx, ref); active != 0 {
			refs[ref] = active
			usable++
		}
		if ctx.Err() != nil {
			return
		}
	}
	if usable > 0 {
		d.ok("secrets", fmt.Sprintf("%d of %d secrets have an active version that can sign", usable, len(s.Refs())))
	}
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		if start, asked := starts[name]; asked && refs[conf.Secret] != 0 {
			e.starts(ctx, name, conf.Secret, refs[conf.Secret], start)
		}
	}
}

// examination is of the secrets, one by one. Its keyring decides as one of a replica that starts now.
type examination struct {
	*doctor

	ring   *secrets.Keyring
	begins beginner // nil: this store can't
}

// secret reads one, and returns the version that signs; 0: none can.
func (e examination) secret(ctx context.Context, ref secrets.Ref) secrets.Version {
	where := "secret " + ref.String()
	if err := e.ring.Warm(ctx, ref); err != nil {
		return 0 // doctor says that its time is over
	}
	state, _ := e.ring.State(ref)
	switch {
	case state.Status.Disabled && state.Fault != nil:
		e.warn(where, "it is switched off: nothing is signed with it; and "+causeOf(state.Fault), "`deskmint secret enable` switches it on again, or says what has to be done before")
		return 0
	case state.Status.Disabled:
		e.warn(where, "it is switched off: nothing is signed with it", "`deskmint secret enable` switches it on again")
	}
	if state.Held == nil {
		e.fault(where, causeOf(state.Fault), "mend that; `deskmint secret status NAME` shows the secret's versions and what is known against each")
		return 0
	}
	if staged := state.Status.Staged(); state.Fault != nil {
		what := "a version beside the active one can't sign: "
		if _, held := state.Held.Key(staged); staged != 0 && !held {
			what = "the staged version can't sign: "
		}
		e.warn(where, what+causeOf(state.Fault), "stage a good value before anybody activates the one at fault")
	}
	if state.Unpinned() {
		e.warn(where, fmt.Sprintf("unpinned: version %d signs because it is the newest, and whoever writes a version activates it", state.Status.Active),
			"pin it with `deskmint secret activate NAME --version N`; if a provisioning tool manages the secret's metadata, see deploy/terraform")
	}
	return state.Status.Active
}

// starts says match or no match, and shows no character.
func (e examination) starts(ctx context.Context, name string, ref secrets.Ref, active secrets.Version, start string) {
	where := "secret of " + name
	if e.begins == nil {
		e.warn(where, "this store can't compare a secret's beginning", "use vault or file")
		return
	}
	switch match, err := e.begins.Begins(ctx, ref, active, start); {
	case err != nil:
		e.fault(where, "its beginning can't be compared: "+err.Error(), "try again")
	case match:
		e.ok(where, fmt.Sprintf("match: version %d begins as given", active))
	default:
		e.fault(where, fmt.Sprintf("no match: version %d begins otherwise, so Zendesk would refuse its signatures", active),
			"copy the secret that Zendesk has (or reset it there), and store it with `deskmint secret replace`; `deskmint secret status --prefix` looks at the other versions")
	}
}

// hosts looks up what browsers will, from here: a fault may be this machine's own.
func (d *doctor) hosts(ctx context.Context, s *config.Snapshot) {
	const here = "mend subdomain or hosts in the configuration, or the name's record; if this machine can't look up or reach names outside, leave --online out"
	var names, actions []string
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		for _, b := range conf.Profile.Brands() {
			names = append(names, b.Hosts...)
			actions = append(actions, b.Action)
		}
	}
	slices.Sort(names)
	slices.Sort(actions)
	for _, host := range slices.Compact(names) {
		if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
			d.fault("brand host "+host, "the name can't be looked up", here)
		} else {
			d.ok("brand host "+host, "the name is known")
		}
	}
	for _, action := range slices.Compact(actions) {
		if err := reach(ctx, action); err != nil {
			d.fault("endpoint "+action, "no connection: "+causeOf(err), here)
		} else {
			d.ok("endpoint "+action, "it can be reached")
		}
	}
}

// reach connects, with a certificate that is verified, and asks for nothing.
func reach(ctx context.Context, action string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	u, err := url.Parse(action)
	if err != nil {
		return err
	}
	plain := &net.Dialer{}
	dial, port := plain.DialContext, "80"
	if u.Scheme == "https" {
		dial, port = (&tls.Dialer{NetDialer: plain}).DialContext, "443"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
