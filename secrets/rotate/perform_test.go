package rotate_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

var errLost = errors.New("the answer was lost")

// TestInterference changes the secret or breaks the connection during an act.
func TestInterference(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func() *fakeStore
		act  act
		want error
		says string
		done int
	}{
		{"the answer to a write is lost", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.after = func(string) error { return errLost }
			})
		}, stage(newValue), nil, "", 1},
		{"a write doesn't arrive", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.before = func(string) error { return errLost }
			})
		}, stage(newValue), errLost, "lost", 0},
		{"another operator writes the version first", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.before = func(string) error { b.add(2, secretOf(2)); return errors.New("check-and-set") }
			})
		}, stage(newValue), secrets.ErrConflict, "another operator wrote version 2, and your value was not written", 0},
		{"another operator writes the same value first", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.before = func(string) error { b.add(2, newValue); return errors.New("check-and-set") }
			})
		}, stage(newValue), nil, "", 1},
		{"the store returns another value", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.after = func(string) error { b.values[2] = secretOf(7); return nil }
			})
		}, stage(newValue), nil, "reads as another value: don't activate it", 0},
		{"the store returns no value", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.after = func(string) error { delete(b.values, 2); return nil }
			})
		}, stage(newValue), secrets.ErrNotFound, "can't be read back", 0},
		{"another operator replaces the new pointer", func() *fakeStore {
			return newStore(pointed(1, 0, 3, 1), func(b *fakeStore) {
				b.after = func(string) error { b.o.Active, b.o.Previous, b.o.Serial = 2, 1, 2; return nil }
			})
		}, activate(3), secrets.ErrConflict, "now version 2 is active (previous 1, serial 2)", 0},
		{"another operator moves the pointer again", func() *fakeStore {
			return newStore(pointed(1, 0, 3, 1), func(b *fakeStore) {
				b.after = func(string) error { b.o.Active, b.o.Previous, b.o.Serial = 2, 3, 3; return nil }
			})
		}, activate(3), secrets.ErrConflict, "serial 3", 0},
		{"another operator writes the version after the pin", func() *fakeStore {
			return newStore(unpinned(1), func(b *fakeStore) {
				b.after = func(what string) error {
					if what == "write" {
						return errors.New("nothing more should be written")
					}
					b.add(2, secretOf(2))
					return nil
				}
			})
		}, stage(newValue), secrets.ErrConflict,
			"has changed since this was planned (now version 1 is active, 2 the latest)", 1},
		{"another operator moves the pointer after the write", func() *fakeStore {
			return newStore(pointed(1, 0, 2, 1), func(b *fakeStore) {
				b.after = func(what string) error {
					if what != "write" {
						return errors.New("nothing more should be written")
					}
					b.o.Active, b.o.Previous, b.o.Serial = 2, 1, 2
					return nil
				}
			})
		}, replace(newValue), secrets.ErrConflict, "now version 2 is active, 3 the latest", 1},
		{"the pointer is wiped at once", func() *fakeStore {
			return newStore(pointed(1, 0, 3, 1), func(b *fakeStore) {
				b.after = func(string) error { b.o.Active, b.o.Pinned, b.o.Serial = 3, false, 0; return nil }
			})
		}, activate(2), secrets.ErrConflict, "its effect is not visible", 0},
		{"the move fails after the write", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.before = func(what string) error {
					if what != "write" {
						return errLost
					}
					return nil
				}
			})
		}, replace(newValue), errLost, "lost", 1},
		{"a standby lags", func() *fakeStore {
			b := newStore(pointed(1, 0, 2, 1))
			old := b.o
			b.stale = []secrets.Observed{old, old, old}
			return b
		}, activate(0), nil, "", 1},
		{"a standby lags after a write", func() *fakeStore {
			b := newStore(pointed(1, 0, 1, 1))
			old := b.o
			b.after = func(string) error { b.stale = []secrets.Observed{old, old}; return nil }
			return b
		}, stage(newValue), nil, "", 1},
		{"a standby lags for too long", func() *fakeStore {
			b := newStore(pointed(1, 0, 2, 1))
			for range 100 {
				b.stale = append(b.stale, b.o)
			}
			return b
		}, activate(0), secrets.ErrConflict, "or a standby lags", 0},
		{"the store doesn't answer for a second", func() *fakeStore {
			return newStore(pointed(1, 0, 2, 1), func(b *fakeStore) {
				b.after = func(string) error { b.unanswered = 5; return nil }
			})
		}, activate(2), nil, "", 1},
		{"the store doesn't answer any more", func() *fakeStore {
			return newStore(pointed(1, 0, 2, 1), func(b *fakeStore) {
				b.after = func(string) error { b.unanswered = 1000; return nil }
			})
		}, activate(2), nil, "was performed, but can't be read back", 0},
		{"a switch-off has no effect", func() *fakeStore {
			return newStore(pointed(1, 0, 1, 1), func(b *fakeStore) {
				b.after = func(string) error { b.o.Disabled = false; return nil }
			})
		}, disable, secrets.ErrConflict, "its effect is not visible", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan, err := tc.act(tc.make().rotator(), t.Context())
				if plan.Done != tc.done {
					t.Errorf("%d steps done, want %d", plan.Done, tc.done)
				}
				if tc.want == nil && tc.says == "" {
					if err != nil {
						t.Errorf("%v", err)
					}
					return
				}
				if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
					t.Fatalf("%v, want %v", err, tc.want)
				}
				checkText(t, tc.name, err.Error(), tc.says)
			})
		})
	}
}

func TestReadingBackEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStore(pointed(1, 0, 2, 1))
		for range 100 {
			b.stale = append(b.stale, b.o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := b.rotator().Activate(ctx, 0)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestHolds checks that Holds detects a later move by another operator.
func TestHolds(t *testing.T) {
	b := newStore(pointed(1, 0, 3, 1))
	r := b.rotator()
	plan, err := r.Activate(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Holds(t.Context(), plan); err != nil {
		t.Errorf("without another operator: %v", err)
	}
	b.o.Active, b.o.Previous = 2, 1 // with the serial that both operators computed
	err = r.Holds(t.Context(), plan)
	if !errors.Is(err, secrets.ErrConflict) {
		t.Fatal(err)
	}
	checkText(t, "conflict", err.Error(), "version 2 is active now (serial 2)")
}

// TestScheduledDeletionIsNoted checks the note on a version that the store will delete. Every
// sign-in would fail afterwards.
func TestScheduledDeletionIsNoted(t *testing.T) {
	b := newStore(pointed(1, 0, 1, 1))
	b.after = func(string) error { b.o.Fates[2] = "to be deleted at noon"; return nil }
	plan, err := b.rotator().Stage(t.Context(), []byte(newValue))
	if err != nil || len(plan.Notes) != 1 {
		t.Fatalf("%q, %v", plan.Notes, err)
	}
	checkText(t, "note", plan.Notes[0], "version 2 is to be deleted at noon")
}
