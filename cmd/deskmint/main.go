// Command deskmint signs people in to Zendesk on behalf of a company's services.
// `deskmint --help` lists its commands; `deskmint dev` is where to begin.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
)

func main() {
	// The notification is never stopped, so that a second signal doesn't kill a process that is
	// ending.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	if err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, "deskmint:", text)
		}
		os.Exit(codeOf(err))
	}
}

// The exit codes. Scripts rely on them, and docs/doctor.md lists them.
const (
	codeFailed  = 1 // what was asked for failed, or what was checked is at fault
	codeUsage   = 2 // the command line is at fault; nothing was tried
	codeNotable = 3 // doctor has warnings and no fault; probe was granted what must be refused
)

// exitError is an error with an exit code. Its text is empty if the output of the command has
// already said why.
type exitError struct {
	code int
	text string
}

// Error implements error.
func (e *exitError) Error() string { return e.text }

// usage returns an error of the command line.
func usage(format string, args ...any) error {
	return &exitError{codeUsage, fmt.Sprintf(format, args...)}
}

func codeOf(err error) int {
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		return exit.code
	}
	return codeFailed
}

// streams are the standard streams of a command. Tests replace them.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// commands is the command line. Each command has its own file.
type commands struct {
	Dev     devCommand     `cmd:"" help:"Everything in one process on loopback, to try things out: demo configurations, a stand-in for Zendesk, a page to click through."`
	Serve   serveCommand   `cmd:"" help:"The service."`
	Config  configCommand  `cmd:"" help:"Validate a configuration file, or print its JSON Schema."`
	Mint    mintCommand    `cmd:"" help:"Ask a running service for a token; prints the answer as JSON."`
	Render  renderCommand  `cmd:"" help:"Ask a running service for the page that signs a person in; prints the HTML."`
	Inspect inspectCommand `cmd:"" help:"Ask a running service whether Zendesk would take a token; reads it from standard input."`
	Probe   probeCommand   `cmd:"" help:"For cron or Kubernetes: mint with a running service and inspect the token, and be refused what must be refused."`
	Doctor  doctorCommand  `cmd:"" help:"Check what a configuration file relies on: store, policy, clock, certificates, files. Each finding says what to do."`
	Key     keyCommand     `cmd:"" help:"Make API keys for callers."`
	Explain explainCommand `cmd:"" help:"Offline: would this caller be allowed this request, and which rule says so?"`
	Secret  secretCommand  `cmd:"" help:"Rotate a configuration's secret, with your own credential for the store."`
	Audit   auditCommand   `cmd:"" help:"Search the audit log."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// errRefused makes a command fail whose output has already said why.
var errRefused = errors.New("")

// run runs a command line and returns when the command has ended. A server ends when ctx ends.
func run(ctx context.Context, args []string, std streams) error {
	return withoutCredentials(execute(ctx, args, std))
}

// withoutCredentials returns err without the credentials that its text quotes.
func withoutCredentials(err error) error {
	if err == nil {
		return nil
	}
	text := errtext.Redact(err.Error())
	if text == err.Error() {
		return err
	}
	return &exitError{codeOf(err), text}
}

func execute(ctx context.Context, args []string, std streams) error {
	var cli commands
	exited := false
	parser, err := kong.New(&cli,
		kong.Name("deskmint"),
		kong.Description("Signs people in to Zendesk on behalf of a company's own services."),
		kong.Writers(std.out, std.err),
		kong.Exit(func(int) { exited = true }), // --help; the process ends in main
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited {
		return nil
	}
	if err != nil {
		node := parser.Model.Node
		if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context.Selected() != nil {
			node = parse.Context.Selected()
		}
		return usage("%v (see %s --help)", err, node.FullPath())
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(std)
}

type versionCommand struct{}

// Run prints the version that the build has recorded.
func (versionCommand) Run(std streams) error {
	_, err := fmt.Fprintln(std.out, version())
	return err
}
