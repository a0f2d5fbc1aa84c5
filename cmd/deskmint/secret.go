package main

import (
	"context"
	"errors"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/rotation"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
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

// run changes the secret, prints what was done, and waits for the replicas.
func (f changeFlags) run(
	ctx context.Context, std streams, change func(*rotation.Operation) (rotate.Plan, error),
) error {
	return rotation.Change{
		Config: f.Config, Name: f.Name, DryRun: f.DryRun, Replicas: f.Replicas, Wait: f.Wait,
		Out: std.out, Err: std.err,
	}.Run(ctx, change)
}

type secretStatusCommand struct {
	secretFlags

	Prefix   string   `placeholder:"CHARACTERS" help:"First characters, as Zendesk shows them, to compare."`
	Replicas []string `placeholder:"HOST:PORT" help:"Ops address, or DNS name of several, to ask. Repeatable."`
	JSON     bool     `help:"Print it as JSON."`
}

// Help returns the text that kong adds to the command's help.
func (secretStatusCommand) Help() string {
	return "With --replicas, it also prints what each replica holds. Exit codes: 1 the command failed, or a replica " +
		"doesn't hold what the store does."
}

// Run prints the versions.
func (c secretStatusCommand) Run(ctx context.Context, std streams) error {
	op, err := rotation.Open(c.Config, c.Name, std.err)
	if err != nil {
		return err
	}
	return op.PrintStatus(ctx, std.out, rotation.StatusOptions{Prefix: c.Prefix, Replicas: c.Replicas, JSON: c.JSON})
}

// valueFlags are the flags of the commands that store a value. The value is never an argument.
type valueFlags struct {
	changeFlags

	Input []string `arg:"" optional:"" name:"-" help:"Standard input, the default. Never the secret itself."`
}

// store reads a value and stores it.
func (f valueFlags) store(
	ctx context.Context, std streams, change func(*rotation.Operation, []byte) (rotate.Plan, error),
) error {
	if len(f.Input) > 1 || len(f.Input) == 1 && f.Input[0] != "-" {
		return errors.New("a secret is never an argument, which the process list and the shell's history show: " +
			"pipe it in, or type it at the prompt. If that was the real one, reset it at Zendesk")
	}
	return f.run(ctx, std, func(op *rotation.Operation) (rotate.Plan, error) {
		value, err := op.ReadValue(ctx, std.in, std.err)
		if err != nil {
			return rotate.Plan{}, err
		}
		return change(op, value)
	})
}

type secretStageCommand struct{ valueFlags }

// Run stages a version.
func (c secretStageCommand) Run(ctx context.Context, std streams) error {
	return c.store(ctx, std, func(op *rotation.Operation, value []byte) (rotate.Plan, error) {
		return op.Stage(ctx, value)
	})
}

type secretReplaceCommand struct{ valueFlags }

// Run stages a version and activates it.
func (c secretReplaceCommand) Run(ctx context.Context, std streams) error {
	return c.store(ctx, std, func(op *rotation.Operation, value []byte) (rotate.Plan, error) {
		return op.Replace(ctx, value)
	})
}

type secretActivateCommand struct {
	changeFlags

	Version uint32 `placeholder:"N" help:"The version to sign with. Default: the staged one."`
}

// Run makes the pointer select another version.
func (c secretActivateCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *rotation.Operation) (rotate.Plan, error) {
		return op.Activate(ctx, secrets.Version(c.Version))
	})
}

type secretRollbackCommand struct{ changeFlags }

// Run makes the pointer select the previous version again.
func (c secretRollbackCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *rotation.Operation) (rotate.Plan, error) { return op.Rollback(ctx) })
}

type secretDisableCommand struct{ changeFlags }

// Run disables the secret.
func (c secretDisableCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *rotation.Operation) (rotate.Plan, error) { return op.Disable(ctx) })
}

type secretEnableCommand struct{ changeFlags }

// Run enables the secret again.
func (c secretEnableCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *rotation.Operation) (rotate.Plan, error) { return op.Enable(ctx) })
}

type secretAdoptCommand struct{ changeFlags }

// Run raises the serial above every serial that a replica can have seen.
func (c secretAdoptCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *rotation.Operation) (rotate.Plan, error) { return op.Adopt(ctx) })
}
