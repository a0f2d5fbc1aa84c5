package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
)

// doctorCommand looks at all that a service with this file would rely on, as the
// service: with its credential, its files and its rights. It changes nothing. Its exit
// codes: 0 all is well, 1 there is a fault, 2 the command line is at fault, 3 there are
// warnings only.
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
	starts, err := c.starts()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	d := &doctor{now: time.Now, auditRead: maxAuditRead}
	if err := c.examine(ctx, d, starts); err != nil {
		return err
	}
	if ctx.Err() != nil {
		d.fault("doctor", "not everything could be looked at in "+c.Timeout.String(), "give it longer with --timeout; what hangs is most likely the last finding's place, or the next one's")
	}
	if err := c.print(std.out, d.findings); err != nil {
		return err
	}
	return d.verdict()
}

// examine looks at one thing after another. An error is one of the command line.
func (c doctorCommand) examine(ctx context.Context, d *doctor, starts map[string]string) error {
	snapshot := d.configuration(c.Config)
	if snapshot == nil {
		return nil // nothing else is known
	}
	for name := range starts {
		if _, ok := snapshot.Configuration(name); !ok { // not quoted: it may be a secret that was pasted in the wrong place
			return usage("--starts-with: no configuration has that name: %s has %s", c.Config, strings.Join(snapshot.Names(), ", "))
		}
	}
	d.files(c.Config, snapshot)
	d.certificates(snapshot, c.ServerName)
	d.audit(snapshot)
	if c.Online {
		d.hosts(ctx, snapshot)
	}
	d.store(ctx, snapshot, starts)
	d.identities(ctx, snapshot, c.Audit) // last, because it may take long
	return nil
}

// starts reads --starts-with. No error quotes it: people paste too much.
func (c doctorCommand) starts() (map[string]string, error) {
	all := map[string]string{}
	for _, given := range c.StartsWith {
		name, start, ok := strings.Cut(given, "=")
		switch {
		case !ok || name == "" || start == "":
			return nil, usage("--starts-with: give NAME=CHARACTERS, such as acme-customers=abcd")
		case utf8.RuneCountInString(start) > secrets.MaxPrefix:
			return nil, usage("--starts-with takes at most %d characters: more of a secret belongs on no command line. If that was the real one, reset it at Zendesk", secrets.MaxPrefix)
		}
		all[strings.TrimPrefix(name, "configurations/")] = start
	}
	return all, nil
}

// doctor gathers findings.
type doctor struct {
	now       func() time.Time
	auditRead int64 // how many bytes of records may be read
	findings  []secrets.Finding
}

func (d *doctor) report(f secrets.Finding) {
	for _, text := range []*string{&f.Where, &f.What, &f.Do} {
		*text = errtext.Redact(strings.ReplaceAll(*text, "\n", "; "))
	}
	d.findings = append(d.findings, f)
}

func (d *doctor) say(level secrets.Level, where, what, do string) {
	d.report(secrets.Finding{Level: level, Where: where, What: what, Do: do})
}

func (d *doctor) ok(where, what string)        { d.say(secrets.OK, where, what, "") }
func (d *doctor) warn(where, what, do string)  { d.say(secrets.Warning, where, what, do) }
func (d *doctor) fault(where, what, do string) { d.say(secrets.Fault, where, what, do) }

// configuration is nil where the file is refused.
func (d *doctor) configuration(path string) *config.Snapshot {
	const do = "mend it: nothing else is looked at until the file is whole"
	snapshot, err := config.Load(path, config.Options{Now: d.now})
	if faults := (*config.FaultsError)(nil); errors.As(err, &faults) {
		for _, f := range faults.Faults {
			d.fault(placeOf(f), f.Message, do)
		}
		return nil
	}
	if err != nil {
		d.fault(path, err.Error(), do)
		return nil
	}
	for _, w := range snapshot.Warnings {
		d.warn(placeOf(w), w.Message, "change it, if it isn't meant")
	}
	d.ok(path, fmt.Sprintf("the configuration is whole: %d configurations", len(snapshot.Names())))
	return snapshot
}

func placeOf(f config.Fault) string {
	message := f.Message
	f.Message = ""
	return cmp.Or(f.String(), message)
}

// verdict is nil where there is nothing to do.
func (d *doctor) verdict() error {
	worst := secrets.OK
	for _, f := range d.findings {
		worst = max(worst, f.Level)
	}
	switch worst {
	case secrets.Fault:
		return &exitError{code: codeFailed}
	case secrets.Warning:
		return &exitError{code: codeNotable}
	}
	return nil
}

// found is a finding as JSON, for scripts: keys are only ever added.
type found struct {
	Level string `json:"level"`
	Where string `json:"where"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

func (c doctorCommand) print(out io.Writer, findings []secrets.Finding) error {
	count := map[secrets.Level]int{}
	list := []found{}
	for _, f := range findings {
		count[f.Level]++
		list = append(list, found{f.Level.String(), f.Where, f.What, f.Do})
	}
	if c.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			Faults   int     `json:"faults"`
			Warnings int     `json:"warnings"`
			Findings []found `json:"findings"`
		}{count[secrets.Fault], count[secrets.Warning], list})
	}
	for _, f := range list {
		fmt.Fprintf(out, "%-8s %s: %s\n", f.Level, f.Where, f.What)
		if f.Do != "" {
			fmt.Fprintf(out, "         → %s\n", f.Do)
		}
	}
	if !c.Online {
		fmt.Fprintln(out, "note     brand hosts were not looked up: --online does")
	}
	_, err := fmt.Fprintf(out, "%d faults, %d warnings\n", count[secrets.Fault], count[secrets.Warning])
	return err
}
