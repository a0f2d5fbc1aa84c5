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
	acme    = secrets.Ref{Path: "sso/acme", Field: "shared_secret"}
	errAway = errors.New("the store is sealed")

	leaks    = secretstest.Leaks
	versions = secretstest.Versions
	unpinned = secretstest.Unpinned
)

// book is a Writer in memory that behaves like Vault: it has serials, and it has a check-and-set
// for versions but not for the pointer. Each test sets what goes wrong.
type book struct {
	o      secrets.Observed
	values map[secrets.Version]string
	marks  map[secrets.Version]secrets.Mark
	keyErr map[secrets.Version]error
	// markErr concerns the marks alone.
	markErr map[secrets.Version]error
	writes  []string // what was written, in order

	// before and after are called around each write, with its name.
	before, after func(what string) error
	// stale holds the first observations, as from a standby that lags.
	stale []secrets.Observed
}

// secretOf returns the value of version v, which no other version has.
func secretOf(v secrets.Version) string { return strings.Repeat(fmt.Sprintf("%04d", v), 12) }

// newBook returns a book with the versions of a status, each with its value.
func newBook(status secrets.Status, change ...func(*book)) *book {
	b := &book{
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

func (b *book) rotator() *rotate.Rotator { return &rotate.Rotator{Store: b, Ref: acme} }

func (b *book) Observe(context.Context, string) (secrets.Observed, error) {
	if len(b.stale) > 0 {
		o := b.stale[0]
		b.stale = b.stale[1:]
		return o, nil
	}
	o := b.o
	o.Versions, o.Fates = slices.Clone(o.Versions), maps.Clone(o.Fates)
	return o, nil
}

func (b *book) Status(ctx context.Context, path string) (secrets.Status, error) {
	o, err := b.Observe(ctx, path)
	return o.Status, err
}

func (b *book) Key(_ context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	value, ok := b.values[v]
	switch err := b.keyErr[v]; {
	case err != nil:
		return secrets.Key{}, err
	case !ok, len(b.stale) > 0 && v > b.stale[0].Latest: // a standby that lags has neither
		return secrets.Key{}, secrets.ErrNotFound
	case ref.Field != acme.Field && v > 1:
		return secrets.Key{}, fmt.Errorf("%w: it has no field %s", secrets.ErrUnusable, ref.Field)
	}
	key, err := secrets.NewKey(v, []byte(value))
	return key.WithMark(b.marks[v]), err
}

func (b *book) Mark(_ context.Context, _ string, v secrets.Version) (secrets.Mark, error) {
	if err := b.markErr[v]; err != nil {
		return secrets.Mark{}, err
	}
	return b.marks[v], nil
}

func (b *book) Begins(_ context.Context, _ secrets.Ref, v secrets.Version, prefix string) (bool, error) {
	if err := b.keyErr[v]; err != nil && !errors.Is(err, secrets.ErrUnusable) {
		return false, err
	}
	return strings.HasPrefix(b.values[v], prefix), nil
}

// write performs change under the name what, unless before or after fail.
func (b *book) write(what string, change func()) error {
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

func (b *book) Write(_ context.Context, _ secrets.Ref, o secrets.Observed, value []byte) error {
	return b.write("write", func() {
		b.add(o.Latest+1, string(value))
		b.marks[o.Latest+1] = secrets.Mark{Staged: true}
	})
}

func (b *book) DeleteMark(_ context.Context, _ string, v secrets.Version) error {
	return b.write(fmt.Sprintf("delete %d", v), func() {
		for i := range b.o.Versions {
			b.o.Versions[i].Gone = b.o.Versions[i].Gone || b.o.Versions[i].Version == v
		}
		b.o.Fates[v] = "deleted"
	})
}

func (b *book) WriteMark(_ context.Context, _ string, o secrets.Observed, m secrets.Mark) error {
	return b.write("mark", func() {
		b.add(o.Latest+1, b.values[o.Before(o.Latest+1)])
		b.marks[o.Latest+1] = m
	})
}

func (b *book) add(v secrets.Version, value string) {
	b.o.Versions = append(b.o.Versions, secrets.VersionStatus{Version: v})
	b.o.Latest, b.values[v] = v, value
	if !b.o.Pinned {
		b.o.Active = v
	}
}

func (b *book) Change(_ context.Context, _ string, _ secrets.Observed, to secrets.Change) error {
	return b.write(
		fmt.Sprintf(
			"active %d previous %d serial %d off %v on %v",
			to.Active,
			to.Previous,
			to.Serial,
			to.Disabled != "",
			to.Enabled,
		),
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

// steps returns the steps of a plan as orders.
func steps(p rotate.Plan) string {
	var orders []string
	for _, s := range p.Steps {
		orders = append(orders, s.String())
	}
	return strings.Join(orders, "; ")
}

// holds fails the test unless text has every one of parts and leaks no secret.
func holds(t *testing.T, what, text string, parts ...string) {
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
