package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/auditfiles"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config"
)

const (
	// identityEndsSoon is how long before its end an identity causes a warning.
	identityEndsSoon = 14 * 24 * time.Hour
	// identityUnused is how long an identity may be unused without causing a warning.
	identityUnused = 90 * 24 * time.Hour
	// maxAuditBytes is how many bytes of audit records are read at most.
	maxAuditBytes = 1 << 30
)

// identities checks when callers' identities end, and whether each is still used. Loading the
// configuration has already warned of identities that have ended.
func (e *examination) identities(ctx context.Context, s *config.Snapshot, files []string) {
	now := e.now()
	last := usageScan{since: now.Add(-identityUnused), unused: map[usedBy]string{}, left: e.maxAuditBytes}
	for _, id := range s.Identities {
		if id.EndedAt(now) {
			continue
		}
		where := fmt.Sprintf("identity %s of caller %s", id.Label(), id.Caller)
		if id.Owner != "" {
			where += " (" + id.Owner + ")"
		}
		if !id.NotAfter.IsZero() && id.NotAfter.Sub(now) < identityEndsSoon {
			e.warn(where, "it ends at "+id.NotAfter.Format(time.RFC3339),
				"give its caller another credential before that, or set a later not_after")
		}
		last.unused[usedBy{id.Caller, id.Label()}] = where
	}
	e.unused(ctx, s, &last, files)
}

// unused reports the identities that no audit record of the last 90 days names.
func (e *examination) unused(ctx context.Context, s *config.Snapshot, last *usageScan, files []string) {
	all := len(last.unused)
	own, err := auditfiles.List(s.Audit.Output)
	if err != nil {
		e.warn("audit.output: "+s.Audit.Output, causeOf(err), "let the service's user read the folder")
	}
	read := func(file string) bool {
		err := last.read(ctx, file)
		if err != nil && ctx.Err() == nil {
			e.warn("records in "+file, causeOf(err), "let the service's user read the file, or leave it out")
		}
		return err == nil
	}
	for _, file := range files {
		read(file)
	}
	others := last.reach
	last.reach = time.Time{}
	for _, file := range own {
		if last.reachesBack() || !read(file) { // older files say nothing about the time of one that can't be read
			break
		}
	}
	if others.After(last.reach) { // only where both reach back that far, nothing is missing
		last.reach = others
	}
	const where = "identities"
	switch {
	case all == 0:
	case len(last.unused) == 0:
		e.ok(where, fmt.Sprintf("records show that each of %d was used within 90 days", all))
	case len(files)+len(own) == 0:
		e.ok(where, "whether each was used within 90 days isn't known: "+
			"there is no file of records here, and --audit names none")
	case last.reach.IsZero():
		e.ok(where, "whether each was used within 90 days isn't known: the records here name no identity")
	case last.reach.After(last.since):
		e.ok(where, fmt.Sprintf("whether %d of %d were used within 90 days isn't known: "+
			"the records that were read begin at %s. These are not in them: %s",
			len(last.unused), all, last.reach.Format(time.RFC3339), strings.Join(last.missing(), ", ")))
	default:
		for _, id := range last.missing() {
			e.warn(id, "the records show no use of it within 90 days",
				"remove it if no service needs it. If it is new, leave it. "+
					"If other replicas keep records elsewhere, add them with --audit")
		}
	}
}

// usageScan searches records for the use of identities.
type usageScan struct {
	since  time.Time
	unused map[usedBy]string // identities that weren't found yet, as findings name them
	reach  time.Time         // the earliest record that names an identity; zero: none was read
	left   int64             // how many bytes may still be read
}

// missing returns the identities that weren't found, sorted.
func (l *usageScan) missing() []string { return slices.Sorted(maps.Values(l.unused)) }

type usedBy struct{ caller, identity string }

// reachesBack reports whether the records that were read go back far enough.
func (l *usageScan) reachesBack() bool {
	return !l.reach.IsZero() && !l.reach.After(l.since)
}

// read reads a file, or its end if the file is too long. It reads nothing if every identity was
// found. The caller goes from the newest file to the oldest.
func (l *usageScan) read(ctx context.Context, path string) error {
	if len(l.unused) == 0 || l.left <= 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	compressed, err := l.skip(f)
	if err != nil {
		return err
	}
	text, err := audit.Decompress(f)
	if err != nil {
		return err
	}
	var (
		reach   time.Time
		limited = &io.LimitedReader{R: text, N: l.left}
		enough  = errors.New("every identity was found")
	)
	_, err = audit.ReadRecords(limited, func(_ []byte, r *audit.Record) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.Identity == "" || r.Credential != "" { // a credential that was refused is no use
			return nil
		}
		if reach.IsZero() || r.Time.Before(reach) {
			reach = r.Time
		}
		if !r.Time.Before(l.since) {
			delete(l.unused, usedBy{r.Caller, r.Identity})
		}
		if len(l.unused) == 0 {
			return enough
		}
		return nil
	})
	l.left = limited.N
	// The beginning of a file says nothing about how far back the records reach: the rest of it
	// is newer.
	if cut := compressed && l.left <= 0; !cut && !reach.IsZero() && (l.reach.IsZero() || reach.Before(l.reach)) {
		l.reach = reach
	}
	if errors.Is(err, enough) {
		return nil
	}
	return err
}

// skip moves to the part of a file that may be read. It can't skip a part of a compressed one.
func (l *usageScan) skip(f *os.File) (compressed bool, err error) {
	magic := make([]byte, 2)
	if _, err := f.ReadAt(magic, 0); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return true, nil
	}
	info, err := f.Stat()
	if err == nil && info.Size() > l.left {
		_, err = f.Seek(-l.left, io.SeekEnd)
	}
	return false, err
}
