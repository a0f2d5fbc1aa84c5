package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/logvalue"
	"github.com/deskmint/deskmint/cmd/deskmint/internal/replicas"
	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretstore"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service/config"
)

// secretCommand changes a configuration's secret. It uses the operator's own credential for the
// store, which is VAULT_TOKEN, ~/.vault-token, or the permission to write the file.
type secretCommand struct {
	Status   secretStatusCommand   `cmd:"" help:"Show the versions of a configuration's secret, never a value."`
	Stage    secretStageCommand    `cmd:"" help:"Store the next version. The present one stays active."`
	Activate secretActivateCommand `cmd:"" help:"Sign with the staged version, or with the one that is named."`
	Rollback secretRollbackCommand `cmd:"" help:"Sign with the previous version again. Zendesk may no longer take it."`
	Replace  secretReplaceCommand  `cmd:"" help:"Stage and activate in one, after a reset at Zendesk."`
	Disable  secretDisableCommand  `cmd:"" help:"The kill switch: refuse every sign-in with the secret."`
	Enable   secretEnableCommand   `cmd:"" help:"Undo disable."`
	Adopt    secretAdoptCommand    `cmd:"" help:"After a restore of the store: make every replica accept its state."`
}

// secretFlags select a secret by the configuration that signs with it.
type secretFlags struct {
	Name   string `arg:"" help:"The configuration's name."`
	Config string `required:"" placeholder:"FILE" help:"The service's configuration file, for the place of the secret."`
}

// changeFlags are the flags of the commands that change the secret.
type changeFlags struct {
	secretFlags

	DryRun   bool     `help:"Run every check, print what would be done, and change nothing."`
	Replicas []string `placeholder:"HOST:PORT" help:"Ops address, or DNS name of several, to wait for. Repeatable."`

	Wait time.Duration `default:"1m" help:"How long to wait for the replicas."`
}

// operation is the secret of one configuration, with all that a command needs to change it.
type operation struct {
	*rotate.Rotator

	name    string
	refresh time.Duration
	// sharing lists the other configurations that sign with the same path.
	sharing []string
}

func (f secretFlags) open(std streams) (*operation, error) {
	snapshot, err := config.Load(f.Config, config.Options{})
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(f.Name, "configurations/")
	conf, ok := snapshot.Configuration(name)
	// The name is not quoted, because it may be a secret that was pasted in the wrong place.
	if !ok {
		return nil, fmt.Errorf("%s: no configuration has that name: it has %s", f.Config,
			strings.Join(snapshot.Names(), ", "))
	}
	store, err := writerOf(snapshot, slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{
		Level: slog.LevelWarn, ReplaceAttr: logvalue.Limit,
	})))
	if err != nil {
		return nil, err
	}
	op := &operation{
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

// run opens the secret, changes it, prints what was done, and waits for the replicas.
func (f changeFlags) run(ctx context.Context, std streams, change func(*operation) (rotate.Plan, error)) error {
	set, err := replicas.New(f.Replicas)
	if err != nil {
		return fmt.Errorf("--replicas %w", err)
	}
	op, err := f.open(std)
	if err != nil {
		return err
	}
	op.DryRun = f.DryRun
	if len(op.sharing) > 0 {
		fmt.Fprintf(std.err, "note: %s signs with the same path: this change affects it too\n",
			strings.Join(op.sharing, ", "))
	}
	plan, err := change(op)
	f.print(std, plan)
	if err != nil {
		return err
	}
	return f.wait(ctx, std, op, plan, set)
}

// print prints the steps that were done. If a step has failed, it prints the steps before that.
func (f changeFlags) print(std streams, plan rotate.Plan) {
	for i, step := range plan.Steps {
		switch {
		case f.DryRun:
			fmt.Fprintf(std.out, "would %s\n", step)
		case i < plan.Done:
			fmt.Fprintf(std.out, "done: %s\n", step)
		}
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(std.err, "note: %s\n", note)
	}
}

// wait waits until the replicas follow the plan.
func (f changeFlags) wait(
	ctx context.Context, std streams, op *operation, plan rotate.Plan, set *replicas.Set,
) error {
	if f.DryRun {
		return nil
	}
	last := plan.Last()
	if last.Kind == rotate.StepWrite {
		fmt.Fprintf(std.out, "%s: version %d is staged: try it (secret_version %[2]d in a request), then activate it\n",
			op.name, last.Version)
	}
	if set.Empty() {
		_, err := fmt.Fprintf(std.out, "%s: replicas follow within about %s (--replicas waits for them)%s\n", op.name,
			op.refresh, unlessAhead(last))
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.Wait)
	defer cancel()
	count, err := set.Await(ctx, op.name, last)
	if err != nil {
		return fmt.Errorf("the store was changed as said, but: %w", err)
	}
	if err := op.Holds(context.WithoutCancel(ctx), plan); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s: %d of %d replicas follow\n", op.name, count, count)
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

// valueFlags are the flags of the commands that store a value. The value is never an argument.
type valueFlags struct {
	changeFlags

	Input []string `arg:"" optional:"" name:"-" help:"Standard input, the default. Never the secret itself."`
}

// store reads a value and stores it. It first checks that the store is writable, so that the
// operator doesn't type the secret in vain.
func (f valueFlags) store(
	ctx context.Context, std streams, change func(*operation, []byte) (rotate.Plan, error),
) error {
	if len(f.Input) > 1 || len(f.Input) == 1 && f.Input[0] != "-" {
		return errors.New("a secret is never an argument, which the process list and the shell's history show: " +
			"pipe it in, or type it at the prompt. If that was the real one, reset it at Zendesk")
	}
	return f.run(ctx, std, func(op *operation) (rotate.Plan, error) {
		if err := op.Writable(ctx); err != nil {
			return rotate.Plan{}, err
		}
		value, err := readSecret(ctx, std, op.name)
		if err != nil {
			return rotate.Plan{}, err
		}
		return change(op, value)
	})
}

type secretStageCommand struct{ valueFlags }

// Run stages a version.
func (c secretStageCommand) Run(ctx context.Context, std streams) error {
	return c.store(ctx, std, func(op *operation, value []byte) (rotate.Plan, error) { return op.Stage(ctx, value) })
}

type secretReplaceCommand struct{ valueFlags }

// Run stages a version and activates it.
func (c secretReplaceCommand) Run(ctx context.Context, std streams) error {
	return c.store(ctx, std, func(op *operation, value []byte) (rotate.Plan, error) { return op.Replace(ctx, value) })
}

type secretActivateCommand struct {
	changeFlags

	Version uint32 `placeholder:"N" help:"The version to sign with. Default: the staged one."`
}

// Run makes the pointer select another version.
func (c secretActivateCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) {
		return op.Activate(ctx, secrets.Version(c.Version))
	})
}

type secretRollbackCommand struct{ changeFlags }

// Run makes the pointer select the previous version again.
func (c secretRollbackCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Rollback(ctx) })
}

type secretDisableCommand struct{ changeFlags }

// Run disables the secret.
func (c secretDisableCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Disable(ctx) })
}

type secretEnableCommand struct{ changeFlags }

// Run enables the secret again.
func (c secretEnableCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Enable(ctx) })
}

type secretAdoptCommand struct{ changeFlags }

// Run raises the serial above every serial that a replica can have seen.
func (c secretAdoptCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Adopt(ctx) })
}
