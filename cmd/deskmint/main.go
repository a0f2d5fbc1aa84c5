// Command deskmint signs people in to Zendesk on behalf of a company's services.
// `deskmint --help` lists its commands. Begin with `deskmint dev`.
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
	// The notification is never stopped, so that a second signal doesn't kill the process during
	// its shutdown.
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
	codeFailed  = 1 // the command failed, or found a fault
	codeUsage   = 2 // the command line is at fault, and the command did nothing
	codeNotable = 3 // doctor has warnings but no fault, or probe was granted what must be refused
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
	Dev     devCommand     `cmd:"" help:"Try it out: the service, a sandbox of Zendesk and a demo in one process."`
	Sandbox sandboxCommand `cmd:"" help:"A stand-in for Zendesk alone, for any code that signs its tokens."`
	Serve   serveCommand   `cmd:"" help:"The service."`
	Config  configCommand  `cmd:"" help:"Validate a configuration file, or print its JSON Schema."`
	Mint    mintCommand    `cmd:"" help:"Request a token from a running service, and print it as JSON."`
	Render  renderCommand  `cmd:"" help:"Request the sign-in page from a running service, and print the HTML."`
	Inspect inspectCommand `cmd:"" help:"Report whether Zendesk would accept the token on standard input."`
	Probe   probeCommand   `cmd:"" help:"For cron or Kubernetes: check what must be granted and what must not."`
	Doctor  doctorCommand  `cmd:"" help:"Check what a service depends on. Each finding says what to do."`
	Key     keyCommand     `cmd:"" help:"Generate API keys for callers."`
	Explain explainCommand `cmd:"" help:"Offline: report whether a caller may make a request, and by which rule."`
	Secret  secretCommand  `cmd:"" help:"Rotate a configuration's secret, with your own credential for the store."`
	Audit   auditCommand   `cmd:"" help:"Search the audit log."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// errRefused makes a command fail. The output of the command has already said why.
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
		previewVars,
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
