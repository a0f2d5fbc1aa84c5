package demo

import (
	"net/http"
	"slices"
	"time"
)

// clockOffset is how far the demo moves Zendesk's clock. Zendesk tolerates 3 minutes.
const clockOffset = 5 * time.Minute

// activeFaults returns in words which faults are switched on, for the top of every page.
func (d *Demo) activeFaults() []string {
	var all []string
	f := d.sandbox.Faults()
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
		if !s.Working {
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
	Ahead, Behind  bool
	RateLimited    bool
	Blocked        string
	Unassigned     []string
}

func (d *pages) showFaults(w http.ResponseWriter, _ *http.Request) {
	f := d.sandbox.Faults()
	view := faultsView{
		People: d.people, Configurations: d.secretViews(),
		Ahead: f.ClockOffset > 0, Behind: f.ClockOffset < 0, RateLimited: f.RateLimited, Unassigned: f.Unassigned,
	}
	if len(f.Blocked) > 0 {
		view.Blocked = f.Blocked[0]
	}
	d.render(w, "faults", "Break something", "/faults", view)
}

// setFault switches a fault of the sandbox on or off.
func (d *pages) setFault(w http.ResponseWriter, r *http.Request) {
	f := d.sandbox.Faults()
	on := r.PostFormValue("on") == "yes"
	switch what := r.PostFormValue("fault"); what {
	case "ahead", "behind":
		f.ClockOffset = 0
		if on && what == "ahead" {
			f.ClockOffset = clockOffset
		} else if on {
			f.ClockOffset = -clockOffset
		}
	case "rate":
		f.RateLimited = on
	case "blocked":
		f.Blocked = nil
		address := r.PostFormValue("address")
		if on && slices.ContainsFunc(d.people, func(p person) bool { return p.Email == address }) {
			f.Blocked = []string{address}
		}
	case "unassigned":
		f.Unassigned = nil
		if on {
			for _, c := range d.configurations {
				f.Unassigned = append(f.Unassigned, d.rotation.zendeskNames(c.Name)...)
			}
		}
	default:
		d.fail(w, http.StatusBadRequest, "There is no such fault.")
		return
	}
	d.sandbox.SetFaults(f)
	d.changes.Add(1)
	http.Redirect(w, r, "/faults", http.StatusSeeOther)
}
