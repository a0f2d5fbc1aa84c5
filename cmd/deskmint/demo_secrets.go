package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/sandbox"
)

// demoSecretValues are the secrets that were made up at the start.
type demoSecretValues map[secrets.Ref][]byte

// inventedSecrets fills a store with a random secret for each reference, and returns
// them for the sandbox, which as Zendesk has to know them too. References may be fields
// of one path, which has one version of them all.
func inventedSecrets(s *config.Snapshot) (*memory.Store, demoSecretValues) {
	store, invented := &memory.Store{}, demoSecretValues{}
	for _, ref := range s.Refs() {
		invented[ref] = []byte(rand.Text() + rand.Text())
	}
	for path, fields := range invented.byPath() {
		store.PutFields(path, fields)
	}
	return store, invented
}

// byPath are the values by path and field.
func (values demoSecretValues) byPath() map[string]map[string][]byte {
	paths := map[string]map[string][]byte{}
	for ref, value := range values {
		if paths[ref.Path] == nil {
			paths[ref.Path] = map[string][]byte{}
		}
		paths[ref.Path][ref.Field] = value
	}
	return paths
}

// demoVault is the operator's hands: it copies what Zendesk shows into the store, and
// moves the pointer there, as `deskmint secret` does with a real one.
type demoVault struct {
	store *memory.Store
	refs  map[string]secrets.Ref // by configuration

	mu   sync.Mutex
	held map[string][]map[string][]byte // by path: the fields of version n are at n-1
	// there are, by Deskmint's configuration, those of Zendesk that take its tokens: one,
	// or two while a secret is changed without a gap. The newest is last.
	there map[string][]zendeskConfiguration
	made  int // how many were added
}

type zendeskConfiguration struct{ name, secret string }

func newDemoVault(s *config.Snapshot, store *memory.Store, invented demoSecretValues) *demoVault {
	v := &demoVault{store: store, refs: map[string]secrets.Ref{}, held: map[string][]map[string][]byte{}, there: map[string][]zendeskConfiguration{}}
	for path, fields := range invented.byPath() {
		v.held[path] = []map[string][]byte{fields}
	}
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		v.refs[name], v.there[name] = conf.Secret, []zendeskConfiguration{{name, string(invented[conf.Secret])}}
	}
	return v
}

func (v *demoVault) status(configuration string) secrets.Status {
	status, _ := v.store.Status(context.Background(), v.refs[configuration].Path) // in memory, it is always there
	return status
}

func (v *demoVault) staged(configuration string) uint32 {
	return uint32(v.status(configuration).Staged())
}

// stage puts Zendesk's newest secret into the store as the next version, which doesn't
// sign yet. The present one is pinned first, as the command does.
func (v *demoVault) stage(configuration string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	ref, status := v.refs[configuration], v.status(configuration)
	newest := v.newest(configuration).secret
	if slices.Contains(v.values(ref), newest) {
		return fmt.Errorf("the secret of %s at Zendesk is in the store already: reset it there first", configuration)
	}
	if !status.Pinned {
		if err := v.store.Activate(ref.Path, status.Active); err != nil {
			return err
		}
	}
	// What else the path has stays as it is: a version is the whole of it.
	held := v.held[ref.Path]
	fields := maps.Clone(held[len(held)-1])
	fields[ref.Field] = []byte(newest)
	v.store.PutFields(ref.Path, fields)
	v.held[ref.Path] = append(held, fields)
	return nil
}

// values are what a reference has been, version by version.
func (v *demoVault) values(ref secrets.Ref) []string {
	values := make([]string, 0, len(v.held[ref.Path]))
	for _, fields := range v.held[ref.Path] {
		values = append(values, string(fields[ref.Field]))
	}
	return values
}

func (v *demoVault) newest(configuration string) zendeskConfiguration {
	all := v.there[configuration]
	return all[len(all)-1]
}

// zendeskNames are the names that Zendesk knows a configuration by.
func (v *demoVault) zendeskNames(configuration string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var names []string
	for _, c := range v.there[configuration] {
		names = append(names, c.name)
	}
	return names
}

// atZendesk does what a button says that is Zendesk's.
func (v *demoVault) atZendesk(z *sandbox.Sandbox, configuration, act string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.there[configuration]
	switch {
	case act == "reset":
		fresh, err := z.ResetSecret(v.newest(configuration).name)
		if err != nil {
			return err
		}
		all[len(all)-1].secret = fresh
	case act == "second" && len(all) == 1:
		v.made++
		name := fmt.Sprintf("%s, made anew (%d)", configuration, v.made)
		fresh, err := z.AddConfiguration(all[0].name, name)
		if err != nil {
			return err
		}
		v.there[configuration] = append(all, zendeskConfiguration{name, fresh})
	case act == "remove" && len(all) == 2:
		if err := z.RemoveConfiguration(all[0].name); err != nil {
			return err
		}
		v.there[configuration] = all[1:]
	default:
		return fmt.Errorf("%s has %d configurations at Zendesk: that can't be done", configuration, len(all))
	}
	return nil
}

// act does what one of the page's buttons says.
func (d *demo) act(configuration, act string) error {
	v := d.vault
	path, status := v.refs[configuration].Path, v.status(configuration)
	switch act {
	case "reset", "second", "remove":
		return v.atZendesk(d.zendesk, configuration, act)
	case "stage":
		return v.stage(configuration)
	case "activate":
		if status.Staged() == 0 {
			return fmt.Errorf("nothing is staged for %s", configuration)
		}
		return v.store.Activate(path, status.Staged())
	case "rollback":
		if status.Previous == 0 || status.Previous == status.Active {
			return fmt.Errorf("%s has no version before this one", configuration)
		}
		return v.store.Activate(path, status.Previous)
	case "disable", "enable":
		return v.store.Disable(path, act == "disable")
	}
	return fmt.Errorf("no such act: %q", act)
}

// changeSecret takes a button of the page of secrets. What changed in the store shows
// at Deskmint at once, because it is asked to look.
func (d *demo) changeSecret(w http.ResponseWriter, r *http.Request) {
	configuration := r.PostFormValue("configuration")
	if _, ok := d.vault.refs[configuration]; !ok {
		http.Error(w, "no such configuration", http.StatusBadRequest)
		return
	}
	if err := d.act(configuration, r.PostFormValue("act")); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if _, err := d.ask(r.Context(), "/v1/configurations/"+configuration+":refreshSecret", []byte("{}")); err != nil {
		http.Error(w, "Deskmint can't be reached", http.StatusBadGateway)
		return
	}
	back := "/secrets"
	if r.PostFormValue("back") == "faults" {
		back = "/faults"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// versionView is one version of a secret: a row of the page.
type versionView struct {
	Number                       uint32
	Created                      time.Time
	Signs, Staged, Taken, Before bool // Taken: it is Zendesk's
}

type secretView struct {
	Name, DisplayName, Path string
	Start                   string // of Zendesk's secret
	Versions                []versionView
	InStore                 bool // the newest secret of Zendesk's is one of the versions
	InOrder                 bool // what signs is what Zendesk takes
	Staged, Back            bool // there is one to activate, to go back to
	Disabled                bool
	Two                     bool // of Zendesk's take tokens
	Through                 bool // the newer one's secret signs
}

func (d *demo) secretViews() []secretView {
	all := make([]secretView, 0, len(d.configurations))
	for _, c := range d.configurations {
		v := d.vault
		status, ref := v.status(c.Name), v.refs[c.Name]
		view := secretView{
			Name: c.Name, DisplayName: c.DisplayName, Path: ref.Path,
			Staged: status.Staged() != 0, Back: status.Previous != 0 && status.Previous != status.Active, Disabled: status.Disabled,
		}
		v.mu.Lock()
		held, there, newest := v.values(ref), slices.Clone(v.there[c.Name]), v.newest(c.Name)
		v.mu.Unlock()
		view.Start, view.Two = d.zendesk.SecretStart(newest.name), len(there) == 2
		for i, version := range status.Versions {
			row := versionView{
				Number: uint32(version.Version), Created: version.Created,
				Taken: slices.ContainsFunc(there, func(z zendeskConfiguration) bool { return z.secret == held[i] }),
				Signs: version.Version == status.Active, Staged: version.Version == status.Staged(),
				Before: version.Version == status.Previous && status.Previous != status.Active,
			}
			view.InStore = view.InStore || held[i] == newest.secret
			view.Through = view.Through || row.Signs && held[i] == newest.secret
			view.InOrder = view.InOrder || row.Taken && row.Signs
			view.Versions = append(view.Versions, row)
		}
		all = append(all, view)
	}
	return all
}

func (d *demo) showSecrets(w http.ResponseWriter, _ *http.Request) {
	d.show(w, "secrets", "Secrets", "/secrets", d.secretViews())
}
