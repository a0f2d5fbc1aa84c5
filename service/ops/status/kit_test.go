package status_test

import (
	"strings"
	"time"

	"github.com/deskmint/deskmint/service/ops/status"
)

var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// fullPage returns a page that has everything that a page can have.
func fullPage() *status.Page {
	long := strings.Repeat("organisation-", 4) + "customers"
	return &status.Page{
		Now: now, Digest: strings.Repeat("5a", 32), Loaded: now.Add(-3 * time.Hour),
		Findings: []status.Finding{
			{What: "no secret has been loaded: sealed", Advice: "No transport accepts requests.", Severe: true},
			{What: `conf.d/a.yaml:7: "ana@customer.example" is protected twice`, Advice: "Correct the files."},
		},
		List: status.List{
			Total: 10_000, Matched: 120, First: 51, Pages: 3, Selection: status.Selection{Find: "acme", Page: 2},
			States: []status.State{
				{Name: "unusable", Count: 2}, {Name: "stale", Count: 1}, {Name: "usable", Count: 9997},
			},
			Rows: []status.Row{
				{
					Name: "acme-broken", DisplayName: "acme-broken", State: "unusable",
					Findings: []status.Finding{{
						What:   "secret sso/acme-broken:shared_secret: unusable: version 1 is too short",
						Advice: "Correct the secret in the store.", Severe: true,
					}},
				},
				{
					Name: "acme-staff", DisplayName: "Acme staff", State: "stale", Active: 3, Staged: 4, Previous: 2,
					Created: now.Add(-100 * 24 * time.Hour), Read: now.Add(-10 * time.Minute),
					Findings: []status.Finding{{What: "no route to the store", Advice: "Check the store."}},
				},
				{Name: long, DisplayName: long, State: "usable", Active: 4_000_000, Created: now, Read: now},
			},
		},
		Store: status.Store{
			Source: "vault", Network: true, Succeeded: 12, Failed: 1, TokenExpiry: now.Add(time.Hour),
			Interval:  10 * time.Second,
			Refreshes: []status.Count{{Name: "confirmed", Value: 123_456}, {Name: "without an answer", Value: 3}},
		},
		Clocks:  []status.Clock{{Host: "store", Ahead: -45 * time.Second}, {Host: "keys.example", Ahead: 0}},
		Issuers: []status.Issuer{{Name: "cluster", Fetched: now.Add(-time.Minute)}, {Name: "corp"}},
		Ends: []status.End{
			{What: "The certificate of the public listeners", At: now.Add(5 * 24 * time.Hour), Soon: true},
			{
				What: "Identity of the caller storefront", Name: "jwt:corp/ana@customer.example",
				At: now.Add(5000 * time.Hour),
			},
		},
		MoreEnds:  7,
		Reload:    &status.Reload{At: now.Add(-time.Minute), Result: "failed", Fault: "no such file"},
		Decisions: []status.Count{{Name: "allowed", Value: 98_765_432}, {Name: "CONFIGURATION_NOT_RESOLVED", Value: 7}},
		Reports:   []status.Count{{Name: "SIGNATURE", Value: 3}},
		Warnings:  []status.Count{{Name: "user.phone", Value: 12}},
		Build: status.Build{
			Version: "v1.2.3", Commit: strings.Repeat("4f", 20), Go: "go1.26.8", Started: now.Add(-80 * time.Hour),
		},
	}
}
