package main

import (
	"context"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/sandboxserver"
)

type sandboxCommand struct{ sandboxserver.Flags }

// Run serves the sandbox alone. It needs no configuration.
func (c sandboxCommand) Run(ctx context.Context, std streams) error {
	return sandboxserver.Run(ctx, c.Flags, std.in, std.out, std.err)
}
