package auditfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/text"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Query says which records to find. A record must match every field that isn't empty.
type Query struct {
	TokenHash, RecordID, JTI, RequestID string
	Email, ExternalID                   string
	// Keys are the keys that the records may have hashed Email and ExternalID with.
	Keys []audit.Key
}

// Find writes the line of each record that matches to out, and messages about the files to errs.
// The file "-" is in. Find returns an error if no record matches or a file can't be read. It still
// searches the other files then.
func Find(ctx context.Context, q Query, files []string, in io.Reader, out, errs io.Writer) error {
	f := finder{
		Query: q, in: in, out: out, errs: errs,
		email:      newPerson(recordedEmail(q.Email), q.Keys, audit.Key.HashEmail),
		externalID: newPerson(q.ExternalID, q.Keys, audit.Key.HashExternalID),
	}
	for _, path := range files {
		if err := f.search(ctx, path); err != nil {
			return err
		}
	}
	return f.result(len(files))
}

// recordedEmail returns an address in the form that records have, with an international domain in
// ASCII. It leaves an address that can't be one as it is.
func recordedEmail(s string) string {
	if email, err := zendesk.ParseEmail(strings.TrimSpace(s), zendesk.EmailForms()...); err == nil {
		return email
	}
	return s
}

// person is an email address or an external id, in the forms that records may have.
type person struct {
	clear  string // in lower case
	hashes []string
}

func newPerson(value string, keys []audit.Key, hash func(audit.Key, string) string) person {
	p := person{clear: strings.ToLower(strings.TrimSpace(value))}
	for _, key := range keys {
		p.hashes = append(p.hashes, hash(key, p.clear))
	}
	return p
}

func (p *person) matches(clear, hash string) bool {
	return p.clear == "" || p.clear == strings.ToLower(clear) || hash != "" && slices.Contains(p.hashes, hash)
}

// needsKey reports whether a key is required to find out if a record names the person.
func (p *person) needsKey(clear, hash string) bool {
	return p.clear != "" && len(p.hashes) == 0 && clear == "" && hash != ""
}

// finder searches one file after another.
type finder struct {
	Query
	email, externalID person
	in                io.Reader
	out, errs         io.Writer

	read   audit.Summary
	found  int
	hashed int   // records that need a key
	failed error // of the first file that couldn't be read to its end
}

func (f *finder) matches(r *audit.Record) bool {
	for _, exact := range []struct{ want, got string }{
		{f.TokenHash, r.TokenHash}, {f.RecordID, r.RecordID}, {f.JTI, r.ID}, {f.RequestID, r.RequestID},
	} {
		if exact.want != "" && exact.want != exact.got {
			return false
		}
	}
	return f.email.matches(r.Email, r.EmailHash) && f.externalID.matches(r.ExternalID, r.ExternalHash)
}

// search searches a file. It returns an error only if the search must end.
func (f *finder) search(ctx context.Context, path string) error {
	in := f.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			f.fail(err)
			return nil
		}
		defer file.Close()
		in = file
	}
	in, err := audit.Decompress(in)
	if err != nil {
		f.fail(fmt.Errorf("%s: %w", path, err))
		return nil
	}
	var stop error // not an error of the file
	read, err := audit.ReadRecords(in, func(line []byte, r *audit.Record) error {
		if stop = ctx.Err(); stop == nil && f.matches(r) {
			f.found++
			_, stop = fmt.Fprintf(f.out, "%s\n", line)
		}
		if f.email.needsKey(r.Email, r.EmailHash) || f.externalID.needsKey(r.ExternalID, r.ExternalHash) {
			f.hashed++
		}
		return stop
	})
	f.read.Add(read)
	switch {
	case stop != nil:
		return stop
	case err != nil:
		f.fail(fmt.Errorf("%s: %w", path, err))
	}
	if read.Others > 0 {
		fmt.Fprintf(f.errs, "%s: passed over what is no record: %s\n", path, text.Count(read.Others, "line"))
	}
	return nil
}

func (f *finder) fail(err error) {
	fmt.Fprintln(f.errs, err)
	if f.failed == nil {
		f.failed = err
	}
}

// result returns an error if the search failed or may be incomplete.
func (f *finder) result(files int) error {
	if f.hashed > 0 {
		fmt.Fprintf(f.errs, "people are named by hashes only in %s: "+
			"give the key of these hashes, by --key-file or --config\n", text.Count(f.hashed, "record"))
	}
	if f.found == 0 && f.failed == nil && len(f.email.hashes)+len(f.externalID.hashes) > 0 && f.read.Records > 0 {
		fmt.Fprintln(f.errs, "a person who is on record by a hash is found only with the key that made it: "+
			"name the older keys, too")
	}
	switch {
	case f.found == 0 && f.read.Records == 0:
		return fmt.Errorf("nothing found: the files (%d) have no records", files)
	case f.found == 0:
		return fmt.Errorf("nothing found in %s of %s, from %s to %s",
			text.Count(f.read.Records, "record"), text.Count(files, "file"),
			f.read.First.Format(time.RFC3339), f.read.Last.Format(time.RFC3339))
	case f.failed != nil:
		return errors.New("not all files could be read to their ends, so there may be more")
	}
	return nil
}
