// Package doctor checks what a service depends on: its configuration file, the files that this file
// names, certificates, audit records, the secret store and callers' identities. Each finding says
// what to do.
//
// The checks run with the service's own credential, files and rights, so run them as the user of
// the service and on its machine. They change nothing.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/text"
)

// Options of [Run]. All but Config and Timeout may be left out.
type Options struct {
	// Config is the path of the configuration file.
	Config string
	// Prefixes are the first characters of active secrets, by configuration. Run compares them.
	Prefixes map[string]string
	// ServerNames are the names and addresses that the server's certificate must be valid for.
	ServerNames []string
	// Online also resolves the hosts of brands and connects to Zendesk.
	Online bool
	// AuditFiles are files of audit records to read in addition to those of the configuration.
	AuditFiles []string
	// Timeout limits all checks together.
	Timeout time.Duration
}

// Run runs all checks. An error means that Options.Prefixes names a configuration that doesn't
// exist.
func Run(ctx context.Context, o Options) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	e := &examination{now: time.Now, maxAuditBytes: maxAuditBytes}
	if err := e.run(ctx, o); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		e.fault("doctor", "not everything could be checked in "+o.Timeout.String(),
			"use a longer --timeout; the cause is most likely the place of the last finding, or of the next one")
	}
	return &Report{Findings: e.findings, online: o.Online}, nil
}

// examination runs the checks and collects their findings.
type examination struct {
	now           func() time.Time
	maxAuditBytes int64 // how many bytes of audit records may be read
	findings      []secrets.Finding
}

func (e *examination) run(ctx context.Context, o Options) error {
	snapshot := e.configuration(o.Config)
	if snapshot == nil {
		return nil // without a configuration there is nothing else to check
	}
	for name := range o.Prefixes {
		if _, ok := snapshot.Configuration(name); !ok {
			// The name is not quoted, because it may be a secret that was pasted in the wrong
			// place.
			names := strings.Join(snapshot.Names(), ", ")
			return fmt.Errorf("no configuration has that name: %s has %s", o.Config, names)
		}
	}
	e.permissions(o.Config, snapshot)
	e.certificates(snapshot, o.ServerNames)
	e.auditOutput(snapshot)
	if o.Online {
		e.hosts(ctx, snapshot)
	}
	e.clockReferences(ctx, snapshot)
	e.store(ctx, snapshot, o.Prefixes)
	e.identities(ctx, snapshot, o.AuditFiles) // the last, because it may take long
	return nil
}

// report adds a finding. It removes credentials and line breaks from its text.
func (e *examination) report(f secrets.Finding) {
	for _, text := range []*string{&f.Where, &f.What, &f.Do} {
		*text = errtext.Redact(strings.ReplaceAll(*text, "\n", "; "))
	}
	e.findings = append(e.findings, f)
}

func (e *examination) ok(where, what string) {
	e.report(secrets.Finding{Level: secrets.OK, Where: where, What: what})
}

func (e *examination) warn(where, what, do string) {
	e.report(secrets.Finding{Level: secrets.Warning, Where: where, What: what, Do: do})
}

func (e *examination) fault(where, what, do string) {
	e.report(secrets.Finding{Level: secrets.Fault, Where: where, What: what, Do: do})
}

// configuration reads the configuration file. It returns nil if the service would refuse it.
func (e *examination) configuration(path string) *config.Snapshot {
	const do = "correct it: nothing else is checked until the file is valid"
	snapshot, err := config.Load(path, config.Options{Now: e.now})
	if problems := (*config.ProblemsError)(nil); errors.As(err, &problems) {
		for _, p := range problems.Problems {
			e.fault(placeOf(p), p.Message, do)
		}
		return nil
	}
	if err != nil {
		e.fault(path, err.Error(), do)
		return nil
	}
	for _, w := range snapshot.Warnings {
		e.warn(placeOf(w), w.Message, "change the configuration file, unless this is intended")
	}
	e.ok(path, "the file is valid: "+text.Count(len(snapshot.Names()), "configuration"))
	return snapshot
}

// placeOf returns the file, line and key of a problem.
func placeOf(p config.Problem) string {
	message := p.Message
	p.Message = ""
	return cmp.Or(p.String(), message)
}

// causeOf returns the text of an error without the path, which the finding has already.
func causeOf(err error) string { return errtext.Cause(err).Error() }
