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

// TestInterference changes the secret, or breaks the connection, between the observation and the
// end of the act.
func TestInterference(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func() *book
		act  act
		want error
		says string
		done int
	}{
		{"the answer to a write is lost", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) { b.after = func(string) error { return errLost } })
		}, stage(fresh), nil, "", 1},
		{"a write doesn't arrive", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) { b.before = func(string) error { return errLost } })
		}, stage(fresh), errLost, "lost", 0},
		{"another writes the version first", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) {
				b.before = func(string) error { b.add(2, secretOf(2)); return errors.New("check-and-set") }
			})
		}, stage(fresh), secrets.ErrConflict, "version 2 was written by another, nothing of yours was", 0},
		{"another writes the same value first", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) {
				b.before = func(string) error { b.add(2, fresh); return errors.New("check-and-set") }
			})
		}, stage(fresh), nil, "", 1},
		{"the store gives back another value", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) { b.after = func(string) error { b.values[2] = secretOf(7); return nil } })
		}, stage(fresh), nil, "reads as another value: don't activate it", 0},
		{"the store gives back nothing", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) { b.after = func(string) error { delete(b.values, 2); return nil } })
		}, stage(fresh), secrets.ErrNotFound, "can't be read back", 0},
		{"another moves the pointer over ours", func() *book {
			return newBook(pointed(1, 0, 3, 1), func(b *book) {
				b.after = func(string) error { b.o.Active, b.o.Previous, b.o.Serial = 2, 1, 2; return nil }
			})
		}, activate(3), secrets.ErrConflict, "now version 2 is active (previous 1, serial 2)", 0},
		{"another moves the pointer on", func() *book {
			return newBook(pointed(1, 0, 3, 1), func(b *book) {
				b.after = func(string) error { b.o.Active, b.o.Previous, b.o.Serial = 2, 3, 3; return nil }
			})
		}, activate(3), secrets.ErrConflict, "serial 3", 0},
		{"another writes the version after our pin", func() *book {
			return newBook(unpinned(1), func(b *book) {
				b.after = func(what string) error {
					if what == "write" {
						return errors.New("nothing more should be written")
					}
					b.add(2, secretOf(2))
					return nil
				}
			})
		}, stage(fresh), secrets.ErrConflict, "has changed since this was decided on (now version 1 is active, 2 the latest)", 1},
		{"another moves the pointer after our write", func() *book {
			return newBook(pointed(1, 0, 2, 1), func(b *book) {
				b.after = func(what string) error {
					if what != "write" {
						return errors.New("nothing more should be written")
					}
					b.o.Active, b.o.Previous, b.o.Serial = 2, 1, 2
					return nil
				}
			})
		}, replace(fresh), secrets.ErrConflict, "now version 2 is active, 3 the latest", 1},
		{"the pointer is wiped at once", func() *book {
			return newBook(pointed(1, 0, 3, 1), func(b *book) {
				b.after = func(string) error { b.o.Active, b.o.Pinned, b.o.Serial = 3, false, 0; return nil }
			})
		}, activate(2), secrets.ErrConflict, "doesn't show", 0},
		{"the move fails after the write", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) {
				b.before = func(what string) error {
					if what != "write" {
						return errLost
					}
					return nil
				}
			})
		}, replace(fresh), errLost, "lost", 1},
		{"a standby lags", func() *book {
			b := newBook(pointed(1, 0, 2, 1))
			old := b.o
			b.stale = []secrets.Observed{old, old, old}
			return b
		}, activate(0), nil, "", 1},
		{"a standby lags after a write", func() *book {
			b := newBook(pointed(1, 0, 1, 1))
			old := b.o
			b.after = func(string) error { b.stale = []secrets.Observed{old, old}; return nil }
			return b
		}, stage(fresh), nil, "", 1},
		{"a standby lags on and on", func() *book {
			b := newBook(pointed(1, 0, 2, 1))
			for range 100 {
				b.stale = append(b.stale, b.o)
			}
			return b
		}, activate(0), secrets.ErrConflict, "or a standby lags", 0},
		{"a switch doesn't take", func() *book {
			return newBook(pointed(1, 0, 1, 1), func(b *book) { b.after = func(string) error { b.o.Disabled = false; return nil } })
		}, disable, secrets.ErrConflict, "doesn't show", 0},
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
				holds(t, tc.name, err.Error(), tc.says)
			})
		})
	}
}

func TestReadingBackEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(pointed(1, 0, 2, 1))
		for range 100 {
			b.stale = append(b.stale, b.o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := b.rotator().Activate(ctx, 0); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestHolds checks that Holds finds the move of another operator that did not overlap with ours.
func TestHolds(t *testing.T) {
	b := newBook(pointed(1, 0, 3, 1))
	r := b.rotator()
	plan, err := r.Activate(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Holds(t.Context(), plan); err != nil {
		t.Errorf("nobody was there: %v", err)
	}
	b.o.Active, b.o.Previous = 2, 1 // with the serial that both have read before
	err = r.Holds(t.Context(), plan)
	if !errors.Is(err, secrets.ErrConflict) {
		t.Fatal(err)
	}
	holds(t, "conflict", err.Error(), "version 2 is active now (serial 2)")
}

// TestDeletionInAdvanceIsNoted checks the note on a version that the store will delete, which would
// end every sign-in.
func TestDeletionInAdvanceIsNoted(t *testing.T) {
	b := newBook(pointed(1, 0, 1, 1))
	b.after = func(string) error { b.o.Fates[2] = "to be deleted at noon"; return nil }
	plan, err := b.rotator().Stage(t.Context(), []byte(fresh))
	if err != nil || len(plan.Notes) != 1 {
		t.Fatalf("%q, %v", plan.Notes, err)
	}
	holds(t, "note", plan.Notes[0], "version 2 is to be deleted at noon")
}
