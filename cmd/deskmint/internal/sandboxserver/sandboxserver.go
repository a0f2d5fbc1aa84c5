// Package sandboxserver serves the sandbox of Zendesk as a program, for `deskmint sandbox` and
// `deskmint dev`.
package sandboxserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretinput"
	"github.com/deskmint/deskmint/service/loopback"
	"github.com/deskmint/deskmint/service/readfile"
	"github.com/deskmint/deskmint/service/sandbox"
)

// Flags are the flags of `deskmint sandbox`.
type Flags struct {
	Listen      string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address; port 0 chooses a free one."`
	AllowRemote bool   `help:"Listen where other machines can reach it, under any host name, as a container must."`

	SecretFile     string `placeholder:"FILE" help:"Shared secret (- for standard input). Default: a new one, printed."`
	TeamSecretFile string `placeholder:"FILE" help:"Of a second configuration, for team members."`

	Brand []string `default:"acme" sep:"none" placeholder:"NAME[=ID]" help:"A brand, with its brand_id. Repeatable."`

	RemoteLogin  string `placeholder:"URL" help:"Where people who aren't signed in are sent."`
	RemoteLogout string `placeholder:"URL" help:"Where people are sent after signing out and after a refused sign-in."`
	BrowsersOnly bool   `help:"Refuse tokens that no browser's form has posted, as Zendesk does."`
}

// Run serves the sandbox until ctx ends. It prints where, and a secret that it has made.
func Run(ctx context.Context, f Flags, in io.Reader, out, logs io.Writer) error {
	if err := f.checkListen(); err != nil {
		return err
	}
	options, made, err := f.options(in)
	if err != nil {
		return err
	}
	options.Log = slog.New(slog.NewTextHandler(logs, nil))
	s, err := sandbox.New(options)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", f.Listen)
	if err != nil {
		return fmt.Errorf("listening for the sandbox: %w: choose another address with --listen", err)
	}
	if f.AllowRemote {
		fmt.Fprintln(logs, "warning: --allow-remote: everyone who can reach the sandbox can read and change it")
	}
	address := listener.Addr().String()
	fmt.Fprintf(out, "sandbox=%s\n", address)
	if made != "" {
		fmt.Fprintf(out, "secret=%s\n", made)
	}
	fmt.Fprint(out, "ready\n", greeting(address, options.Brands))
	return Serve(ctx, listener, s)
}

// greeting says where to post tokens, and how to see what became of them.
func greeting(address string, brands []sandbox.Brand) string {
	// A browser and curl connect to no unspecified address on every system.
	if name, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(name).IsUnspecified() {
		address = "localhost:" + port
	}
	var text strings.Builder
	text.WriteString("\nPost the form with the token to:\n\n")
	for _, b := range brands {
		fmt.Fprintf(&text, "    http://%s/brands/%s/access/jwt\n", address, b.Subdomain)
	}
	fmt.Fprintf(&text, "\nThe last sign-in:\n\ncurl -sS http://%s/sandbox/v1/sign-ins/last\n", address)
	return text.String() + "\nCtrl-C ends it.\n"
}

func (f Flags) checkListen() error {
	name, _, err := net.SplitHostPort(f.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %q is no HOST:PORT", f.Listen)
	}
	if !f.AllowRemote && !loopback.Host(name) {
		return fmt.Errorf("--listen: %s is not on loopback, and everyone who reaches the sandbox can read its users: "+
			"with --allow-remote it listens there", f.Listen)
	}
	return nil
}

// options returns the account that the flags describe, and the secret if it was made here.
func (f Flags) options(in io.Reader) (o sandbox.Options, made string, err error) {
	o = sandbox.Options{
		MultipleOrganizations: true, Redirect: true, BrowsersOnly: f.BrowsersOnly, AnyHost: f.AllowRemote,
	}
	ids := make([]string, 0, len(f.Brand))
	for i, brand := range f.Brand {
		subdomain, id, given := strings.Cut(brand, "=")
		if !given {
			id = strconv.Itoa(360001 + i)
		}
		ids = append(ids, id)
		o.Brands = append(o.Brands, sandbox.Brand{ID: id, Name: subdomain, Subdomain: subdomain})
	}
	if f.SecretFile == "-" && f.TeamSecretFile == "-" {
		return o, "", errors.New("--secret-file and --team-secret-file can't both read standard input")
	}
	secret := []byte(rand.Text() + rand.Text())
	if f.SecretFile == "" {
		made = string(secret)
	} else if secret, err = readSecret("--secret-file", f.SecretFile, in); err != nil {
		return o, "", err
	}
	audiences := []string{"end_user", "team_member"}
	if f.TeamSecretFile == "" {
		o.Configurations = append(o.Configurations, f.configuration("default", secret, ids, audiences...))
		return o, made, nil
	}
	team, err := readSecret("--team-secret-file", f.TeamSecretFile, in)
	if err != nil {
		return o, "", err
	}
	o.Configurations = append(o.Configurations, f.configuration("end-users", secret, ids, audiences[0]),
		f.configuration("team-members", team, ids, audiences[1]))
	return o, made, nil
}

func (f Flags) configuration(name string, secret []byte, brands []string, audiences ...string) sandbox.Configuration {
	return sandbox.Configuration{
		Name: name, Audiences: audiences, Brands: slices.Clone(brands), Secret: func() []byte { return secret },
		RemoteLogin: f.RemoteLogin, RemoteLogout: f.RemoteLogout, UpdateExternalIDs: true,
	}
}

// readSecret reads a secret from a file or from standard input.
func readSecret(flag, path string, in io.Reader) ([]byte, error) {
	name := "standard input"
	if path != "-" {
		f, _, err := readfile.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		defer f.Close()
		in, name = f, path
	}
	secret, err := secretinput.Read(in, name)
	if err == nil && len(secret) == 0 {
		err = errors.New("the secret is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return secret, nil
}

// Serve serves until ctx ends, and closes the listener.
func Serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sandbox listener: %w", err)
	}
	return nil
}
