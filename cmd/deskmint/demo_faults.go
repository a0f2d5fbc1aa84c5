package main

import (
	"net/http"
	"slices"
	"time"
)

// clockOff is how far the demo puts Zendesk's clock off: more than the 3 minutes that
// it takes.
const clockOff = 5 * time.Minute

// switchedOn says in words what is out of order, for the top of every page.
func (d *demo) switchedOn() []string {
	var all []string
	f := d.zendesk.Faults()
	switch {
	case f.ClockOffset > 0:
		all = append(all, "Zendesk’s clock is 5 minutes ahead.")
	case f.ClockOffset < 0:
		all = append(all, "Zendesk’s clock is 5 minutes behind.")
	}
	if f.RateLimited {
		all = append(all, "Zendesk has had too many sign-ins.")
	}
	for _, address := range f.Blocked {
		all = append(all, "Zendesk’s block list has "+address+".")
	}
	for _, name := range f.Unassigned {
		all = append(all, "At Zendesk, "+name+" is assigned to nobody.")
	}
	for _, s := range d.secretViews() {
		if !s.InOrder {
			all = append(all, "Zendesk takes another secret than the one that signs for "+s.Name+".")
		}
		if s.Disabled {
			all = append(all, s.Name+" is switched off.")
		}
	}
	return all
}

type faultsView struct {
	People         []person
	Configurations []secretView
	ClockOffset    time.Duration
	Ahead, Behind  bool
	RateLimited    bool
	Blocked        string
	Unassigned     []string
}

func (d *demo) showFaults(w http.ResponseWriter, _ *http.Request) {
	f := d.zendesk.Faults()
	view := faultsView{
		People: d.people, Configurations: d.secretViews(),
		Ahead: f.ClockOffset > 0, Behind: f.ClockOffset < 0, RateLimited: f.RateLimited, Unassigned: f.Unassigned,
	}
	if len(f.Blocked) > 0 {
		view.Blocked = f.Blocked[0]
	}
	d.show(w, "faults", "Break something", "/faults", view)
}

// setFault takes a button of the page of faults.
func (d *demo) setFault(w http.ResponseWriter, r *http.Request) {
	f := d.zendesk.Faults()
	on := r.PostFormValue("on") == "yes"
	switch what := r.PostFormValue("fault"); what {
	case "ahead", "behind":
		f.ClockOffset = 0
		if on && what == "ahead" {
			f.ClockOffset = clockOff
		} else if on {
			f.ClockOffset = -clockOff
		}
	case "rate":
		f.RateLimited = on
	case "blocked":
		f.Blocked = nil
		if address := r.PostFormValue("address"); on && slices.ContainsFunc(d.people, func(p person) bool { return p.Email == address }) {
			f.Blocked = []string{address}
		}
	case "unassigned":
		f.Unassigned = nil
		if on {
			for _, c := range d.configurations {
				f.Unassigned = append(f.Unassigned, d.vault.zendeskNames(c.Name)...)
			}
		}
	default:
		http.Error(w, "no such fault", http.StatusBadRequest)
		return
	}
	d.zendesk.SetFaults(f)
	http.Redirect(w, r, "/faults", http.StatusSeeOther)
}

type operatorView struct {
	Ready      readiness
	Audit, Log []string
	Ops        string
}

// shown is how many lines of each kind the operator's page has.
const shown = 10

func (d *demo) showOperator(w http.ResponseWriter, r *http.Request) {
	d.show(w, "operator", "What the operator sees", "/operator", operatorView{d.readyz(r.Context()), d.audit.latest(shown), d.log.latest(2 * shown), d.ops})
}
