package secrets_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// many adds n secrets to f and returns their references.
func many(f *fake, n int) []secrets.Ref {
	refs := make([]secrets.Ref, n)
	f.status = make(map[string]secrets.Status, n)
	for i := range refs {
		refs[i] = secrets.Ref{Path: fmt.Sprintf("sso/many-%d", i), Field: "k"}
		f.status[refs[i].Path] = latest(1)
	}
	return refs
}

// TestWarmKeepsMaxRate checks that Warm loads all secrets at max_rate, even if that takes long. A
// replica must not become ready with only a part of the secrets.
func TestWarmKeepsMaxRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		refs := many(f, 10_000)
		k, _ := newKeyring(t, f, secrets.Options{MaxRate: 50})
		began := time.Now()
		if err := k.Warm(t.Context(), refs...); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(began), 2*10_000/50*time.Second; took < want || took > want*102/100 {
			t.Errorf("two reads for each of 10,000 secrets at 50 a second took %v", took)
		}
		for _, ref := range refs {
			if _, err := k.Get(ref, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestWarmWhileTheStoreIsUnavailable checks that Warm returns after a few refreshes if the store is
// unavailable. Thousands of deadlines in sequence would keep a replica from starting. Run loads the
// secrets when the store is available again.
func TestWarmWhileTheStoreIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Hour} // every refresh reaches its deadline
		refs := many(f, 10_000)
		k, _ := newKeyring(t, f, secrets.Options{MaxRate: 1000})
		began := time.Now()
		if err := k.Warm(t.Context(), refs...); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 3*secrets.DefaultTimeout {
			t.Errorf("Warm returned after %v", took)
		}
		f.set(func(f *fake) { f.delay = 0 })
		go func() { _ = k.Run(t.Context()) }()
		time.Sleep(3 * k.Interval())
		for _, ref := range refs {
			if _, err := k.Get(ref, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	})
}
