package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/demo"
	"github.com/deskmint/deskmint/cmd/deskmint/internal/logvalue"
	"github.com/deskmint/deskmint/cmd/deskmint/internal/sandboxserver"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/loopback"
)

type devCommand struct {
	Config        string `placeholder:"FILE" help:"Your configuration, with made-up secrets and the sandbox."`
	SandboxListen string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address of the stand-in for Zendesk."`
	listenFlags
}

// Run runs the service, the sandbox and the demo in this process. It stores nothing, and nothing
// leaves this machine.
func (c devCommand) Run(ctx context.Context, std streams) error {
	if err := checkLoopback(c.SandboxListen); err != nil {
		return err
	}
	sandbox, err := new(net.ListenConfig).Listen(ctx, "tcp", c.SandboxListen)
	if err != nil {
		return fmt.Errorf("listening for the sandbox: %w: choose another address with --sandbox-listen", err)
	}
	defer sandbox.Close()
	_, port, err := net.SplitHostPort(sandbox.Addr().String())
	if err != nil {
		return err
	}
	snapshot, err := demo.Load(c.Config, port)
	if err != nil {
		return err
	}
	if c.Config != "" {
		for _, w := range snapshot.Warnings {
			fmt.Fprintln(std.err, "warning:", w)
		}
	}
	listen := c.over(config.DefaultListen())
	if err := checkLoopback(listen.GRPC, listen.HTTP, listen.Ops); err != nil {
		return err
	}
	d, err := demo.New(demo.Options{Snapshot: snapshot, Port: port, Output: std.err})
	if err != nil {
		return err
	}
	defer d.ReleaseLog() // of a service that ends before it is ready
	listeners, err := open(ctx, listen)
	if err != nil {
		return err
	}
	at := demo.Addresses{
		GRPC: listeners.GRPC.Addr().String(), HTTP: listeners.HTTP.Addr().String(), Ops: listeners.Ops.Addr().String(),
	}
	h := host{
		snapshot: snapshot, source: d.Secrets(), std: std,
		log:       slog.New(slog.NewTextHandler(d.Log(), &slog.HandlerOptions{ReplaceAttr: logvalue.Limit})),
		listeners: listeners, reflection: true,
		records: audit.New(d.Audit(), snapshot.Audit, nil),
		extra:   []string{"sandbox=" + sandbox.Addr().String()},
		ready:   func() { d.Greet(std.out, at) },
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.run(ctx) })
	group.Go(func() error { return sandboxserver.Serve(ctx, sandbox, d.Handler(at)) })
	return group.Wait()
}

// checkLoopback returns an error if other machines can reach one of the addresses. The API key of
// dev is public, so dev must not listen on such an address.
func checkLoopback(addresses ...string) error {
	for _, a := range addresses {
		name, _, err := net.SplitHostPort(a)
		if err != nil {
			return fmt.Errorf("%q is no HOST:PORT", a)
		}
		if !loopback.Host(name) {
			return fmt.Errorf("%s is not on loopback: deskmint dev listens nowhere else, because its key is public", a)
		}
	}
	return nil
}
