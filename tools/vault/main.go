// Command vault builds a real Vault server for the tests, out of Vault's Go
// module, for machines that have no Vault binary.
//
// Upstream builds Vault with `replace` lines to folders of its own repository,
// which the published module lacks; so this repairs a copy until it builds with
// the published ones. The licence is the BUSL: the binary is a test tool in an
// ignored folder, nothing of it is linked into Deskmint or kept in its
// repository.
//
//	go run -C tools ./vault ../.cache
//
// makes ../.cache/bin/vault and does nothing when it is there already.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/deskmint/deskmint/tools/internal/pinned"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: vault FOLDER")
	}
	cache, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	binary := filepath.Join(cache, "bin", "vault")
	// A binary that was made by another recipe is made anew.
	stamp := binary + ".made-from"
	if made, err := os.ReadFile(stamp); err == nil && string(made) == recipe {
		if _, err := os.Stat(binary); err == nil {
			return nil
		}
	}

	fmt.Fprintf(os.Stderr, "building Vault %s for the tests, once; this takes some minutes\n", version)
	module, err := pinned.Download(ctx, "github.com/hashicorp/vault@"+version, sum)
	if err != nil {
		return err
	}
	tree := filepath.Join(cache, "vault")
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	// The copies are writable, whatever the module cache has.
	if err := os.CopyFS(tree, os.DirFS(module)); err != nil {
		return fmt.Errorf("copying Vault's module: %w", err)
	}
	if err := repair(tree); err != nil {
		return fmt.Errorf("repairing the copy: %w", err)
	}
	if err := build(ctx, tree, binary); err != nil {
		return err
	}
	// Nothing reads the copy again: the build cache has what a rebuild needs.
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(recipe), 0o600)
}

// build compiles the repaired copy. The binary appears whole or not at all.
func build(ctx context.Context, tree, binary string) error {
	edit := append([]string{"mod", "edit"}, goModEdits()...)
	if err := goRun(ctx, tree, edit...); err != nil {
		return err
	}
	unfinished := binary + ".unfinished"
	defer os.Remove(unfinished)
	err := goRun(ctx, tree, "build",
		"-mod=mod",        // the edits above need sums that the copy's go.sum lacks
		"-tags=minimal",   // without the cloud plugins: a quarter of the size and time
		"-trimpath",       // the build cache then serves every checkout
		"-buildvcs=false", // the copy lies in a repository that isn't Vault's
		"-ldflags=-s -w",
		"-o", unfinished, ".")
	if err != nil {
		return err
	}
	return os.Rename(unfinished, binary)
}

// goRun runs the go command in dir with nothing from outside that would change
// what is built.
func goRun(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=", "GOARCH=")
	cmd.Stdout = os.Stderr
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}
