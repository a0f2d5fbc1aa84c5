package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/auditfiles"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config"
)

type auditCommand struct {
	Find auditFindCommand `cmd:"" help:"Find the audit records of a token, a request or a person."`
}

// auditFindCommand searches files of records.
type auditFindCommand struct {
	Files      []string `arg:"" optional:"" name:"file" help:"Files of records, plain or gzipped. - is standard input."`
	Token      bool     `help:"The record of a token, read from standard input because other users see arguments."`
	RecordID   string   `name:"record-id" placeholder:"ID" help:"The record with this record_id."`
	JTI        string   `name:"jti" placeholder:"ID" help:"The record of the token with this jti."`
	RequestID  string   `name:"request-id" placeholder:"ID" help:"Records of the request with this X-Request-Id."`
	Email      string   `placeholder:"ADDRESS" help:"Records of the person with this address."`
	ExternalID string   `name:"external-id" placeholder:"ID" help:"Records of the person with this external id."`
	KeyFile    []string `sep:"none" placeholder:"FILE" help:"A key of the hashes, also an older one. Repeatable."`
	Config     string   `placeholder:"FILE" help:"The service's configuration file, for its key and its records."`
}

// Help returns the text that kong adds to the command's help.
func (auditFindCommand) Help() string {
	return "Prints the line of each record that matches all flags. Without FILE, it searches audit.output of " +
		"--config and the older files that log rotation has renamed. --email and --external-id find hashes with the " +
		"key " +
		"audit.email_key_file of --config and with every --key-file. Exit codes: 0 something was found, " +
		"1 nothing was, or a file can't be read, 2 the command line is at fault."
}

// Run prints the records that are found.
func (c auditFindCommand) Run(ctx context.Context, std streams) error {
	if err := c.check(); err != nil {
		return err
	}
	keys, err := c.configured()
	if err != nil {
		return err
	}
	query, err := c.query(std, keys)
	if err != nil {
		return err
	}
	return auditfiles.Find(ctx, query, c.Files, std.in, std.out, std.err)
}

func (c auditFindCommand) check() error {
	switch {
	case !c.Token && c.RecordID == "" && c.JTI == "" && c.RequestID == "" && c.Email == "" && c.ExternalID == "":
		return usage("say what to find: --token, --record-id, --jti, --request-id, --email or --external-id")
	case c.Token && slices.Contains(c.Files, "-"):
		return usage("--token reads the token from standard input, so the records can't come from there: name a file")
	case len(c.Files) == 0 && c.Config == "":
		return usage("name the files of records, or --config")
	}
	return nil
}

// configured returns all keys of the hashes. It takes the key and the files of records from the
// configuration file, if the command line names one.
func (c *auditFindCommand) configured() (keys []audit.Key, err error) {
	files := c.KeyFile
	if c.Config != "" {
		snapshot, err := config.Load(c.Config, config.Options{})
		if err != nil {
			return nil, err
		}
		if snapshot.Audit.EmailKeyFile != "" {
			files = append(files, snapshot.Audit.EmailKeyFile)
		}
		if len(c.Files) == 0 {
			if c.Files, err = auditfiles.List(snapshot.Audit.Output); err != nil {
				return nil, err
			}
			slices.Reverse(c.Files) // so that it prints the oldest records first
		}
		if len(c.Files) == 0 {
			return nil, usage("%s: its records go to %s, where no file is: name the files",
				c.Config, cmp.Or(snapshot.Audit.Output, "stdout"))
		}
	}
	for _, file := range files {
		key, err := audit.ReadKey(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (c *auditFindCommand) query(std streams, keys []audit.Key) (auditfiles.Query, error) {
	q := auditfiles.Query{
		RecordID: c.RecordID, JTI: c.JTI, RequestID: c.RequestID, Email: c.Email, ExternalID: c.ExternalID, Keys: keys,
	}
	if c.Token {
		text, err := read("-", std)
		if err != nil {
			return q, err
		}
		token := strings.TrimSpace(string(text))
		if token == "" {
			return q, errors.New("no token on standard input")
		}
		q.TokenHash = audit.Hash(token)
	}
	return q, nil
}
