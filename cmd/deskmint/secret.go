package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretstore"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service/config"
)

// secretCommand is what an operator does to a configuration's secret, with their own
// credential for the store: VAULT_TOKEN or ~/.vault-token, or the rights to the file.
type secretCommand struct {
	Status   secretStatusCommand   `cmd:"" help:"Show the versions of a configuration's secret, never a value."`
	Stage    secretStageCommand    `cmd:"" help:"Store the next version, read from standard input or asked for. The present one stays active."`
	Activate secretActivateCommand `cmd:"" help:"Sign with the staged version, or with the one that is named."`
	Rollback secretRollbackCommand `cmd:"" help:"Sign with the previous version again. Zendesk may no longer take it."`
	Replace  secretReplaceCommand  `cmd:"" help:"Stage and activate in one, for a secret that was just reset at Zendesk."`
	Disable  secretDisableCommand  `cmd:"" help:"The kill switch: refuse every sign-in with the secret."`
	Enable   secretEnableCommand   `cmd:"" help:"Undo disable."`
	Adopt    secretAdoptCommand    `cmd:"" help:"After the store was restored from a backup: make every replica take it as it is."`
}

// secretFlags name a secret by the configuration that signs with it.
type secretFlags struct {
	Name   string `arg:"" help:"The configuration's name."`
	Config string `required:"" placeholder:"FILE" help:"The configuration file of the service: it says where the secret is."`
}

// actFlags are those of the commands that change something.
type actFlags struct {
	secretFlags

	DryRun   bool          `help:"Run every check, say what would be done, and change nothing."`
	Replicas []string      `placeholder:"HOST:PORT" help:"Ops address of replicas to wait for; a DNS name stands for all its addresses. Repeatable."`
	Wait     time.Duration `default:"1m" help:"How long to wait for them."`
}

// operation is one configuration's secret, ready to be worked on.
type operation struct {
	*rotate.Rotator

	name    string
	refresh time.Duration
	// sharing are the other configurations that sign with the same path.
	sharing []string
}

func (f secretFlags) open(std streams) (*operation, error) {
	snapshot, err := config.Load(f.Config, config.Options{})
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(f.Name, "configurations/")
	conf, ok := snapshot.Configuration(name)
	if !ok { // not quoted: it may be a secret that was pasted in the wrong place
		return nil, fmt.Errorf("%s: no configuration has that name: it has %s", f.Config, strings.Join(snapshot.Names(), ", "))
	}
	store, err := writerOf(snapshot, slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
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

// clockOf returns the store's clock where it has one. Serials that are times must not depend on the
// operator's machine.
func clockOf(store rotate.Writer) func() time.Time {
	if remote, ok := store.(interface{ StoreTime() time.Time }); ok {
		return remote.StoreTime
	}
	return nil
}

// writerOf is the store as its operator has it: the file's auth block is the
// service's, and not used.
func writerOf(s *config.Snapshot, log *slog.Logger) (rotate.Writer, error) {
	switch s.Secrets.Source {
	case "file":
		return file.NewWriter(s.Secrets.File), nil
	case "vault":
		return vault.NewWriter(s.Secrets.Vault, vault.Options{Timeout: secretstore.CommandTimeout, Log: log})
	}
	return nil, fmt.Errorf("secrets.source is %s, which has nothing to rotate: use vault or file", s.Secrets.Source)
}

// run opens the secret and does one act to it: do it, say what was done, wait.
func (f actFlags) run(ctx context.Context, std streams, act func(*operation) (rotate.Plan, error)) error {
	waiting, err := f.replicas()
	if err != nil {
		return err
	}
	op, err := f.open(std)
	if err != nil {
		return err
	}
	op.DryRun = f.DryRun
	if len(op.sharing) > 0 {
		fmt.Fprintf(std.err, "note: %s signs with the same path: what is done here is done to it too\n", strings.Join(op.sharing, ", "))
	}
	plan, err := act(op)
	f.tell(std, plan)
	if err != nil {
		return err
	}
	return f.follow(ctx, std, op, plan, waiting)
}

// tell says which steps were taken, also where one failed after others.
func (f actFlags) tell(std streams, plan rotate.Plan) {
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

// follow waits until the replicas stand as the plan has left the store.
func (f actFlags) follow(ctx context.Context, std streams, op *operation, plan rotate.Plan, waiting replicas) error {
	if f.DryRun {
		return nil
	}
	last := plan.Last()
	if last.Kind == rotate.StepWrite {
		fmt.Fprintf(std.out, "%s: version %d is staged: try it (secret_version %[2]d in a request), then activate it\n", op.name, last.Version)
	}
	if len(waiting.addresses) == 0 {
		_, err := fmt.Fprintf(std.out, "%s: replicas follow within about %s (--replicas waits for them)%s\n", op.name, op.refresh, unlessAhead(last))
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.Wait)
	defer cancel()
	count, err := waiting.await(ctx, op.name, last)
	if err != nil {
		return fmt.Errorf("the store was changed as said, but: %w", err)
	}
	if err := op.Holds(context.WithoutCancel(ctx), plan); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s: %d of %d replicas follow\n", op.name, count, count)
	return err
}

// unlessAhead names the replicas that don't follow. A switch-off reaches all of them.
func unlessAhead(step rotate.Step) string {
	if step.Serial == 0 || step.Kind == rotate.StepDisable || step.Kind == rotate.StepAdopt {
		return ""
	}
	return fmt.Sprintf(", unless they have seen a serial above %d: then the store was restored from a backup, and `deskmint secret adopt` is the way out", step.Serial)
}

// valueFlags are those of the commands that take a value, which is never an argument.
type valueFlags struct {
	actFlags

	Input []string `arg:"" optional:"" name:"-" help:"Standard input, which is read anyway. The secret itself is never an argument."`
}

// store does what takes a value. It is asked for only once the store has answered:
// a secret shouldn't be typed in for nothing.
func (f valueFlags) store(ctx context.Context, std streams, act func(*operation, []byte) (rotate.Plan, error)) error {
	if len(f.Input) > 1 || len(f.Input) == 1 && f.Input[0] != "-" {
		return errors.New("a secret is never an argument, which the process list and the shell's history show: " +
			"pipe it in, or type it when you are asked. If that was the real one, reset it at Zendesk")
	}
	return f.run(ctx, std, func(op *operation) (rotate.Plan, error) {
		if err := op.Writable(ctx); err != nil {
			return rotate.Plan{}, err
		}
		value, err := readSecret(ctx, std, op.name)
		if err != nil {
			return rotate.Plan{}, err
		}
		return act(op, value)
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
	actFlags

	Version uint32 `placeholder:"N" help:"The version to sign with. Default: the staged one."`
}

// Run moves the pointer.
func (c secretActivateCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Activate(ctx, secrets.Version(c.Version)) })
}

type secretRollbackCommand struct{ actFlags }

// Run moves the pointer back.
func (c secretRollbackCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Rollback(ctx) })
}

type secretDisableCommand struct{ actFlags }

// Run switches the secret off.
func (c secretDisableCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Disable(ctx) })
}

type secretEnableCommand struct{ actFlags }

// Run switches the secret on again.
func (c secretEnableCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Enable(ctx) })
}

type secretAdoptCommand struct{ actFlags }

// Run raises the serial above all that replicas can have seen.
func (c secretAdoptCommand) Run(ctx context.Context, std streams) error {
	return c.run(ctx, std, func(op *operation) (rotate.Plan, error) { return op.Adopt(ctx) })
}
