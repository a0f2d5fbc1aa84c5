package secrets_test

import (
	"context"
	"fmt"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
)

// A request can name a staged version to try it. Every other request signs with the active version
// until the pointer moves.
func Example() {
	ctx := context.Background()
	store := &memory.Store{}
	ref := secrets.Ref{Path: "sso/acme", Field: "shared_secret"}
	store.Put(ref.Path, ref.Field, []byte("an old secret, of at least 32 bytes"))
	_ = store.Activate(ref.Path, 1)
	store.Put(ref.Path, ref.Field, []byte("the next secret, just as long as it"))

	keyring := secrets.NewKeyring(secrets.Options{Source: store})
	if err := keyring.Warm(ctx, ref); err != nil {
		fmt.Println(err)
	}
	held, err := keyring.Get(ref, 12*time.Hour)
	if err != nil {
		fmt.Println(err)
		return
	}
	active, _ := held.Key(0)
	staged, _ := held.Key(2)
	fmt.Println(active, "signs;", staged, "can be tried")

	_ = store.Activate(ref.Path, 2)
	before, after, _ := keyring.Refresh(ctx, ref)
	fmt.Println("from", before.Active, "to", after.Active)
	// Output:
	// secret version 1 signs; secret version 2 can be tried
	// from 1 to 2
}
