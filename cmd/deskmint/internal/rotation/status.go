package rotation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/replicas"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
)

// StatusOptions select what PrintStatus prints.
type StatusOptions struct {
	Prefix   string   // the beginning of a value, to compare with each version
	Replicas []string // the addresses of replicas to ask
	JSON     bool
}

// PrintStatus prints the versions of the secret, never a value, and what the replicas hold. It
// returns an error if a replica doesn't hold what the store does.
func (op *Operation) PrintStatus(ctx context.Context, out io.Writer, o StatusOptions) error {
	set, err := replicas.New(o.Replicas)
	if err != nil {
		return fmt.Errorf("--replicas %w", err)
	}
	report, err := op.Status(ctx, o.Prefix)
	if err != nil {
		return err
	}
	s := statusOf(op, report)
	if !set.Empty() {
		s.Replicas = set.Status(ctx, op.name, replicas.Stored{
			Active: report.Active, Staged: report.Staged(), Serial: report.Serial, Disabled: report.Disabled,
			Unclear: s.Unclear != "",
		})
	}
	if o.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(s)
	} else {
		err = s.print(out)
	}
	if err != nil {
		return err
	}
	return s.behind()
}

// behind returns an error if a replica doesn't hold what the store does.
func (s Status) behind() error {
	n := 0
	for _, r := range s.Replicas {
		if r.Fault != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("replicas that don't hold what the store does: %d of %d", n, len(s.Replicas))
}

// Status is the output of PrintStatus. Scripts read its JSON, so keys may be added but never
// changed or removed.
type Status struct {
	Configuration string          `json:"configuration"`
	Place         string          `json:"place"`
	Field         string          `json:"field"`
	SharedWith    []string        `json:"shared_with,omitempty"`
	Active        secrets.Version `json:"active_version"`
	Staged        secrets.Version `json:"staged_version,omitempty"`
	Previous      secrets.Version `json:"previous_version,omitempty"`
	Latest        secrets.Version `json:"latest_version"`
	Pinned        bool            `json:"pinned"`
	Serial        uint64          `json:"serial,omitempty"`
	Disabled      bool            `json:"disabled"`
	Keeps         int             `json:"max_versions,omitempty"`
	ReadOnly      string          `json:"read_only,omitempty"`
	Warnings      []string        `json:"warnings,omitempty"`
	Unclear       string          `json:"unclear,omitempty"` // why the active version can't be determined
	Versions      []VersionStatus `json:"versions"`

	Replicas []replicas.Status `json:"replicas,omitempty"`
}

// VersionStatus is the status of one version of a secret.
type VersionStatus struct {
	Version     secrets.Version `json:"version"`
	State       []string        `json:"state,omitempty"`
	Created     string          `json:"created,omitempty"`
	Fate        string          `json:"fate,omitempty"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	Match       *bool           `json:"prefix_match,omitempty"`
	Fault       string          `json:"fault,omitempty"`
}

func statusOf(op *Operation, r rotate.Report) Status {
	s := Status{
		Configuration: op.name, Place: r.Place, Field: op.Ref.Field, SharedWith: op.sharing,
		Active: r.Active, Staged: r.Staged(), Previous: r.Previous, Latest: r.Latest,
		Pinned: r.Pinned, Serial: r.Serial, Disabled: r.Disabled, Keeps: r.Keeps,
	}
	if r.ReadOnly != nil {
		s.ReadOnly = r.ReadOnly.Error()
	}
	if s.Unclear = r.Unclear(); s.Unclear != "" {
		s.Active, s.Staged, s.Previous = 0, 0, 0
		s.Warnings = append(s.Warnings,
			s.Unclear+
				". `deskmint secret activate NAME --version N` pins the version that shall sign. The /readyz of a "+
				"replica that still signs names it; so does secret_version in the audit log")
	}
	if r.MarkedOff != "" && !r.Disabled {
		s.Warnings = append(s.Warnings,
			"it was switched off ("+r.MarkedOff+
				"), and its metadata were wiped or put back to an older state since: replicas that start don't sign "+
				"with it until `deskmint secret enable`")
	}
	if r.KeepsFault != nil {
		s.Warnings = append(s.Warnings, "how many versions are kept isn't known: "+r.KeepsFault.Error())
	}
	for _, d := range r.Details {
		v := VersionStatus{Version: d.Version, Fate: d.Fate, Fingerprint: d.Fingerprint, Match: d.Match}
		for _, is := range []struct {
			so   bool
			name string
		}{{d.Active, "active"}, {d.Staged, "staged"}, {d.Previous, "previous"}} {
			if is.so {
				v.State = append(v.State, is.name)
			}
		}
		if !d.Created.IsZero() {
			v.Created = d.Created.UTC().Format(time.RFC3339)
		}
		if d.Fault != nil {
			v.Fault = d.Fault.Error()
		}
		s.Versions = append(s.Versions, v)
	}
	return s
}

func (s Status) print(out io.Writer) error {
	serial := ""
	if s.Serial != 0 {
		serial = fmt.Sprintf(", serial %d", s.Serial)
	}
	fmt.Fprintf(out, "%s: %s, field %s%s\n", s.Configuration, s.Place, s.Field, serial)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VERSION\tCREATED\tFINGERPRINT\tSTATE")
	for _, v := range s.Versions {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", v.Version, dash(v.Created), dash(v.Fingerprint),
			dash(strings.Join(v.words(), ", ")))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !s.Pinned && s.Unclear == "" {
		fmt.Fprintln(out, "no pointer is set: the latest version is active")
	}
	if s.Disabled {
		fmt.Fprintln(out, "DISABLED: nothing is signed with it")
	}
	for _, w := range append(s.Warnings, s.ReadOnly) {
		if w != "" {
			fmt.Fprintln(out, "warning:", w)
		}
	}
	if len(s.SharedWith) > 0 {
		fmt.Fprintln(out, "also used by:", strings.Join(s.SharedWith, ", "))
	}
	return s.printReplicas(out)
}

func (s Status) printReplicas(out io.Writer) error {
	if len(s.Replicas) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nREPLICA\tSTATE\tACTIVE\tSTAGED\tLAST READ\tFAULT")
	number := func(v secrets.Version) string {
		if v == 0 {
			return "-"
		}
		return strconv.FormatUint(uint64(v), 10)
	}
	for _, r := range s.Replicas {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Address, dash(r.State), number(r.Active), number(r.Staged),
			dash(r.Success), dash(r.Fault))
	}
	return t.Flush()
}

// words returns the contents of the table's last column for a version.
func (v VersionStatus) words() []string {
	words := slices.Clone(v.State)
	if v.Match != nil {
		words = append(words, map[bool]string{true: "match", false: "no match"}[*v.Match])
	}
	if v.Fate != "" {
		words = append(words, v.Fate)
	}
	if v.Fault != "" {
		words = append(words, v.Fault)
	}
	return words
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
