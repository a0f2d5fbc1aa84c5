// Package rotation carries out the commands that change and report a configuration's secret.
//
// It uses the operator's own credential for the store, which is VAULT_TOKEN, ~/.vault-token, or the
// permission to write the file.
package rotation

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/logvalue"
	"github.com/deskmint/deskmint/cmd/deskmint/internal/replicas"
	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretstore"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service/config"
)

// Operation is the secret of one configuration, with all that a command needs to change it.
type Operation struct {
	*rotate.Rotator

	name    string
	refresh time.Duration
	// sharing lists the other configurations that sign with the same path.
	sharing []string
}

// Open returns the secret of the configuration name. path is the service's configuration file. log
// gets the warnings of the store's client.
func Open(path, name string, log io.Writer) (*Operation, error) {
	snapshot, err := config.Load(path, config.Options{})
	if err != nil {
		return nil, err
	}
	name = strings.TrimPrefix(name, "configurations/")
	conf, ok := snapshot.Configuration(name)
	// The name is not quoted, because it may be a secret that was pasted in the wrong place.
	if !ok {
		return nil, fmt.Errorf("%s: no configuration has that name: it has %s", path,
			strings.Join(snapshot.Names(), ", "))
	}
	store, err := writerOf(snapshot, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{
		Level: slog.LevelWarn, ReplaceAttr: logvalue.Limit,
	})))
	if err != nil {
		return nil, err
	}
	op := &Operation{
		Rotator: &rotate.Rotator{Store: store, Ref: conf.Secret, Now: clockOf(store)},
		name:    name,
		refresh: snapshot.Secrets.Refresh,
	}
	for _, other := range snapshot.Names() {
		c, _ := snapshot.Configuration(other)
		if other == name || c.Secret.Path != conf.Secret.Path {
			continue
		}
		op.sharing = append(op.sharing, other)
		if c.Secret != conf.Secret && !slices.Contains(op.Siblings, c.Secret) {
			op.Siblings = append(op.Siblings, c.Secret)
		}
	}
	return op, nil
}

// clockOf returns the store's clock, or nil if it has none. Serials may be times, and these must
// not depend on the operator's machine.
func clockOf(store rotate.Writer) func() time.Time {
	if remote, ok := store.(interface{ StoreTime() time.Time }); ok {
		return remote.StoreTime
	}
	return nil
}

// writerOf returns the store with the operator's own credential. It doesn't use the auth block of
// the configuration file, which is for the service.
func writerOf(s *config.Snapshot, log *slog.Logger) (rotate.Writer, error) {
	switch s.Secrets.Source {
	case "file":
		return file.NewWriter(s.Secrets.File), nil
	case "vault":
		return vault.NewWriter(s.Secrets.Vault, vault.Options{Timeout: secretstore.CommandTimeout, Log: log})
	}
	return nil, fmt.Errorf("secrets.source is %s, which has nothing to rotate: use vault or file", s.Secrets.Source)
}

// Change is a change of a secret.
type Change struct {
	// Config is the service's configuration file, and Name one of its configurations.
	Config, Name string
	// DryRun prints what would be done, and changes nothing.
	DryRun bool
	// Replicas are the addresses of the replicas to wait for, and Wait limits the wait.
	Replicas []string
	Wait     time.Duration
	// Out gets what was done, and Err notes about it.
	Out, Err io.Writer
}

// Run opens the secret, changes it, prints what was done, and waits for the replicas.
func (c Change) Run(ctx context.Context, change func(*Operation) (rotate.Plan, error)) error {
	set, err := replicas.New(c.Replicas)
	if err != nil {
		return fmt.Errorf("--replicas %w", err)
	}
	op, err := Open(c.Config, c.Name, c.Err)
	if err != nil {
		return err
	}
	op.DryRun = c.DryRun
	if len(op.sharing) > 0 {
		fmt.Fprintf(c.Err, "note: %s signs with the same path: this change affects it too\n",
			strings.Join(op.sharing, ", "))
	}
	plan, err := change(op)
	c.print(plan)
	if err != nil {
		return err
	}
	return c.wait(ctx, op, plan, set)
}

// print prints the steps that were done. If a step has failed, it prints the steps before that.
func (c Change) print(plan rotate.Plan) {
	for i, step := range plan.Steps {
		switch {
		case c.DryRun:
			fmt.Fprintf(c.Out, "would %s\n", step)
		case i < plan.Done:
			fmt.Fprintf(c.Out, "done: %s\n", step)
		}
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(c.Err, "note: %s\n", note)
	}
}

// wait waits until the replicas follow the plan.
func (c Change) wait(ctx context.Context, op *Operation, plan rotate.Plan, set *replicas.Set) error {
	if c.DryRun {
		return nil
	}
	last := plan.Last()
	if last.Kind == rotate.StepWrite {
		fmt.Fprintf(c.Out, "%s: version %d is staged: try it (secret_version %[2]d in a request), then activate it\n",
			op.name, last.Version)
	}
	if set.Empty() {
		_, err := fmt.Fprintf(c.Out, "%s: replicas follow within about %s (--replicas waits for them)%s\n", op.name,
			op.refresh, unlessAhead(last))
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	count, err := set.Await(ctx, op.name, last)
	if err != nil {
		return fmt.Errorf("the store was changed as said, but: %w", err)
	}
	if err := op.Holds(context.WithoutCancel(ctx), plan); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "%s: every replica follows (%d)\n", op.name, count)
	return err
}

// unlessAhead describes the replicas that won't follow a step. Every replica follows a switch-off.
func unlessAhead(step rotate.Step) string {
	if step.Serial == 0 || step.Kind == rotate.StepDisable || step.Kind == rotate.StepAdopt {
		return ""
	}
	return fmt.Sprintf(", unless they have seen a serial above %d: then the store was restored from a backup, and "+
		"`deskmint secret adopt` is the way out", step.Serial)
}
