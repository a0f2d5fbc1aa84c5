package service_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
)

// hookedSecrets wraps the keyring of a service. It calls the functions that a test has set before
// it calls the keyring.
type hookedSecrets struct {
	service.Secrets

	mu        sync.Mutex
	onGet     func() // called before every Get, unless it is nil
	onRefresh func(context.Context) error
}

func (h *hookedSecrets) setOnGet(get func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onGet = get
}

func (h *hookedSecrets) wrap(s service.Secrets) service.Secrets {
	h.Secrets = s
	return h
}

func (h *hookedSecrets) Get(ref secrets.Ref, maxStale time.Duration) (*secrets.Held, error) {
	h.mu.Lock()
	get := h.onGet
	h.mu.Unlock()
	if get != nil {
		get()
	}
	return h.Secrets.Get(ref, maxStale)
}

func (h *hookedSecrets) Refresh(ctx context.Context, ref secrets.Ref) (before, after secrets.Status, err error) {
	if h.onRefresh != nil {
		if err := h.onRefresh(ctx); err != nil {
			return before, after, err
		}
	}
	return h.Secrets.Refresh(ctx, ref)
}

// blockGets makes every Get wait until release is called. Each waiting Get sends a value to
// entered.
func (h *hookedSecrets) blockGets(t *testing.T) (entered <-chan struct{}, release func()) {
	t.Helper()
	in, out := make(chan struct{}, 16), make(chan struct{})
	h.setOnGet(func() { in <- struct{}{}; <-out })
	release = sync.OnceFunc(func() { h.setOnGet(nil); close(out) })
	t.Cleanup(release)
	return in, release
}

// disableSecret disables the secret at a path and refreshes it.
func (s *server) disableSecret(t *testing.T, path string) {
	t.Helper()
	if err := s.Store.Disable(path, true); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Ring.Refresh(t.Context(), secrets.Ref{Path: path, Field: "shared_secret"})
	if err != nil && !errors.Is(err, secrets.ErrDisabled) {
		t.Fatal(err)
	}
}
