package main

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/doctor"
	"github.com/deskmint/deskmint/secrets"
)

type doctorCommand struct {
	Config     string        `required:"" placeholder:"FILE" help:"The configuration file of the service. Run this as the service's user, where the service runs."`
	StartsWith []string      `sep:"none" placeholder:"NAME=CHARACTERS" help:"Does the active secret of configuration NAME begin so? Zendesk shows a secret's first characters. Answers with match or no match. Repeatable."`
	ServerName []string      `placeholder:"HOST" help:"A name or address that callers reach the service by: is the certificate good for it? Repeatable."`
	Online     bool          `help:"Also look up every brand's hosts, and connect to where its forms are posted."`
	Audit      []string      `sep:"none" placeholder:"FILE" help:"A file of records to look for the use of identities in, besides those of audit.output. Repeatable."`
	JSON       bool          `help:"Print the findings as JSON."`
	Timeout    time.Duration `default:"1m" help:"How long all of it may take."`
}

// Help is for kong.
func (doctorCommand) Help() string {
	return "Exit codes: 0 nothing to do, 1 there is a fault, 2 the command line is at fault, 3 warnings only."
}

// Run prints every finding.
func (c doctorCommand) Run(ctx context.Context, std streams) error {
	prefixes, err := c.prefixes()
	if err != nil {
		return err
	}
	report, err := doctor.Run(ctx, doctor.Options{
		Config: c.Config, Prefixes: prefixes, ServerNames: c.ServerName, Online: c.Online,
		AuditFiles: c.Audit, Timeout: c.Timeout,
	})
	if err != nil {
		return usage("--starts-with: %v", err)
	}
	if c.JSON {
		err = report.WriteJSON(std.out)
	} else {
		err = report.WriteText(std.out)
	}
	if err != nil {
		return err
	}
	switch report.Worst() {
	case secrets.Fault:
		return &exitError{code: codeFailed}
	case secrets.Warning:
		return &exitError{code: codeNotable}
	}
	return nil
}

// prefixes parses --starts-with. Its errors don't quote the flag, because people paste whole
// secrets.
func (c doctorCommand) prefixes() (map[string]string, error) {
	all := map[string]string{}
	for _, given := range c.StartsWith {
		name, prefix, ok := strings.Cut(given, "=")
		switch {
		case !ok || name == "" || prefix == "":
			return nil, usage("--starts-with: give NAME=CHARACTERS, such as acme-customers=abcd")
		case utf8.RuneCountInString(prefix) > secrets.MaxPrefix:
			return nil, usage("--starts-with takes at most %d characters: more of a secret belongs on no command "+
				"line. If that was the real one, reset it at Zendesk", secrets.MaxPrefix)
		}
		all[strings.TrimPrefix(name, "configurations/")] = prefix
	}
	return all, nil
}
