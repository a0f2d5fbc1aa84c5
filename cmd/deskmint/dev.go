package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/sandbox"
)

//go:embed demo.yaml
var demoConfiguration []byte

type devCommand struct {
	Config        string `placeholder:"FILE" help:"Configurations and brands of your own, posting to the sandbox. Their secrets are made up."`
	SandboxListen string `name:"sandbox-listen" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address of the stand-in for Zendesk."`
	listenFlags
}

// Run is the whole of it in one process: nothing is stored, and nothing leaves this
// machine.
func (c devCommand) Run(ctx context.Context, std streams) error {
	if err := onLoopback(c.SandboxListen); err != nil {
		return err
	}
	at, err := new(net.ListenConfig).Listen(ctx, "tcp", c.SandboxListen)
	if err != nil {
		return fmt.Errorf("listening for the sandbox: %w: choose another address with --sandbox-listen", err)
	}
	defer at.Close()
	_, port, err := net.SplitHostPort(at.Addr().String())
	if err != nil {
		return err
	}
	app := "http://localhost:" + port // the demo, which is the company's
	snapshot, err := c.load("http://{subdomain}.localhost:"+port, app)
	if err != nil {
		return err
	}
	if c.Config != "" {
		for _, w := range snapshot.Warnings {
			fmt.Fprintln(std.err, "warning:", w)
		}
	}
	listen := c.over(config.DefaultListen())
	if err := onLoopback(listen.GRPC, listen.HTTP, listen.Ops); err != nil {
		return err
	}
	store, invented := inventedSecrets(snapshot)
	records, lines := &witness{to: std.err}, &witness{to: std.err}
	log := slog.New(slog.NewTextHandler(lines, nil))
	zendesk, err := sandboxOf(snapshot, invented, app)
	if err != nil {
		return err
	}
	listeners, err := open(ctx, listen)
	if err != nil {
		return err
	}
	demo := newDemo(demoParts{
		snapshot: snapshot, listeners: listeners, zendesk: zendesk, store: store, secrets: invented,
		audit: records, log: lines, port: port,
	})
	h := host{
		snapshot: snapshot, source: store, log: log, std: std, listeners: listeners, reflection: true,
		records: audit.New(records, snapshot.Audit, nil),
		extra:   []string{"sandbox=" + at.Addr().String()},
		ready:   func() { greet(std, snapshot, listeners, port) },
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.run(ctx) })
	group.Go(func() error { return serveHTTP(ctx, at, demo.beside(zendesk)) })
	return group.Wait()
}

func (c devCommand) load(endpoint, app string) (*config.Snapshot, error) {
	o := config.Options{Endpoint: endpoint, Origin: app, Dev: true}
	if c.Config == "" {
		return config.Parse("demo.yaml", demoConfiguration, o)
	}
	return config.Load(c.Config, o)
}

// onLoopback keeps a key that everybody knows from being served to anybody else.
func onLoopback(addresses ...string) error {
	for _, a := range addresses {
		name, _, err := net.SplitHostPort(a)
		if err != nil {
			return fmt.Errorf("%q is no HOST:PORT", a)
		}
		if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%s is not on loopback: everybody knows the key of deskmint dev, so it listens nowhere else", a)
		}
	}
	return nil
}

// sandboxOf makes a Zendesk account with every brand and configuration. People come
// from the company's app and go back there, which is the demo. It redirects, so that browsers hold the page's
// form-action to the whole chain, as they do at Zendesk.
func sandboxOf(s *config.Snapshot, invented demoSecretValues, app string) (*sandbox.Sandbox, error) {
	o := sandbox.Options{MultipleOrganizations: true, Redirect: true, App: app + "/", Explain: app + "/received"}
	ids := make(map[string]string) // by subdomain; configurations share an account's brands
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		secret := invented[conf.Secret]
		c := sandbox.Configuration{
			Name: name, Secret: func() []byte { return secret }, UpdateExternalIDs: true,
			RemoteLogin: app + "/login?configuration=" + name, RemoteLogout: app + "/signed-out?configuration=" + name,
		}
		for _, a := range conf.Profile.Audiences() {
			c.Audiences = append(c.Audiences, string(a))
		}
		for _, b := range conf.Profile.Brands() {
			if known, ok := ids[b.Subdomain]; ok && known != b.ID {
				return nil, fmt.Errorf("the brands %s and %s have the same subdomain %s, so that one sandbox can't tell them apart", known, b.ID, b.Subdomain)
			}
			if _, ok := ids[b.Subdomain]; !ok {
				ids[b.Subdomain] = b.ID
				o.Brands = append(o.Brands, sandbox.Brand{ID: b.ID, Name: b.Name, Subdomain: b.Subdomain, Hosts: b.Hosts})
			}
			if !slices.Contains(c.Brands, b.ID) {
				c.Brands = append(c.Brands, b.ID)
			}
		}
		o.Configurations = append(o.Configurations, c)
	}
	return sandbox.New(o)
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sandbox listener: %w", err)
	}
	return nil
}
