// Command bench measures what a sign-in costs a running Deskmint, as a multiple of what it would
// cost a server that does nothing but decode the request, sign a token and answer: the floor. Both
// run as processes of their own, on the same machine, in turns; what counts is the processor time
// of the server's process for each request, which the load's own share of the machine doesn't
// change. See docs/performance.md for the method.
//
// It needs Linux, for the processor time of other processes.
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

// options are those of one run.
type options struct {
	deskmint string        // the binary
	vault    string        // a Vault server's; "": not compared with
	node     string        // folder in which Node finds express and jsonwebtoken; "": not compared with
	inflight int           // requests at once
	each     time.Duration // of a turn
	rounds   int           // turns of everybody
	only     string        // part of the names of what to measure; "": all
	scale    bool          // also what configurations and callers cost
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.deskmint, "deskmint", "../../bin/deskmint", "the binary to measure")
	flags.StringVar(&o.vault, "vault", "", "a Vault server's binary, to compare with its transit engine")
	flags.StringVar(&o.node, "node", "", "a folder with node_modules that hold express and jsonwebtoken, to compare with")
	flags.IntVar(&o.inflight, "inflight", 64, "requests at once")
	flags.DurationVar(&o.each, "each", time.Second, "how long each is measured in each round")
	flags.IntVar(&o.rounds, "rounds", 12, "how many rounds; the medians count")
	flags.StringVar(&o.only, "only", "", "measure only what has this in its name")
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
