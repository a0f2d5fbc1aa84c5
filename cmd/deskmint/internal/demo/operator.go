package demo

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type operatorView struct {
	Ready     readiness
	Decisions []decisionView
	Counts    []countView
	Log       []string
	Ops       string
}

// How many lines the operator's page shows.
const (
	auditLines = 15
	logLines   = 20
)

// decisionView is an audit record: a row of the page.
type decisionView struct {
	Time          time.Time `json:"time"`
	Caller        string    `json:"caller"`
	Method        string    `json:"method"`
	Configuration string    `json:"configuration"`
	Email         string    `json:"email"`
	Decision      string    `json:"decision"`
	Reason        string    `json:"reason"`
	Rule          string    `json:"rule"`
	Warnings      []string  `json:"warnings"` // fields that were changed or left out

	Reported  bool   // the record is of a sign-in failure that Zendesk has reported
	Why, Todo string // in sentences; "" if the record needs no attention
	JSON      string
}

// countView is how often a failure has occurred.
type countView struct {
	What, Code string
	N          int
}

// showOperator shows the health, the latest decisions and the log.
func (d *pages) showOperator(w http.ResponseWriter, r *http.Request) {
	view := operatorView{Ready: d.client.readyz(r.Context()), Ops: d.client.ops, Log: d.log.latest(logLines)}
	failures := map[string]signInFailure{} // by audit record
	for _, t := range d.traces.all() {
		for _, record := range t.Reports {
			failures[record] = t.Failure
		}
	}
	counts := map[countView]int{}
	for i, record := range d.audit.latest(maxLines) {
		row := newDecision(record, failures[record])
		switch {
		case row.Reported:
			counts[countView{What: "reported by Zendesk", Code: row.Reason}]++
		case row.Decision != "allow":
			counts[countView{What: "refused by Deskmint", Code: row.Reason}]++
		}
		if i < auditLines {
			view.Decisions = append(view.Decisions, row)
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(counts), func(a, b countView) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a.Code, b.Code))
	}) {
		c.N = counts[c]
		view.Counts = append(view.Counts, c)
	}
	d.render(w, "operator", "What the operator sees", "/operator", view)
}

func newDecision(record string, failure signInFailure) decisionView {
	row := decisionView{JSON: record}
	_ = json.Unmarshal([]byte(record), &row) // what isn't JSON is shown as it is
	switch {
	case failure.Class != "":
		row.Reported, row.Reason = true, shortClass(failure.Class)
		row.Why, row.Todo = failure.Cause, failure.OperatorAdvice
	case row.Decision != "allow":
		row.Why, row.Todo = explainReason(row.Reason)
	case len(row.Warnings) > 0:
		row.Why = "A value was changed or left out: " + strings.Join(row.Warnings, ", ") + "."
		row.Todo = "Correct it where the app has it from. The answer to the caller says what is wrong with it."
	}
	return row
}

// shortClass returns the class of a failure without the prefix that every class has.
func shortClass(class string) string { return strings.TrimPrefix(class, "SIGN_IN_FAILURE_CLASS_") }

// explainReason returns what a reason of Deskmint's means, and what an operator does about it.
func explainReason(reason string) (why, todo string) {
	switch reason {
	case "ROLE_NOT_ALLOWED":
		return "The app may not give this role.", "Sign this person in with the configuration for their role, or add " +
			"the role to the caller’s grant."
	case "BRAND_NOT_ALLOWED":
		return "The app has no grant for this brand.", "Check the brand_id, or add it to the grant’s brands."
	case "EMAIL_NOT_ALLOWED":
		return "The app may not sign this person in.", "Check the grant’s email_domains, and who is protected."
	case "CLAIM_NOT_ALLOWED":
		return "The app may not send this claim.", "Leave the claim out, or add it to the grant’s claims."
	case "RETURN_TO_NOT_ALLOWED":
		return "The person may not be sent to this address.", "Use a path or a URL of the brand, or add the host to " +
			"the grant’s return_to_hosts."
	case "CALLER_NOT_ALLOWED":
		return "The app has no grant for this.", "Check the configuration’s name, and the grant’s actions."
	case "CALLER_UNAUTHENTICATED":
		return "Nobody knows this caller.", "Send one credential that the configuration file lists."
	case "CONFIGURATION_DISABLED":
		return "An operator has switched this configuration off.", "Switch it on under Secrets when the reason is gone."
	case "SECRET_UNUSABLE", "SECRET_UNAVAILABLE":
		return "The configuration’s secret can’t be used now.", "Look at the fault under Readiness and in the log."
	case "RATE_LIMITED":
		return "There were too many requests.", "Wait, or raise the caller’s limits."
	case "INVALID_FIELD", "INVALID_REQUEST":
		return "The request doesn’t fit the contract.", "The answer to the caller names the field and the rule."
	}
	return "The request was refused.", "The answer to the caller says what to do."
}

// times says how often something has occurred.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
