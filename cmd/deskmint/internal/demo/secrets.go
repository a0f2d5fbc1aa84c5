package demo

import (
	"net/http"
	"slices"
	"time"
)

// versionView is one version of a secret: a row of the page.
type versionView struct {
	Number   uint32
	Created  time.Time
	Signs    bool
	Staged   bool
	Previous bool // a rollback activates it
	Accepted bool // Zendesk accepts its signatures
}

type secretView struct {
	Name, DisplayName, Path string
	Prefix                  string // the first characters of Zendesk's newest secret
	Versions                []versionView
	Working                 bool // Zendesk accepts the version that signs
	Stored                  bool // Zendesk's newest secret is one of the versions
	Staged                  bool // there is a version to activate
	CanRollBack             bool
	Disabled                bool
	TwoAtZendesk            bool // two configurations at Zendesk accept tokens
	NewestSigns             bool // the version that signs is Zendesk's newest secret
}

func (d *Demo) secretViews() []secretView {
	all := make([]secretView, 0, len(d.configurations))
	for _, c := range d.configurations {
		all = append(all, d.secretView(c))
	}
	return all
}

func (d *Demo) secretView(c configurationView) secretView {
	r := d.rotation
	status, ref := r.status(c.Name), r.refs[c.Name]
	r.mu.Lock()
	values, atZendesk, newest := r.values(ref), slices.Clone(r.atZendesk[c.Name]), r.newest(c.Name)
	r.mu.Unlock()
	view := secretView{
		Name: c.Name, DisplayName: c.DisplayName, Path: ref.Path, Prefix: d.sandbox.SecretStart(newest.name),
		Staged: status.Staged() != 0, CanRollBack: hasPrevious(status), Disabled: status.Disabled,
		TwoAtZendesk: len(atZendesk) == 2,
	}
	accepted := func(value string) bool {
		return slices.ContainsFunc(atZendesk, func(z zendeskConfiguration) bool { return z.secret == value })
	}
	for i, version := range status.Versions {
		row := versionView{
			Number: uint32(version.Version), Created: version.Created,
			Signs: version.Version == status.Active, Staged: version.Version == status.Staged(),
			Previous: version.Version == status.Previous && hasPrevious(status),
			Accepted: accepted(values[i]),
		}
		view.Stored = view.Stored || values[i] == newest.secret
		view.NewestSigns = view.NewestSigns || row.Signs && values[i] == newest.secret
		view.Working = view.Working || row.Accepted && row.Signs
		view.Versions = append(view.Versions, row)
	}
	return view
}

func (d *pages) showSecrets(w http.ResponseWriter, _ *http.Request) {
	d.render(w, "secrets", "Secrets", "/secrets", d.secretViews())
}

// changeSecret takes one step of a rotation. It then calls RefreshSecret, so that the change takes
// effect at once.
func (d *pages) changeSecret(w http.ResponseWriter, r *http.Request) {
	configuration := r.PostFormValue("configuration")
	if !d.hasConfiguration(configuration) {
		d.fail(w, http.StatusBadRequest, "There is no such configuration.")
		return
	}
	if err := d.rotation.do(configuration, r.PostFormValue("act")); err != nil {
		d.fail(w, http.StatusBadRequest, "This step isn’t possible now: "+err.Error()+".")
		return
	}
	d.changes.Add(1)
	path := "/v1/configurations/" + configuration + ":refreshSecret"
	if _, err := d.client.post(r.Context(), path, []byte("{}")); err != nil {
		d.fail(w, http.StatusBadGateway, "Deskmint can’t be reached.")
		return
	}
	back := "/secrets"
	if r.PostFormValue("back") == "faults" {
		back = "/faults"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
