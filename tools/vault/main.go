// Command vault builds a real Vault server for the tests from Vault's Go module. It is for machines
// without a Vault binary.
//
// The repository of Vault has `replace` lines to its own folders, which the published module lacks.
// So the command changes a copy until it builds with the published modules. The licence of Vault is
// the BUSL. The binary is a test tool in an ignored folder. It is neither linked into Deskmint nor
// part of its repository.
//
//	go run -C tools ./vault ../.cache
//
// This makes ../.cache/bin/vault, and does nothing if the binary exists.
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
	// A binary of another recipe is built again.
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
	// The copies are writable, although the module cache is not.
	if err := os.CopyFS(tree, os.DirFS(module)); err != nil {
		return fmt.Errorf("copying Vault's module: %w", err)
	}
	if err := repair(tree); err != nil {
		return fmt.Errorf("repairing the copy: %w", err)
	}
	if err := build(ctx, tree, binary); err != nil {
		return err
	}
	// The copy is not needed any more. The build cache has what a rebuild needs.
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(recipe), 0o600)
}

// build compiles the repaired copy. It moves the binary into place when it is complete.
func build(ctx context.Context, tree, binary string) error {
	edit := append([]string{"mod", "edit"}, goModEdits()...)
	if err := goRun(ctx, tree, edit...); err != nil {
		return err
	}
	unfinished := binary + ".unfinished"
	defer os.Remove(unfinished)
	err := goRun(ctx, tree, "build",
		"-mod=mod",        // because the copy's go.sum lacks the sums of the edits
		"-tags=minimal",   // without the cloud plugins, which take most of the size and time: a quarter remains
		"-trimpath",       // so that every checkout can use the build cache
		"-buildvcs=false", // because the copy is inside the repository of Deskmint
		"-ldflags=-s -w",
		"-o", unfinished, ".")
	if err != nil {
		return err
	}
	return os.Rename(unfinished, binary)
}

// goRun runs the go command in dir. It removes the variables of the environment that would change
// the build.
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
