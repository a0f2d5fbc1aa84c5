package doctor

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/text"
)

// Report is the result of [Run].
type Report struct {
	// Findings are in the order of the checks.
	Findings []secrets.Finding

	online bool
}

// Worst returns the highest level of all findings.
func (r *Report) Worst() secrets.Level {
	worst := secrets.OK
	for _, f := range r.Findings {
		worst = max(worst, f.Level)
	}
	return worst
}

func (r *Report) count(level secrets.Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// jsonFinding is a finding as scripts read it. Keys may be added, but never changed or removed.
type jsonFinding struct {
	Level string `json:"level"`
	Where string `json:"where"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// WriteJSON writes the report for scripts.
func (r *Report) WriteJSON(w io.Writer) error {
	findings := []jsonFinding{}
	for _, f := range r.Findings {
		findings = append(findings, jsonFinding{f.Level.String(), f.Where, f.What, f.Do})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Faults   int           `json:"faults"`
		Warnings int           `json:"warnings"`
		Findings []jsonFinding `json:"findings"`
	}{r.count(secrets.Fault), r.count(secrets.Warning), findings})
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%-8s %s: %s\n", f.Level.String(), f.Where, f.What)
		if f.Do != "" {
			fmt.Fprintf(w, "         → %s\n", f.Do)
		}
	}
	if !r.online {
		fmt.Fprintln(w, "note     brand hosts were not looked up: --online does")
	}
	_, err := fmt.Fprintf(w, "%s, %s\n",
		text.Count(r.count(secrets.Fault), "fault"), text.Count(r.count(secrets.Warning), "warning"))
	return err
}
