package caller_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// TestCachedToken checks that a cached token always has the same result as a new one.
func TestCachedToken(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	at := func(d time.Duration) string { return fmt.Sprint(begin.Add(d).Unix()) }
	for _, times := range [][]string{
		nil,
		{"exp", at(time.Minute)},
		{"exp", at(time.Minute), "nbf", at(20 * time.Second), "iat", at(0)},
		{"exp", at(time.Minute), "nbf", at(0), "iat", at(20 * time.Second)},
		{"exp", at(time.Minute) + ".9", "nbf", at(-time.Minute) + ".9", "iat", ""},
	} {
		presented := bearer(es256("e1", ecKey(), claims(f.URL, begin, times...)))
		wantCaller(t, f, presented, "shop/jwt", nil)
		began := f.Now()
		for _, off := range []time.Duration{0, -11, -10, -9, -40, 59, 60, 61, 89, 90, 91, -91, -60, 0, 3600, 7200} {
			f.add(began.Add(off * time.Second).Sub(f.Now()))
			fresh := newCallers(t, tokenCallers("cluster"), f.sets, f.issuer)
			want, wantErr := fresh.Authenticate(t.Context(), presented)
			got, err := f.Authenticate(t.Context(), presented)
			if got != want || err != wantErr { //nolint:errorlint // Authenticate returns these errors unwrapped
				t.Errorf("%v, after %d s: %v, %v; without the cache: %v, %v", times, off, got, err, want, wantErr)
			}
		}
		f.add(began.Sub(f.Now()))
	}
}

// TestCacheIsBounded presents more tokens than the cache holds, each of them repeatedly.
func TestCacheIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	const many = 2500
	tokens := make([]caller.Credentials, many)
	for i := range tokens {
		tokens[i] = bearer(signed("EdDSA", header("EdDSA", "d1"), claims(f.URL, begin, "n", fmt.Sprint(i)), edKey()))
	}
	f.put("/keys", setOf(published("d1", edKey())))
	f.add(5 * time.Second)
	for range 2 {
		for _, presented := range tokens {
			wantCaller(t, f, presented, "shop/jwt", nil)
		}
	}
	if n := f.Cached(); n > 2048 {
		t.Errorf("%d tokens are cached", n)
	}
	// A token that differs in one letter of its signature is another token.
	forged := []byte(tokens[many-1].Authorization[0])
	letter := &forged[len(forged)-10]
	*letter = map[bool]byte{true: 'B', false: 'A'}[*letter == 'A']
	wantCaller(t, f, caller.Credentials{Authorization: []string{string(forged)}}, "", caller.ErrUnverified)
}

// TestCachedTokenEndsWithItsKey checks that a cached token is refused after its issuer has
// withdrawn the key.
func TestCachedTokenEndsWithItsKey(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	presented := f.shop()
	wantCaller(t, f, presented, "shop/jwt", nil)
	wantCaller(t, f, presented, "shop/jwt", nil)
	f.put("/keys", setOf(published("e2", foreign())))
	f.add(5 * time.Second)
	f.warm(t)
	wantCaller(t, f, presented, "", caller.ErrUnverified)
	// It is also refused after the keys have become too old.
	f.put("/keys", setOf(published("e1", ecKey())))
	f.add(5 * time.Second)
	f.warm(t)
	long := bearer(es256("e1", ecKey(), claims(f.URL, f.Now(), "exp", fmt.Sprint(f.Now().Add(72*time.Hour).Unix()))))
	wantCaller(t, f, long, "shop/jwt", nil)
	f.shutDown()
	f.add(24*time.Hour + time.Second)
	wantCaller(t, f, long, "", caller.ErrIssuerUnavailable)
}
