package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/collector"
	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretstore"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/panics"
)

// listenFlags are the flags that override the addresses of the configuration file.
type listenFlags struct {
	GRPCListen string `name:"grpc-listen" placeholder:"HOST:PORT" help:"Address of the gRPC server. 0: any port."`
	HTTPListen string `name:"http-listen" placeholder:"HOST:PORT" help:"Address of the REST gateway."`
	OpsListen  string `name:"ops-listen" placeholder:"HOST:PORT" help:"Address of health, readiness and metrics."`
}

// over returns l with the addresses that the flags override.
func (f listenFlags) over(l config.Listen) config.Listen {
	for flag, address := range map[*string]*string{
		&f.GRPCListen: &l.GRPC,
		&f.HTTPListen: &l.HTTP,
		&f.OpsListen:  &l.Ops,
	} {
		if *flag != "" {
			*address = *flag
		}
	}
	return l
}

type serveCommand struct {
	Config string        `required:"" placeholder:"FILE" help:"The configuration file. Changes and SIGHUP reload it."`
	Drain  time.Duration `default:"2s" help:"How long to go on serving after a signal, so that balancers notice."`
	listenFlags
	logFlags
}

// Run serves until ctx ends.
func (c serveCommand) Run(ctx context.Context, std streams) error {
	// A SIGHUP must not end the process, not even while it waits for the store.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	return c.serve(ctx, std, hangups)
}

func (c serveCommand) serve(ctx context.Context, std streams, hangups <-chan os.Signal) error {
	log := c.logger(std.err)
	options := config.Options{Keys: caller.NewKeySets(caller.KeySetOptions{Log: log})}
	reader := config.NewReader(c.Config, options)
	snapshot, err := reader.Load(nil)
	if err != nil {
		return err
	}
	warn(log, snapshot)
	source, err := secretstore.Open(snapshot, log)
	if err != nil {
		return err
	}
	records, err := audit.Open(snapshot.Audit, std.out, std.err)
	if err != nil {
		return err
	}
	// Each record is written before the response is sent. Only the last count of refused strangers
	// can be missing.
	defer func() {
		if err := records.Close(); err != nil {
			log.Error("how many strangers were refused at the end isn't on record", slog.String("cause", err.Error()))
		}
	}()
	listen := c.over(snapshot.Listen)
	if err := checkListen(listen, snapshot.TLS); err != nil {
		return err
	}
	certificates, err := certificatesOf(snapshot, log)
	if err != nil {
		return err
	}
	listeners, err := open(ctx, listen)
	if err != nil {
		return err
	}
	listeners.TLS = certificates
	host := host{
		snapshot: snapshot, source: source, records: records, log: log, std: std,
		listeners: listeners, drain: c.Drain,
		reader: reader, hangups: hangups, keys: options.Keys, getenv: os.Getenv,
	}
	return host.run(ctx)
}

func warn(log *slog.Logger, s *config.Snapshot) {
	for _, w := range s.Warnings {
		log.Warn("configuration", slog.String("warning", w.String()))
	}
}

// certificatesOf returns the certificates of the listeners. It returns nil if they don't use TLS.
func certificatesOf(s *config.Snapshot, log *slog.Logger) (*certs.Store, error) {
	if !s.TLS.Enabled() {
		return nil, nil //nolint:nilnil // no TLS is a setting, not a fault
	}
	return certs.Load(s.TLS.Files(), certs.Options{Log: log})
}

func checkListen(l config.Listen, t *config.TLS) error {
	var faults []error
	l.Check(t, func(key, message string) { faults = append(faults, fmt.Errorf("listen.%s %s", key, message)) })
	return errors.Join(faults...)
}

// open listens on every address. If one fails, it closes the others.
func open(ctx context.Context, l config.Listen) (service.Listeners, error) {
	var out service.Listeners
	for _, at := range []struct {
		name, address string
		listener      *net.Listener
	}{{"grpc", l.GRPC, &out.GRPC}, {"http", l.HTTP, &out.HTTP}, {"ops", l.Ops, &out.Ops}} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at.address)
		if err != nil {
			closeAll(out)
			return out, fmt.Errorf("listening for %s: %w: choose another address with listen.%s or --%s-listen",
				at.name, err, at.name, at.name)
		}
		*at.listener = listener
	}
	return out, nil
}

// closeAll closes the listeners that are open. You may call it more than once.
func closeAll(l service.Listeners) {
	for _, listener := range []net.Listener{l.GRPC, l.HTTP, l.Ops} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

// host runs a service together with its keyring, its telemetry and its reloads. The caller opens
// the listeners and the audit log before it calls run, and run closes the listeners.
type host struct {
	snapshot  *config.Snapshot
	source    secrets.Source
	records   *audit.Log
	log       *slog.Logger
	std       streams
	listeners service.Listeners
	drain     time.Duration
	// reader loaded the snapshot. It loads the configuration again when the files change and on
	// each signal from hangups. If it is nil, there are no reloads. A reader needs keys.
	reader  *config.Reader
	hangups <-chan os.Signal
	// keys are the issuers' keys, which outlive a reload. If it is nil, the snapshot has its own
	// keys.
	keys       *caller.KeySets
	reflection bool
	// ready is called when the service accepts requests, after the addresses are printed.
	ready func()
	// extra lists further addresses to print, as NAME=HOST:PORT.
	extra []string
	// getenv returns the environment variables that configure the export of traces and metrics. If
	// it is nil, nothing is exported.
	getenv func(string) string
}

func (h host) run(ctx context.Context) error {
	defer closeAll(h.listeners)
	// The process must not end when the reader of its standard output exits. Audit records can't be
	// written then, so the service signs nothing until they can.
	signal.Ignore(syscall.SIGPIPE)
	keyring := secrets.NewKeyring(secrets.Options{
		Source: h.source, Refresh: h.snapshot.Secrets.Refresh, MaxRate: secretstore.MaxRate(h.snapshot),
		RequirePointer: h.snapshot.Secrets.RequirePointer, Log: h.log,
	})
	options := service.Options{
		Snapshot: h.snapshot, Secrets: keyring, Audit: h.records, Log: h.log, Reflection: h.reflection, Drain: h.drain,
		ConnectionsPerAddress: h.snapshot.Listen.MaxConnections(h.snapshot.TLS),
		Ready: func() {
			collector.Tune()
			fmt.Fprintln(h.std.out, "ready")
			if h.ready != nil {
				h.ready()
			}
		},
	}
	h.observe(&options)
	stopTelemetry, err := h.startTelemetry(ctx, &options)
	if err != nil {
		return err
	}
	defer stopTelemetry()
	s, err := service.New(options)
	if err != nil {
		return err
	}
	for _, at := range []struct {
		name     string
		listener net.Listener
	}{{"grpc", h.listeners.GRPC}, {"http", h.listeners.HTTP}, {"ops", h.listeners.Ops}} {
		fmt.Fprintf(h.std.out, "%s=%s\n", at.name, at.listener.Addr())
	}
	for _, line := range h.extra {
		fmt.Fprintln(h.std.out, line)
	}
	group, ctx := errgroup.WithContext(ctx)
	if h.keys != nil {
		h.keys.Warm(ctx, h.snapshot.Issuers...)
		h.background(ctx, group, "refreshing issuers' keys", func() { _ = h.keys.Run(ctx) })
	}
	// The keyring runs until Serve has returned, and not only until ctx ends. A request that is
	// still in flight during the shutdown may be a RefreshSecret.
	refreshing, stopRefreshing := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return ended(refreshing, keyring.Run(refreshing)) })
	group.Go(func() error {
		defer stopRefreshing()
		return s.Serve(ctx, h.listeners)
	})
	if h.listeners.TLS != nil {
		h.background(ctx, group, "following the TLS certificates", func() { h.listeners.TLS.Run(ctx) })
	}
	if h.reader != nil {
		group.Go(func() error { h.reloads(ctx, s, keyring); return nil })
	}
	return group.Wait()
}

// background runs a task until ctx ends, even if the task panics.
func (h host) background(ctx context.Context, group *errgroup.Group, task string, run func()) {
	group.Go(func() error { panics.Restart(ctx, h.log, task, run); return nil })
}

// ended returns err, or nil if err only reports that ctx has ended.
func ended(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
