package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

const (
	canary  = secretstest.Canary
	morning = "2026-11-29T09:00:00Z"
)

var (
	acme      = secrets.Ref{Path: "sso/acme", Field: "shared_secret"}
	errSealed = errors.New("the store is sealed")

	leaks    = secretstest.Leaks
	versions = secretstest.Versions
	unpinned = secretstest.Unpinned
)

// fakeStore is a Writer in memory that behaves like Vault. It has serials. It has a check-and-set
// for versions but not for the pointer. Each test sets the faults.
type fakeStore struct {
	o      secrets.Observed
	values map[secrets.Version]string
	marks  map[secrets.Version]secrets.Mark
	keyErr map[secrets.Version]error
	// markErr is returned by Mark.
	markErr map[secrets.Version]error
	writes  []string // the names of the writes, in order

	// before and after are called around each write, with its name.
	before, after func(what string) error
	// stale holds the first observations. They are outdated, like those of a standby that lags.
	stale []secrets.Observed
	// unanswered is the number of next observations that fail, as while Vault elects a leader.
	unanswered int
}

// secretOf returns the value of version v. No other version has this value.
func secretOf(v secrets.Version) string { return strings.Repeat(fmt.Sprintf("%04d", v), 12) }

// newStore returns a fakeStore with the versions of a status, each with its value.
func newStore(status secrets.Status, change ...func(*fakeStore)) *fakeStore {
	b := &fakeStore{
		o: secrets.Observed{
			Status: status,
			Place:  "vault: secret/metadata/sso/acme",
			Keeps:  10,
			Fates:  map[secrets.Version]string{},
		},
		values: map[secrets.Version]string{},
		marks:  map[secrets.Version]secrets.Mark{},
	}
	for i, vs := range status.Versions {
		if vs.Gone {
			b.o.Fates[vs.Version] = "deleted"
		}
		b.values[status.Versions[i].Version] = secretOf(vs.Version)
	}
	for _, f := range change {
		f(b)
	}
	return b
}

func (b *fakeStore) rotator() *rotate.Rotator { return &rotate.Rotator{Store: b, Ref: acme} }

func (b *fakeStore) Observe(context.Context, string) (secrets.Observed, error) {
	if b.unanswered > 0 {
		b.unanswered--
		return secrets.Observed{}, errors.New("connection refused")
	}
	if len(b.stale) > 0 {
		o := b.stale[0]
		b.stale = b.stale[1:]
		return o, nil
	}
	o := b.o
	o.Versions, o.Fates = slices.Clone(o.Versions), maps.Clone(o.Fates)
	return o, nil
}

func (b *fakeStore) Status(ctx context.Context, path string) (secrets.Status, error) {
	o, err := b.Observe(ctx, path)
	return o.Status, err
}

func (b *fakeStore) Key(_ context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	value, ok := b.values[v]
	switch err := b.keyErr[v]; {
	case err != nil:
		return secrets.Key{}, err
	case !ok, len(b.stale) > 0 && v > b.stale[0].Latest: // a standby that lags doesn't have it
		return secrets.Key{}, secrets.ErrNotFound
	case ref.Field != acme.Field && v > 1:
		return secrets.Key{}, fmt.Errorf("%w: it has no field %s", secrets.ErrUnusable, ref.Field)
	}
	key, err := secrets.NewKey(v, []byte(value))
	return key.WithMark(b.marks[v]), err
}

func (b *fakeStore) Mark(_ context.Context, _ string, v secrets.Version) (secrets.Mark, error) {
	if err := b.markErr[v]; err != nil {
		return secrets.Mark{}, err
	}
	return b.marks[v], nil
}

func (b *fakeStore) Begins(_ context.Context, _ secrets.Ref, v secrets.Version, prefix string) (bool, error) {
	if err := b.keyErr[v]; err != nil && !errors.Is(err, secrets.ErrUnusable) {
		return false, err
	}
	return strings.HasPrefix(b.values[v], prefix), nil
}

// write performs change under the name what, and calls before and after.
func (b *fakeStore) write(what string, change func()) error {
	if b.before != nil {
		if err := b.before(what); err != nil {
			return err
		}
	}
	change()
	b.writes = append(b.writes, what)
	if b.after != nil {
		return b.after(what)
	}
	return nil
}

func (b *fakeStore) Write(_ context.Context, _ secrets.Ref, o secrets.Observed, value []byte) error {
	return b.write("write", func() {
		b.add(o.Latest+1, string(value))
		b.marks[o.Latest+1] = secrets.Mark{Staged: true}
	})
}

func (b *fakeStore) DeleteMark(_ context.Context, _ string, v secrets.Version) error {
	return b.write(fmt.Sprintf("delete %d", v), func() {
		for i := range b.o.Versions {
			b.o.Versions[i].Gone = b.o.Versions[i].Gone || b.o.Versions[i].Version == v
		}
		b.o.Fates[v] = "deleted"
	})
}

func (b *fakeStore) WriteMark(_ context.Context, _ string, o secrets.Observed, m secrets.Mark) error {
	return b.write("mark", func() {
		b.add(o.Latest+1, b.values[o.Before(o.Latest+1)])
		b.marks[o.Latest+1] = m
	})
}

func (b *fakeStore) add(v secrets.Version, value string) {
	b.o.Versions = append(b.o.Versions, secrets.VersionStatus{Version: v})
	b.o.Latest, b.values[v] = v, value
	if !b.o.Pinned {
		b.o.Active = v
	}
}

func (b *fakeStore) Change(_ context.Context, _ string, _ secrets.Observed, to secrets.Change) error {
	return b.write(
		fmt.Sprintf("active %d previous %d serial %d off %v on %v", to.Active, to.Previous, to.Serial,
			to.Disabled != "", to.Enabled),
		func() {
			if to.Active != 0 {
				b.o.Active, b.o.Previous, b.o.Pinned = to.Active, to.Previous, true
			}
			if to.Serial != 0 {
				b.o.Serial = to.Serial
			}
			if to.Disabled != "" || to.Enabled {
				b.o.Disabled, b.o.DisabledBy = !to.Enabled, to.Disabled
			}
		},
	)
}

// pointed returns a status with a pointer, a previous version and a serial.
func pointed(active, previous secrets.Version, n int, serial uint64, gone ...secrets.Version) secrets.Status {
	s := secretstest.Pinned(active, n, serial, gone...)
	s.Previous = previous
	return s
}

// planSteps returns the texts of a plan's steps.
func planSteps(p rotate.Plan) string {
	var orders []string
	for _, s := range p.Steps {
		orders = append(orders, s.String())
	}
	return strings.Join(orders, "; ")
}

// checkText fails the test unless text contains all parts and leaks no secret.
func checkText(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: %q doesn't say %q", what, text, part)
		}
	}
	for v := secrets.Version(1); v < 20; v++ {
		if found := leaks(text, secretOf(v)); found != nil {
			t.Errorf("%s: %q shows version %d: %v", what, text, v, found)
		}
	}
}
