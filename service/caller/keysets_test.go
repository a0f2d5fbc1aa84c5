package caller_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// fixture is one issuer with one key, and callers of its tokens.
type fixture struct {
	*clock
	*site
	*caller.Callers

	sets   *caller.KeySets
	issuer caller.Issuer
	log    lines
}

// newFixture lets the test change where the keys come from.
func newFixture(t testing.TB, change func(*fixture)) *fixture {
	t.Helper()
	f := &fixture{clock: newClock(), site: newSite(t)}
	f.sets = caller.NewKeySets(caller.KeySetOptions{Now: f.Now, Log: f.log.logger()})
	f.issuer = f.site.issuer("cluster", published("e1", ecKey()))
	if change != nil {
		change(f)
	}
	f.Callers = table(t, tokenCallers("cluster"), f.sets, f.issuer)
	return f
}

// shop is a token of now.
func (f *fixture) shop() caller.Credentials {
	return bearer(es256("e1", ecKey(), claims(f.issuer.Issuer, f.Now())))
}

// next is one under the key that the issuer takes next.
func (f *fixture) next() caller.Credentials {
	return bearer(es256("e2", foreign(), claims(f.issuer.Issuer, f.Now())))
}

func (f *fixture) warm(t *testing.T) { f.sets.Warm(t.Context(), f.issuer) }

// TestRotation: a new key is taken at its first token, an old one goes with its set.
func TestRotation(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	expect(t, f, f.shop(), "shop/jwt", nil)
	expect(t, f, f.next(), "", caller.ErrUnverified)

	f.put("/keys", setOf(published("e1", ecKey()), published("e2", foreign())))
	expect(t, f, f.next(), "", caller.ErrUnverified) // in the pause after the first fetch
	f.add(5 * time.Second)
	expect(t, f, f.next(), "shop/jwt", nil)
	expect(t, f, f.shop(), "shop/jwt", nil)

	f.put("/keys", setOf(published("e2", foreign())))
	f.add(5 * time.Second)
	f.warm(t)
	expect(t, f, f.shop(), "", caller.ErrUnverified)
	expect(t, f, f.next(), "shop/jwt", nil)
	if n := f.count(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

// TestRotationOfAFile is the same without a server.
func TestRotationOfAFile(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.issuer.JWKS = filepath.Join(t.TempDir(), "keys")
		write(t, f.issuer.JWKS, setOf(published("e1", ecKey())))
	})
	expect(t, f, f.shop(), "shop/jwt", nil)
	write(t, f.issuer.JWKS, setOf(published("e2", foreign())))
	f.add(5 * time.Second)
	expect(t, f, f.next(), "shop/jwt", nil)
	expect(t, f, f.shop(), "", caller.ErrUnverified)
	write(t, f.issuer.JWKS, []byte("{")) // half written
	f.add(5 * time.Second)
	expect(t, f, f.shop(), "", caller.ErrUnverified)
	expect(t, f, f.next(), "shop/jwt", nil)
}

// TestFlood: however many tokens name unknown keys, the issuer is asked once a pause.
func TestFlood(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	const seconds, each = 60, 50
	var group sync.WaitGroup
	for second := range seconds {
		for i := range each {
			group.Go(func() {
				expect(t, f, bearer(es256(fmt.Sprintf("kid-%d-%d", second, i), unrelated(), claims(f.URL, begin))),
					"", caller.ErrUnverified)
			})
		}
		group.Wait()
		f.add(time.Second)
	}
	if n := f.count(); n > 1+seconds/5 || n < seconds/5-1 {
		t.Errorf("%d tokens in %d s made %d requests, want one in 5 s", seconds*each, seconds, n)
	}
	expect(t, f, f.shop(), "shop/jwt", nil)
}

// TestNoFetch: an issuer isn't asked for what could be no token of its own, nor by what
// names no key.
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
			expect(t, f, bearer(test.token), "", test.err)
			if n := f.count(); n != 1 {
				t.Errorf("%d requests, want that which was there", n)
			}
		})
	}
}

// TestHangingIssuer: tokens of known keys don't wait for it, those of unknown ones as
// long as their requests' contexts.
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
	expect(t, f, f.shop(), "shop/jwt", nil)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Authenticate returned %v", err)
	}
	// The fetch goes on for the others; nobody begins a second one.
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := f.Authenticate(ctx, f.next()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Authenticate returned %v", err)
	}
	if f.count() != 2 {
		t.Errorf("%d requests, want 2", f.count())
	}
}

// TestIssuerAway: the last keys serve for a day, and then no longer.
func TestIssuerAway(t *testing.T) {
	f := newFixture(t, nil)
	if at, known := f.sets.Fetched(f.issuer); known {
		t.Errorf("fetched at %v, before anybody asked", at)
	}
	f.warm(t)
	fetched := f.Now()
	f.away()
	f.add(24 * time.Hour)
	expect(t, f, f.shop(), "shop/jwt", nil)
	f.warm(t)
	expect(t, f, f.shop(), "shop/jwt", nil)
	if log := f.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "answers 503") ||
		!strings.Contains(log, "until=2026-03-15T15:09:26") {
		t.Errorf("the log is %q", log)
	}
	if at, known := f.sets.Fetched(f.issuer); !known || !at.Equal(fetched) {
		t.Errorf("fetched at %v, %v; want %v", at, known, fetched)
	}
	f.add(time.Second)
	expect(t, f, f.shop(), "", caller.ErrIssuerUnavailable)
	f.add(5 * time.Second)
	expect(t, f, f.shop(), "", caller.ErrIssuerUnavailable)
	if log := f.log.String(); !strings.Contains(log, "level=ERROR") {
		t.Errorf("the log is %q", log)
	}
	f.put("/keys", setOf(published("e1", ecKey())))
	f.add(5 * time.Second)
	expect(t, f, f.shop(), "shop/jwt", nil) // and it recovers by itself
}

// TestKeySetsOutliveReloads: a new table asks for nothing that is known, and what no
// table names is forgotten.
func TestKeySetsOutliveReloads(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	f.away()
	renamed := f.issuer
	renamed.Name, renamed.Audience = "renamed", "deskmint"
	again := table(t, tokenCallers("renamed"), f.sets, renamed)
	f.sets.Retain(renamed)
	expect(t, again, f.shop(), "shop/jwt", nil)
	if f.count() != 1 {
		t.Errorf("%d requests", f.count())
	}
	elsewhere := f.issuer
	elsewhere.JWKS += "2"
	moved := table(t, tokenCallers("cluster"), f.sets, elsewhere)
	expect(t, moved, f.shop(), "", caller.ErrIssuerUnavailable) // keys of another source are not its
	f.sets.Retain(elsewhere)
	back := table(t, tokenCallers("cluster"), f.sets, f.issuer)
	expect(t, back, f.shop(), "", caller.ErrIssuerUnavailable)
}

// TestWarmIsBounded: an issuer that hangs must not stop a start.
func TestWarmIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	release := make(chan struct{})
	f.handler(func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	began := time.Now()
	f.warm(t) // returns, though the issuer goes on hanging
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("Warm gave up after %v, want 3 s", took)
	}
	expect(t, f, f.shop(), "", caller.ErrIssuerUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.add(time.Minute)
	f.sets.Warm(ctx, f.issuer) // returns
}

// TestRun refreshes a file's keys in time: new ones come and old ones go without a
// request's help.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, setOf(published("e1", ecKey())))
	synctest.Test(t, func(t *testing.T) {
		sets := caller.NewKeySets(caller.KeySetOptions{})
		issuer := caller.Issuer{Name: "cluster", Issuer: "https://a.example", Audience: "deskmint", JWKS: path}
		c := table(t, tokenCallers("cluster"), sets, issuer)
		old := func() caller.Credentials {
			return bearer(es256("e1", ecKey(), claims(issuer.Issuer, time.Now())))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sets.Run(ctx) }()
		synctest.Wait()
		expect(t, c, old(), "shop/jwt", nil)
		write(t, path, setOf(published("e2", foreign())))
		time.Sleep(23 * time.Second) // two of the longest intervals, less than Run's longest pause over
		synctest.Wait()
		expect(t, c, old(), "", caller.ErrUnverified)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}
