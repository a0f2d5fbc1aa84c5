package ops

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/panics"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// selfTests holds the results of the tests of each configuration's key. A key can arrive later,
// after a rotation or after the store didn't answer. Such a key is tested when a probe, a scrape or
// an RPC next reports the state of its configuration. No request that signs waits for the test.
type selfTests struct {
	results sync.Map // by the name of the configuration
	fault   atomic.Pointer[string]
}

// result is the outcome of a test together with the key and the profile that it tested. A change of
// either makes another test necessary.
type result struct {
	conf     *config.Configuration
	version  secrets.Version
	revision uint64
	err      error
}

// selfTest returns why a configuration whose secret is held can't sign. It returns nil if the
// configuration can sign, and also if its secret is not held.
func (m *Monitor) selfTest(conf *config.Configuration) error {
	held, key := m.heldKey(conf)
	if held == nil {
		return nil
	}
	if last, ok := m.selfTests.results.Load(conf.Name); ok {
		if r := last.(result); r.conf == conf && r.version == key.Version() && r.revision == held.Status.Revision {
			return r.err
		}
	}
	// Later requests use the result, too, so it must not depend on the context of this request.
	return m.test(context.Background(), conf, held, key)
}

func (m *Monitor) heldKey(conf *config.Configuration) (*secrets.Held, secrets.Key) {
	state, _ := m.options.Secrets.State(conf.Secret)
	if state.Held == nil {
		return nil, secrets.Key{}
	}
	key, _ := state.Held.Key(0)
	return state.Held, key
}

// test runs the test again, stores the result, and logs a change.
func (m *Monitor) test(ctx context.Context, conf *config.Configuration, held *secrets.Held, key secrets.Key) error {
	now := result{
		conf: conf, version: key.Version(), revision: held.Status.Revision, err: m.runSelfTest(ctx, conf, key),
	}
	last, _ := m.selfTests.results.Swap(conf.Name, now)
	before, _ := last.(result)
	switch {
	case now.err != nil && (before.err == nil || before.err.Error() != now.err.Error()):
		m.options.Log.Error("the self-test of a configuration failed: its sign-ins would be refused",
			slog.String("configuration", conf.Name),
			slog.Any("version", key.Version()),
			slog.String("cause", now.err.Error()))
	case now.err == nil && before.err != nil:
		m.options.Log.Info("the self-test of a configuration passes again", slog.String("configuration", conf.Name))
	}
	return now.err
}

// runSelfTest recovers a panic, so that one faulty configuration doesn't stop the others.
func (m *Monitor) runSelfTest(ctx context.Context, conf *config.Configuration, key secrets.Key) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("self-test: %w", panics.Error(p))
		}
	}()
	if err := inspect.SelfTest(ctx, conf.Profile, key, m.options.Now()); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return nil
}

// testHeld tests a configuration if its secret is held. It turns a panic into an error, because it
// runs in a separate goroutine, where a panic would end the process.
func (m *Monitor) testHeld(ctx context.Context, conf *config.Configuration) (has bool, err error) {
	defer panics.Catch(&err)
	held, key := m.heldKey(conf)
	if held == nil {
		return false, nil
	}
	return true, m.test(ctx, conf, held, key)
}

// CanSign runs the self-tests of the configurations of a snapshot, on all processors. Each test
// takes some microseconds. CanSign returns an error if nothing can be signed: either the algorithm
// gives wrong answers, or the test fails for every configuration whose secret is held. It ignores
// secrets that aren't held, because the keyring reports those.
func (m *Monitor) CanSign(ctx context.Context, snapshot *config.Snapshot) error {
	if err := KnownAnswer(ctx, secrets.NewKey); err != nil {
		return err
	}
	tests := context.WithoutCancel(ctx) // the results are kept
	names := snapshot.Names()
	var next, held, failed atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(names)); i = next.Add(1) - 1 {
				conf, _ := snapshot.Configuration(names[i])
				switch has, err := m.testHeld(tests, conf); {
				case err != nil:
					held.Add(1)
					failed.Add(1)
				case has:
					held.Add(1)
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if n := failed.Load(); n > 0 && n == held.Load() {
		return fmt.Errorf("the self-test fails for every configuration whose secret is held (%d)", n)
	}
	return nil
}

// forget drops the results of configurations that are gone.
func (t *selfTests) forget(snapshot *config.Snapshot) {
	t.results.Range(func(name, _ any) bool {
		if _, ok := snapshot.Configuration(name.(string)); !ok {
			t.results.Delete(name)
		}
		return true
	})
}

// KnownAnswer signs the example of RFC 7515, appendix A.1, with a key from newKey. A test that only
// verifies its own signature would pass with a wrong algorithm.
func KnownAnswer(ctx context.Context, newKey func(secrets.Version, []byte) (secrets.Key, error)) error {
	const (
		example = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
		input   = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" +
			".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
		signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	)
	value, err := base64.RawURLEncoding.DecodeString(example)
	if err != nil {
		return err
	}
	key, err := newKey(1, value)
	if err != nil {
		return err
	}
	got, err := key.Sign(ctx, input)
	if err != nil {
		return err
	}
	if want, err := base64.RawURLEncoding.DecodeString(signature); err != nil || !bytes.Equal(got, want) {
		return errors.New("HS256 gives another signature than the one of RFC 7515, appendix A.1")
	}
	return nil
}
