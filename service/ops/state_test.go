package ops

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
)

// failingSecrets is a keyring that holds nothing, because of an error.
type failingSecrets struct{ err error }

func (s failingSecrets) Get(secrets.Ref, time.Duration) (*secrets.Held, error) { return nil, s.err }
func (failingSecrets) State(secrets.Ref) (secrets.State, bool)                 { return secrets.State{}, false }
func (failingSecrets) Interval() time.Duration                                 { return time.Second }
func (failingSecrets) Refreshes() secrets.Refreshes                            { return secrets.Refreshes{} }

// TestState checks the state of a configuration whose secret is not held, for each cause.
func TestState(t *testing.T) {
	for err, want := range map[error]State{
		secrets.ErrDisabled:               Disabled,
		secrets.ErrNotFound:               Unusable,
		secrets.ErrDeleted:                Unusable,
		secrets.ErrDenied:                 Unusable,
		secrets.ErrUnusable:               Unusable,
		secrets.ErrUnavailable:            Unavailable,
		errors.New("an unexpected error"): Unknown,
	} {
		m := New(Options{
			Snapshot: func() *config.Snapshot { return &config.Snapshot{} },
			Secrets:  failingSecrets{fmt.Errorf("reading: %w", err)},
			Log:      slog.New(slog.DiscardHandler), Now: time.Now,
		})
		if got := m.State(&config.Configuration{}); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
