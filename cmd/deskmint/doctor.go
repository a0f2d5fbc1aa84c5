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
	Config     string        `required:"" placeholder:"FILE" help:"The service's configuration file."`
	StartsWith []string      `sep:"none" placeholder:"NAME=CHARACTERS" help:"First characters to compare. Repeatable."`
	ServerName []string      `placeholder:"HOST" help:"A host that the certificate must name. Repeatable."`
	Online     bool          `help:"Also resolve every brand's hosts, and connect to where its forms are posted."`
	Audit      []string      `sep:"none" placeholder:"FILE" help:"A further file of audit records. Repeatable."`
	JSON       bool          `help:"Print the findings as JSON."`
	Timeout    time.Duration `default:"1m" help:"The time limit of all checks together."`
}

// Help returns the text that kong adds to the command's help.
func (doctorCommand) Help() string {
	return "Run it as the service's user, where the service runs. --starts-with compares the beginning of a " +
		"configuration's active secret with the characters that Zendesk shows, and reports match or no match. " +
		"--server-name is a name or address that callers use for the service. The search for unused identities reads " +
		"audit.output, and every file of --audit. " +
		"Exit codes: 0 nothing to do, 1 there is a fault, 2 the command line is at fault, 3 warnings only."
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
			return nil, usage("--starts-with takes at most %d characters: don't put more of a secret on a command "+
				"line. If that was the real one, reset it at Zendesk", secrets.MaxPrefix)
		}
		all[strings.TrimPrefix(name, "configurations/")] = prefix
	}
	return all, nil
}
