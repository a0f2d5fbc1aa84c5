package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

const canary = secretstest.Canary

var (
	acme      = secrets.Ref{Path: "sso/acme", Field: "shared_secret"}
	errSealed = errors.New("the store is sealed")
	epoch     = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when a synctest bubble begins

	leaks    = secretstest.Leaks
	versions = secretstest.Versions
	latest   = secretstest.Latest
	unpinned = secretstest.Unpinned
	pinned   = secretstest.Pinned
)

// fake is a Source with answers that a test sets. It records the reads.
type fake struct {
	mu       sync.Mutex
	status   map[string]secrets.Status
	secret   map[secrets.Version]string // "": canary
	keyErr   map[secrets.Version]error
	marks    map[secrets.Version]secrets.Mark
	err      error
	delay    time.Duration // of each read
	statuses []time.Time   // the times of calls of Status
	keys     []secrets.Version
	reads    []time.Time // the times of calls of Status or Key
}

func (f *fake) Status(ctx context.Context, path string) (secrets.Status, error) {
	f.mu.Lock()
	f.statuses = append(f.statuses, time.Now())
	f.reads = append(f.reads, time.Now())
	status, ok := f.status[path]
	err, delay := f.err, f.delay
	f.mu.Unlock()
	if e := pause(ctx, delay); e != nil {
		return secrets.Status{}, e
	}
	if err != nil {
		return secrets.Status{}, err
	}
	if !ok {
		return secrets.Status{}, fmt.Errorf("fake: %s: %w", path, secrets.ErrNotFound)
	}
	return status, nil
}

func (f *fake) Key(ctx context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	f.mu.Lock()
	f.keys = append(f.keys, v)
	f.reads = append(f.reads, time.Now())
	secret, mark, err, delay := f.secret[v], f.marks[v], f.keyErr[v], f.delay
	f.mu.Unlock()
	if e := pause(ctx, delay); e != nil {
		return secrets.Key{}, e
	}
	if err != nil {
		return secrets.Key{}, err
	}
	if secret == "" {
		secret = canary
	}
	key, err := secrets.NewKey(v, []byte(secret))
	return key.WithMark(mark), err
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// set changes the fake under its lock.
func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// counts returns how often each method was called.
func (f *fake) counts() (statuses, keys int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.statuses), len(f.keys)
}

// newKeyring returns a keyring of f that logs to the returned buffer. At the end of the test it
// checks that the log doesn't contain the canary.
func newKeyring(t *testing.T, f *fake, o secrets.Options) (*secrets.Keyring, *secretstest.Buffer) {
	t.Helper()
	log := &secretstest.Buffer{}
	o.Source = f
	o.Log = secretstest.NewLog(log)
	t.Cleanup(func() {
		if found := leaks(log.String(), canary); found != nil {
			t.Errorf("the log shows the secret: %v", found)
		}
	})
	return secrets.NewKeyring(o), log
}
