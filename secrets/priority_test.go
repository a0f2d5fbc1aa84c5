package secrets_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/deskmint/deskmint/secrets"
)

// TestRefreshGoesFirst checks that a call of Refresh doesn't wait for the refreshes in turn of a
// thousand other secrets, although max_rate permits only a few reads a second.
func TestRefreshGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{}}
		var refs []secrets.Ref
		for i := range 1000 {
			ref := secrets.Ref{Path: fmt.Sprintf("sso/%d", i), Field: "k"}
			refs = append(refs, ref)
			f.status[ref.Path] = latest(1)
		}
		k, _ := newKeyring(t, f, secrets.Options{MaxRate: 50})
		if err := k.Warm(t.Context(), refs...); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = k.Run(ctx) })
		for _, ref := range refs {
			all.Go(func() { _ = k.RefreshInTurn(ctx, ref) })
		}
		synctest.Wait()
		wanted := refs[len(refs)-1] // its refresh in turn is the last of all
		f.set(func(f *fake) { f.status[wanted.Path] = latest(2) })
		before, _ := f.counts()
		if _, after, err := k.Refresh(ctx, wanted); err != nil || after.Active != 2 {
			t.Errorf("version %d, error %v", after.Active, err)
		}
		// It waits for the refresh in progress, and starts another one.
		if after, _ := f.counts(); after-before > 4 {
			t.Errorf("Refresh waited for %d other reads", after-before-2)
		}
		cancel()
		all.Wait()
	})
}
