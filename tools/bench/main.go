// Command bench measures the cost of a sign-in at a running Deskmint. It compares it with the
// floor, which is a server that only decodes the request, signs a token and responds. Both run as
// separate processes on the same machine, in turns. The result is the processor time of the
// server's process for each request, which doesn't depend on the load's share of the machine. See
// docs/performance.md for the method.
//
// It needs Linux to read the processor time of other processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "floor":
		err = runFloor(ctx, os.Stdout)
	default:
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags of a run.
type options struct {
	deskmint string        // the binary
	vault    string        // of a Vault server; "" for no comparison
	node     string        // a folder where Node finds express and jsonwebtoken; "" for no comparison
	inflight int           // requests at once
	each     time.Duration // the length of a measurement
	rounds   int           // measurements of each row
	only     string        // measure only rows whose names contain this; "" for all
	scale    bool          // also measure many configurations and callers
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.deskmint, "deskmint", "../../bin/deskmint", "the binary to measure")
	flags.StringVar(&o.vault, "vault", "", "a Vault server's binary, to compare with its transit engine")
	flags.StringVar(&o.node, "node", "",
		"a folder whose node_modules have express and jsonwebtoken, to compare with")
	flags.IntVar(&o.inflight, "inflight", 64, "requests at once")
	flags.DurationVar(&o.each, "each", time.Second, "the length of each measurement")
	flags.IntVar(&o.rounds, "rounds", 12, "how many rounds; the result has their medians")
	flags.StringVar(&o.only, "only", "", "measure only rows whose names contain this")
	flags.BoolVar(&o.scale, "scale", false, "also measure 10,000 configurations and 1,000 callers, memory and starts")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	dir, err := os.MkdirTemp("", "deskmint-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir, out: out}
	defer b.stop()
	if err := b.table(ctx); err != nil {
		return err
	}
	if o.scale {
		return b.scales(ctx)
	}
	return nil
}
