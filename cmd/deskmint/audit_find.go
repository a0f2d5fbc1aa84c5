package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/auditfiles"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config"
)

type auditCommand struct {
	Find auditFindCommand `cmd:"" help:"Find records of the audit log: of a token, a request, or a person."`
}

// auditFindCommand searches files of records.
type auditFindCommand struct {
	Files      []string `arg:"" optional:"" name:"file" help:"Files of records, also gzipped; - is standard input. None: those of --config, with the rotated ones."`
	Token      bool     `help:"The record of a token, which is read from standard input: a token is a credential, and other users see arguments."`
	RecordID   string   `name:"record-id" placeholder:"ID" help:"The record with this record_id."`
	JTI        string   `name:"jti" placeholder:"ID" help:"The record of the token with this jti."`
	RequestID  string   `name:"request-id" placeholder:"ID" help:"Records of the request with this X-Request-Id."`
	Email      string   `placeholder:"ADDRESS" help:"Records of the person with this address."`
	ExternalID string   `name:"external-id" placeholder:"ID" help:"Records of the person with this external id."`
	KeyFile    []string `sep:"none" placeholder:"FILE" help:"A key that --email and --external-id are hashed under: audit.email_key_file, or an older one. Repeatable."`
	Config     string   `placeholder:"FILE" help:"The configuration file of the service: takes its audit.email_key_file, and without FILE its audit.output."`
}

// Help is for kong.
func (auditFindCommand) Help() string {
	return "Prints the line of each record that matches all flags. Exit codes: 0 something was found, " +
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
	want, err := c.query(std, keys)
	if err != nil {
		return err
	}
	f := finder{query: want, std: std}
	for _, path := range c.Files {
		if err := f.file(ctx, path); err != nil {
			return err
		}
	}
	return f.verdict(len(c.Files))
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

// configured takes from the configuration file what it is named for. It returns all keys.
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
			slices.Reverse(c.Files) // so that records come in the order of their time
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

// query is what a record must have. What is empty is not asked for.
type query struct {
	tokenHash, recordID, jti, requestID string
	email, externalID                   personQuery
}

// personQuery is a person's address or external id, as records have it.
type personQuery struct {
	clear  string // in lower case
	hashes []string
}

func (c *auditFindCommand) query(std streams, keys []audit.Key) (query, error) {
	q := query{
		recordID: c.RecordID, jti: c.JTI, requestID: c.RequestID,
		email:      personBy(c.Email, keys, audit.Key.HashEmail),
		externalID: personBy(c.ExternalID, keys, audit.Key.HashExternalID),
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
		q.tokenHash = audit.Hash(token)
	}
	return q, nil
}

func personBy(value string, keys []audit.Key, hash func(audit.Key, string) string) personQuery {
	p := personQuery{clear: strings.ToLower(strings.TrimSpace(value))}
	for _, key := range keys {
		p.hashes = append(p.hashes, hash(key, p.clear))
	}
	return p
}

func (q *query) matches(r *audit.Record) bool {
	for _, exact := range []struct{ want, got string }{
		{q.tokenHash, r.TokenHash}, {q.recordID, r.RecordID}, {q.jti, r.ID}, {q.requestID, r.RequestID},
	} {
		if exact.want != "" && exact.want != exact.got {
			return false
		}
	}
	return q.email.matches(r.Email, r.EmailHash) && q.externalID.matches(r.ExternalID, r.ExternalHash)
}

func (p *personQuery) matches(clear, hash string) bool {
	return p.clear == "" || p.clear == strings.ToLower(clear) || hash != "" && slices.Contains(p.hashes, hash)
}

// undecided reports whether a key is needed to tell if a record names the person.
func (p *personQuery) undecided(clear, hash string) bool {
	return p.clear != "" && len(p.hashes) == 0 && clear == "" && hash != ""
}

// finder searches one file after another.
type finder struct {
	query
	std streams

	read   audit.Summary
	found  int
	hashed int   // records that would need a key
	failed error // of the first file that couldn't be read to its end
}

// file searches a file. A file that can't be read doesn't stop the others from being searched.
func (f *finder) file(ctx context.Context, path string) error {
	var in io.Reader = f.std.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			f.fault(err)
			return nil
		}
		defer file.Close()
		in = file
	}
	in, err := audit.Decompress(in)
	if err != nil {
		f.fault(fmt.Errorf("%s: %w", path, err))
		return nil
	}
	var stop error // which is no fault of the file
	read, err := audit.ReadRecords(in, func(line []byte, r *audit.Record) error {
		if stop = ctx.Err(); stop == nil && f.matches(r) {
			f.found++
			_, stop = fmt.Fprintf(f.std.out, "%s\n", line)
		}
		if f.email.undecided(r.Email, r.EmailHash) || f.externalID.undecided(r.ExternalID, r.ExternalHash) {
			f.hashed++
		}
		return stop
	})
	f.read.Add(read)
	switch {
	case stop != nil:
		return stop
	case err != nil:
		f.fault(fmt.Errorf("%s: %w", path, err))
	}
	if read.Others > 0 {
		fmt.Fprintf(f.std.err, "%s: passed over %d lines that are no records\n", path, read.Others)
	}
	return nil
}

func (f *finder) fault(err error) {
	fmt.Fprintln(f.std.err, err)
	if f.failed == nil {
		f.failed = err
	}
}

// verdict says what was looked through, where that is of interest.
func (f *finder) verdict(files int) error {
	if f.hashed > 0 {
		fmt.Fprintf(f.std.err, "%d records name people by hashes only: "+
			"give the key that they were made with, by --key-file or --config\n", f.hashed)
	}
	if f.found == 0 && f.failed == nil && len(f.email.hashes)+len(f.externalID.hashes) > 0 && f.read.Records > 0 {
		fmt.Fprintln(f.std.err, "a person who is on record by a hash is found only with the key that made it: name the older keys, too")
	}
	switch {
	case f.found == 0 && f.read.Records == 0:
		return fmt.Errorf("nothing found: the files (%d) have no records", files)
	case f.found == 0:
		return fmt.Errorf("nothing found in %d records of %d files, from %s to %s",
			f.read.Records, files, f.read.First.Format(time.RFC3339), f.read.Last.Format(time.RFC3339))
	case f.failed != nil:
		return errors.New("not all files could be read to their ends, so there may be more")
	}
	return nil
}
