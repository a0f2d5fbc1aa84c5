package service

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
)

// selfTestPause is between two tries of a replica that can't sign.
const selfTestPause = time.Second

// selfTests are the results of the tests of each configuration's own key. A key that
// comes later, by a rotation or because the store was away, is tested when its
// configuration is next asked about; no request that signs waits for it.
type selfTests struct {
	results sync.Map // by the configuration's name
	fault   atomic.Pointer[string]
}

// tested is what a test has found, and of what: another profile or another value of
// the secret is another test.
type tested struct {
	conf     *config.Configuration
	version  secrets.Version
	revision uint64
	fault    error
}

// selfTest is what is wrong with signing at a configuration whose secret is held: nil
// where it works, and where there is nothing to sign with.
func (s *Service) selfTest(conf *config.Configuration) error {
	held, key := s.heldKey(conf)
	if held == nil {
		return nil
	}
	if last, ok := s.selfTests.results.Load(conf.Name); ok {
		if t := last.(tested); t.conf == conf && t.version == key.Version() && t.revision == held.Status.Revision {
			return t.fault
		}
	}
	return s.test(conf, held, key)
}

func (s *Service) heldKey(conf *config.Configuration) (*secrets.Held, secrets.Key) {
	state, _ := s.secrets.State(conf.Secret)
	if state.Held == nil {
		return nil, secrets.Key{}
	}
	key, _ := state.Held.Key(0)
	return state.Held, key
}

// test tests whatever was found before, and logs what has changed since.
func (s *Service) test(conf *config.Configuration, held *secrets.Held, key secrets.Key) error {
	now := tested{conf: conf, version: key.Version(), revision: held.Status.Revision, fault: s.runSelfTest(conf, key)}
	last, _ := s.selfTests.results.Swap(conf.Name, now)
	before, _ := last.(tested)
	switch {
	case now.fault != nil && (before.fault == nil || before.fault.Error() != now.fault.Error()):
		s.log.Error("the self-test of a configuration failed: its sign-ins would be refused",
			slog.String("configuration", conf.Name), slog.Any("version", key.Version()), slog.String("cause", now.fault.Error()))
	case now.fault == nil && before.fault != nil:
		s.log.Info("the self-test of a configuration passes again", slog.String("configuration", conf.Name))
	}
	return now.fault
}

// runSelfTest keeps a configuration that breaks the code from taking the others with it.
func (s *Service) runSelfTest(conf *config.Configuration, key secrets.Key) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("self-test: %w", newPanicError(p))
		}
	}()
	if err := conf.Profile.SelfTest(context.Background(), key, s.now()); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return nil
}

// canSign tests a snapshot's configurations, some microseconds each, on all processors.
// The error is that nothing can be signed here: the algorithm gives wrong answers, or
// every one of the configurations whose secrets are held fails. A secret that isn't
// held is the keyring's to report.
func (s *Service) canSign(snapshot *config.Snapshot) error {
	if err := knownAnswer(secrets.NewKey); err != nil {
		return err
	}
	names := snapshot.Names()
	var next, held, failed atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(names)); i = next.Add(1) - 1 {
				conf, _ := snapshot.Configuration(names[i])
				if has, key := s.heldKey(conf); has != nil {
					held.Add(1)
					if s.test(conf, has, key) != nil {
						failed.Add(1)
					}
				}
			}
		})
	}
	workers.Wait()
	if n := failed.Load(); n > 0 && n == held.Load() {
		return fmt.Errorf("the self-test fails for each of the %d configurations whose secrets are held", n)
	}
	return nil
}

// awaitSelfTest returns when something can be signed; false if ctx ends first. A replica that
// begins while the store is away isn't ready before it holds a secret: the others still hold
// theirs, and must not be replaced by it. Where the store has answered for each secret, no waiting
// helps.
func (s *Service) awaitSelfTest(ctx context.Context) bool {
	for {
		snapshot := s.snapshot.Load()
		err := cmp.Or(s.canSign(snapshot), s.storeAway(snapshot))
		if err == nil {
			s.selfTests.fault.Store(nil)
			return true
		}
		what := err.Error()
		if last := s.selfTests.fault.Swap(&what); last == nil || *last != what {
			s.log.Error("not ready: nothing can be signed here", slog.String("cause", what))
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(selfTestPause):
		}
	}
}

// storeAway is an error if no secret is held and at least one of them is missing only because the
// store doesn't answer.
func (s *Service) storeAway(snapshot *config.Snapshot) error {
	var fault error
	for _, name := range snapshot.Names() {
		conf, _ := snapshot.Configuration(name)
		if held, _ := s.heldKey(conf); held != nil {
			return nil
		}
		if _, err := s.secrets.Get(conf.Secret, conf.MaxStale); errors.Is(err, secrets.ErrUnavailable) {
			fault = cmp.Or(fault, err)
		}
	}
	if fault != nil {
		return fmt.Errorf("no secret has been loaded: %w", fault)
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

// knownAnswer signs the example of RFC 7515, appendix A.1: what signs and verifies
// with the same wrong algorithm agrees with itself.
func knownAnswer(newKey func(secrets.Version, []byte) (secrets.Key, error)) error {
	const (
		example   = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
		input     = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
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
	got, err := key.Sign(context.Background(), input)
	if err != nil {
		return err
	}
	if want, err := base64.RawURLEncoding.DecodeString(signature); err != nil || !bytes.Equal(got, want) {
		return errors.New("HS256 gives another signature than the one of RFC 7515, appendix A.1")
	}
	return nil
}
