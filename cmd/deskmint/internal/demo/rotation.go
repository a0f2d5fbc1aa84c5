package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/sandbox"
)

// secretValues are the secrets that are generated at the start.
type secretValues map[secrets.Ref][]byte

// newSecrets returns a store with a random secret for each reference, and the same secrets for the
// sandbox, which needs them to verify tokens. Several references may be fields of one path. Each
// version of the path has a value for each of them.
func newSecrets(s *config.Snapshot) (*memory.Store, secretValues) {
	store, values := &memory.Store{}, secretValues{}
	for _, ref := range s.Refs() {
		values[ref] = []byte(rand.Text() + rand.Text())
	}
	for path, fields := range values.byPath() {
		store.PutFields(path, fields)
	}
	return store, values
}

// byPath groups the values by path and field.
func (values secretValues) byPath() map[string]map[string][]byte {
	paths := map[string]map[string][]byte{}
	for ref, value := range values {
		if paths[ref.Path] == nil {
			paths[ref.Path] = map[string][]byte{}
		}
		paths[ref.Path][ref.Field] = value
	}
	return paths
}

// rotation does what an operator does to rotate a secret: it changes the secret at Zendesk, copies
// it into the store and selects the version that signs. `deskmint secret` does the last two with a
// real store.
type rotation struct {
	sandbox *sandbox.Sandbox
	store   *memory.Store
	refs    map[string]secrets.Ref // by configuration

	mu sync.Mutex
	// stored has the fields of each version by path. Version n is at index n-1.
	stored map[string][]map[string][]byte
	// atZendesk has, for each configuration of Deskmint, the configurations at Zendesk that accept
	// its tokens, the newest last. There are two while a secret is rotated without a gap.
	atZendesk map[string][]zendeskConfiguration
	added     int // how many configurations were added at Zendesk
}

type zendeskConfiguration struct{ name, secret string }

func newRotation(s *config.Snapshot, z *sandbox.Sandbox, store *memory.Store, values secretValues) *rotation {
	r := &rotation{
		sandbox: z, store: store, refs: map[string]secrets.Ref{},
		stored: map[string][]map[string][]byte{}, atZendesk: map[string][]zendeskConfiguration{},
	}
	for path, fields := range values.byPath() {
		r.stored[path] = []map[string][]byte{fields}
	}
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		r.refs[name] = conf.Secret
		r.atZendesk[name] = []zendeskConfiguration{{name, string(values[conf.Secret])}}
	}
	return r
}

func (r *rotation) status(configuration string) secrets.Status {
	// Reading from memory doesn't fail.
	status, _ := r.store.Status(context.Background(), r.refs[configuration].Path)
	return status
}

// staged returns the staged version; 0 if there is none.
func (r *rotation) staged(configuration string) uint32 {
	return uint32(r.status(configuration).Staged())
}

// do takes one step of a rotation. It returns an error if the step isn't possible now.
func (r *rotation) do(configuration, step string) error {
	path, status := r.refs[configuration].Path, r.status(configuration)
	switch step {
	case "reset", "second", "remove":
		return r.changeAtZendesk(configuration, step)
	case "stage":
		return r.stage(configuration)
	case "activate":
		if status.Staged() == 0 {
			return fmt.Errorf("nothing is staged for %s", configuration)
		}
		return r.store.Activate(path, status.Staged())
	case "rollback":
		if !hasPrevious(status) {
			return fmt.Errorf("%s has no version before this one", configuration)
		}
		return r.store.Activate(path, status.Previous)
	case "disable", "enable":
		return r.store.Disable(path, step == "disable")
	}
	return fmt.Errorf("no such act: %q", step)
}

// hasPrevious reports whether a rollback is possible.
func hasPrevious(s secrets.Status) bool { return s.Previous != 0 && s.Previous != s.Active }

// stage stores Zendesk's newest secret as the next version, which doesn't sign yet. It pins the
// present version first, as `deskmint secret stage` does.
func (r *rotation) stage(configuration string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref, status := r.refs[configuration], r.status(configuration)
	newest := r.newest(configuration).secret
	if slices.Contains(r.values(ref), newest) {
		return fmt.Errorf("the secret of %s at Zendesk is in the store already: reset it there first", configuration)
	}
	if !status.Pinned {
		if err := r.store.Activate(ref.Path, status.Active); err != nil {
			return err
		}
	}
	// A version has all fields of the path, so copy those of other configurations.
	stored := r.stored[ref.Path]
	fields := maps.Clone(stored[len(stored)-1])
	fields[ref.Field] = []byte(newest)
	r.store.PutFields(ref.Path, fields)
	r.stored[ref.Path] = append(stored, fields)
	return nil
}

// values returns the value of a reference in each version. The caller must hold mu.
func (r *rotation) values(ref secrets.Ref) []string {
	values := make([]string, 0, len(r.stored[ref.Path]))
	for _, fields := range r.stored[ref.Path] {
		values = append(values, string(fields[ref.Field]))
	}
	return values
}

// newest returns the newest configuration at Zendesk. The caller must hold mu.
func (r *rotation) newest(configuration string) zendeskConfiguration {
	all := r.atZendesk[configuration]
	return all[len(all)-1]
}

// zendeskNames returns the names of a configuration at Zendesk.
func (r *rotation) zendeskNames(configuration string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, c := range r.atZendesk[configuration] {
		names = append(names, c.name)
	}
	return names
}

// changeAtZendesk resets a secret, adds a second configuration or removes the first of two.
func (r *rotation) changeAtZendesk(configuration, step string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.atZendesk[configuration]
	switch {
	case step == "reset":
		secret, err := r.sandbox.ResetSecret(r.newest(configuration).name)
		if err != nil {
			return err
		}
		all[len(all)-1].secret = secret
	case step == "second" && len(all) == 1:
		r.added++
		name := fmt.Sprintf("%s, made anew (%d)", configuration, r.added)
		secret, err := r.sandbox.AddConfiguration(all[0].name, name)
		if err != nil {
			return err
		}
		r.atZendesk[configuration] = append(all, zendeskConfiguration{name, secret})
	case step == "remove" && len(all) == 2:
		if err := r.sandbox.RemoveConfiguration(all[0].name); err != nil {
			return err
		}
		r.atZendesk[configuration] = all[1:]
	default:
		return fmt.Errorf("%s has %d configurations at Zendesk: that can't be done", configuration, len(all))
	}
	return nil
}
