package caller_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// fixture is one issuer with one key, and the callers that its tokens identify.
type fixture struct {
	*clock
	*site
	*caller.Callers

	sets   *caller.KeySets
	issuer caller.Issuer
	log    logBuffer
}

// newFixture returns a fixture. change may change the source of the keys first.
func newFixture(t testing.TB, change func(*fixture)) *fixture {
	t.Helper()
	f := &fixture{clock: newClock(), site: newSite(t)}
	f.sets = caller.NewKeySets(caller.KeySetOptions{Now: f.Now, Log: f.log.logger()})
	f.issuer = f.site.issuer("cluster", published("e1", ecKey()))
	if change != nil {
		change(f)
	}
	f.Callers = newCallers(t, tokenCallers("cluster"), f.sets, f.issuer)
	return f
}

// shop returns a valid token of the caller shop.
func (f *fixture) shop() caller.Credentials {
	return bearer(es256("e1", ecKey(), claims(f.issuer.Issuer, f.Now())))
}

// next returns a token of shop, signed with the key that the issuer publishes next.
func (f *fixture) next() caller.Credentials {
	return bearer(es256("e2", foreign(), claims(f.issuer.Issuer, f.Now())))
}

func (f *fixture) warm(t *testing.T) { f.sets.Warm(t.Context(), f.issuer) }

// TestRotation checks that a new key is accepted with its first token, and that an old key is
// refused once it is no longer published.
func TestRotation(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	wantCaller(t, f, f.shop(), "shop/jwt", nil)
	wantCaller(t, f, f.next(), "", caller.ErrUnverified)

	f.put("/keys", setOf(published("e1", ecKey()), published("e2", foreign())))
	wantCaller(t, f, f.next(), "", caller.ErrUnverified) // during the pause after the first fetch
	f.add(5 * time.Second)
	wantCaller(t, f, f.next(), "shop/jwt", nil)
	wantCaller(t, f, f.shop(), "shop/jwt", nil)

	f.put("/keys", setOf(published("e2", foreign())))
	f.add(5 * time.Second)
	f.warm(t)
	wantCaller(t, f, f.shop(), "", caller.ErrUnverified)
	wantCaller(t, f, f.next(), "shop/jwt", nil)
	if n := f.count(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

// TestRotationOfAFile checks the same with keys in a file.
func TestRotationOfAFile(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.issuer.JWKS = filepath.Join(t.TempDir(), "keys")
		write(t, f.issuer.JWKS, setOf(published("e1", ecKey())))
	})
	wantCaller(t, f, f.shop(), "shop/jwt", nil)
	write(t, f.issuer.JWKS, setOf(published("e2", foreign())))
	f.add(5 * time.Second)
	wantCaller(t, f, f.next(), "shop/jwt", nil)
	wantCaller(t, f, f.shop(), "", caller.ErrUnverified)
	write(t, f.issuer.JWKS, []byte("{")) // half written
	f.add(5 * time.Second)
	wantCaller(t, f, f.shop(), "", caller.ErrUnverified)
	wantCaller(t, f, f.next(), "shop/jwt", nil)
}

// TestFlood checks that any number of tokens with unknown keys causes at most one fetch per pause.
func TestFlood(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	const seconds, each = 60, 50
	var group sync.WaitGroup
	for second := range seconds {
		for i := range each {
			group.Go(func() {
				wantCaller(t, f, bearer(es256(fmt.Sprintf("kid-%d-%d", second, i), unrelated(), claims(f.URL, begin))),
					"", caller.ErrUnverified)
			})
		}
		group.Wait()
		f.add(time.Second)
	}
	if n := f.count(); n > 1+seconds/5 || n < seconds/5-1 {
		t.Errorf("%d tokens in %d s caused %d requests, want one every 5 s", seconds*each, seconds, n)
	}
	wantCaller(t, f, f.shop(), "shop/jwt", nil)
}

// TestNoFetch checks that tokens which can't be the issuer's, or name no key, cause no fetch.
func TestNoFetch(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	f.add(time.Minute)
	good := claims(f.URL, f.Now())
	for name, test := range map[string]struct {
		token string
		err   error
	}{
		"alg none": {enc(header("none", "e9")) + "." + enc(good) + ".", caller.ErrUnverified},
		"HMAC":     {hmacToken("e9", good, []byte("x")), caller.ErrUnverified},
		"crit": {signed("ES256", header("ES256", "e9", "crit", `["x"]`), good, unrelated()),
			caller.ErrMalformed},
		"another issuer": {es256("e9", unrelated(), claims("https://a.example", f.Now())), caller.ErrUnknown},
		"no kid":         {es256("", unrelated(), good), caller.ErrUnverified},
		"known kid":      {es256("e1", unrelated(), good), caller.ErrUnverified},
		"oversized": {es256("e9", unrelated(), claims(f.URL, f.Now(), "x", `"`+strings.Repeat("x", 8<<10)+`"`)),
			caller.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			wantCaller(t, f, bearer(test.token), "", test.err)
			if n := f.count(); n != 1 {
				t.Errorf("%d requests, want only the first one", n)
			}
		})
	}
}

// TestHangingIssuer checks that tokens with known keys don't wait for an issuer that doesn't
// respond. Tokens with unknown keys wait as long as the contexts of their requests.
func TestHangingIssuer(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	release := make(chan struct{})
	f.handler(func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) }) // before the server closes
	f.add(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := f.Authenticate(ctx, f.next())
		done <- err
	}()
	for f.count() < 2 { // the fetch has begun
		select {
		case err := <-done:
			t.Fatalf("the request ended with %v before its fetch", err)
		case <-time.After(time.Millisecond):
		}
	}
	wantCaller(t, f, f.shop(), "shop/jwt", nil)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Authenticate returned %v", err)
	}
	// The fetch continues for other requests, which don't start a second one.
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := f.Authenticate(ctx, f.next()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Authenticate returned %v", err)
	}
	if f.count() != 2 {
		t.Errorf("%d requests, want 2", f.count())
	}
}

// TestIssuerUnavailable checks that the last keys may be used for a day and no longer.
func TestIssuerUnavailable(t *testing.T) {
	f := newFixture(t, nil)
	if at, known := f.sets.Fetched(f.issuer); known {
		t.Errorf("fetched at %v, before the first fetch", at)
	}
	f.warm(t)
	fetched := f.Now()
	f.shutDown()
	f.add(24 * time.Hour)
	wantCaller(t, f, f.shop(), "shop/jwt", nil)
	f.warm(t)
	wantCaller(t, f, f.shop(), "shop/jwt", nil)
	if log := f.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "answers 503") ||
		!strings.Contains(log, "until=2026-03-15T15:09:26") {
		t.Errorf("the log is %q", log)
	}
	if at, known := f.sets.Fetched(f.issuer); !known || !at.Equal(fetched) {
		t.Errorf("fetched at %v, %v; want %v", at, known, fetched)
	}
	f.add(time.Second)
	wantCaller(t, f, f.shop(), "", caller.ErrIssuerUnavailable)
	f.add(5 * time.Second)
	wantCaller(t, f, f.shop(), "", caller.ErrIssuerUnavailable)
	if log := f.log.String(); !strings.Contains(log, "level=ERROR") {
		t.Errorf("the log is %q", log)
	}
	f.put("/keys", setOf(published("e1", ecKey())))
	f.add(5 * time.Second)
	wantCaller(t, f, f.shop(), "shop/jwt", nil) // the keys are fetched again
}

// TestKeySetsOutliveReloads checks that new callers don't fetch keys that are held, and that Retain
// discards the keys of other issuers.
func TestKeySetsOutliveReloads(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	f.shutDown()
	renamed := f.issuer
	renamed.Name, renamed.Audience = "renamed", "deskmint"
	again := newCallers(t, tokenCallers("renamed"), f.sets, renamed)
	f.sets.Retain(renamed)
	wantCaller(t, again, f.shop(), "shop/jwt", nil)
	if f.count() != 1 {
		t.Errorf("%d requests", f.count())
	}
	elsewhere := f.issuer
	elsewhere.JWKS += "2"
	moved := newCallers(t, tokenCallers("cluster"), f.sets, elsewhere)
	wantCaller(t, moved, f.shop(), "", caller.ErrIssuerUnavailable) // keys of another source don't count
	f.sets.Retain(elsewhere)
	back := newCallers(t, tokenCallers("cluster"), f.sets, f.issuer)
	wantCaller(t, back, f.shop(), "", caller.ErrIssuerUnavailable)
}

// TestWarmIsBounded checks that an issuer which doesn't respond can't block the start of the
// service.
func TestWarmIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	release := make(chan struct{})
	f.handler(func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	began := time.Now()
	f.warm(t) // must return although the issuer doesn't respond
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("Warm gave up after %v, want 3 s", took)
	}
	wantCaller(t, f, f.shop(), "", caller.ErrIssuerUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.add(time.Minute)
	f.sets.Warm(ctx, f.issuer) // must return
}

// TestRevocation checks what revokes the keys of a file: a set without them, and an empty set. An
// empty file and a deleted one don't, because they are faults. The log says so once.
func TestRevocation(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.issuer.JWKS = filepath.Join(t.TempDir(), "keys")
		write(t, f.issuer.JWKS, setOf(published("e1", ecKey())))
	})
	put := func(text []byte) func() error {
		return func() error { return os.WriteFile(f.issuer.JWKS, text, 0o600) }
	}
	const stay = "the previous ones stay in use"
	for _, step := range []struct {
		name    string
		change  func() error
		revoked bool
		log     string
	}{
		{"the first set", func() error { return nil }, false, ""},
		{"an empty file", put(nil), false, stay},
		{"no file", func() error { return os.Remove(f.issuer.JWKS) }, false, stay},
		{"no key set", put([]byte(`{}`)), false, stay},
		{"an empty set", put([]byte(`{"keys":[]}`)), true, "key set is empty"},
		{"the set again", put(setOf(published("e1", ecKey()))), false, ""},
		{"a set of another key", put(setOf(published("e2", foreign()))), true, ""},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		before := len(f.log.String())
		for range 3 {
			f.add(time.Second)
			f.warm(t)
		}
		if step.revoked {
			wantCaller(t, f, f.shop(), "", caller.ErrUnverified)
		} else {
			wantCaller(t, f, f.shop(), "shop/jwt", nil)
		}
		log := f.log.String()[before:]
		if n := strings.Count(log, "level=WARN"); step.log != "" && n != 1 || !strings.Contains(log, step.log) {
			t.Errorf("%s: the log is %q, want %q once", step.name, log, step.log)
		}
	}
}

// TestRunReadsAFileAgain checks that Run reads a file again soon after it was unreadable. The
// tokens name no key, so that they cause no read.
func TestRunReadsAFileAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, setOf(published("e1", ecKey())))
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		sets := caller.NewKeySets(caller.KeySetOptions{Log: log.logger()})
		issuer := caller.Issuer{Name: "cluster", Issuer: "https://a.example", Audience: "deskmint", JWKS: path}
		c := newCallers(t, tokenCallers("cluster"), sets, issuer)
		of := func(key crypto.Signer) caller.Credentials {
			return bearer(es256("", key, claims(issuer.Issuer, time.Now())))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sets.Run(ctx) }()
		for range 5 {
			synctest.Wait()
			write(t, path, []byte("{")) // half written
			for before := log.String(); !strings.Contains(log.String()[len(before):], "can't be refreshed"); {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			write(t, path, setOf(published("e2", foreign())))
			time.Sleep(4 * time.Second) // more than the longest interval while the file is unreadable
			synctest.Wait()
			wantCaller(t, c, of(ecKey()), "", caller.ErrUnverified)
			wantCaller(t, c, of(foreign()), "shop/jwt", nil)
			write(t, path, setOf(published("e1", ecKey())))
			time.Sleep(time.Minute)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestRun checks that Run refreshes the keys of a file without any request.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, setOf(published("e1", ecKey())))
	synctest.Test(t, func(t *testing.T) {
		sets := caller.NewKeySets(caller.KeySetOptions{})
		issuer := caller.Issuer{Name: "cluster", Issuer: "https://a.example", Audience: "deskmint", JWKS: path}
		c := newCallers(t, tokenCallers("cluster"), sets, issuer)
		old := func() caller.Credentials {
			return bearer(es256("e1", ecKey(), claims(issuer.Issuer, time.Now())))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sets.Run(ctx) }()
		synctest.Wait()
		wantCaller(t, c, old(), "shop/jwt", nil)
		write(t, path, setOf(published("e2", foreign())))
		time.Sleep(23 * time.Second) // two of the longest intervals, less than Run's longest pause over
		synctest.Wait()
		wantCaller(t, c, old(), "", caller.ErrUnverified)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}
