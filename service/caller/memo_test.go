package caller_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// TestRemembered: at every moment a token that has been verified before is judged as one that is
// seen for the first time.
func TestRemembered(t *testing.T) {
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
		shown := bearer(es256("e1", ecKey(), claims(f.URL, begin, times...)))
		expect(t, f, shown, "shop/jwt", nil)
		began := f.Now()
		for _, off := range []time.Duration{0, -11, -10, -9, -40, 59, 60, 61, 89, 90, 91, -91, -60, 0, 3600, 7200} {
			f.add(began.Add(off * time.Second).Sub(f.Now()))
			fresh := table(t, tokenCallers("cluster"), f.sets, f.issuer)
			wantCaller, wantErr := fresh.Authenticate(t.Context(), shown)
			got, err := f.Authenticate(t.Context(), shown)
			if got != wantCaller || err != wantErr { //nolint:errorlint // the very errors
				t.Errorf("%v, %d s on: %v, %v; for the first time: %v, %v", times, off, got, err, wantCaller, wantErr)
			}
		}
		f.add(began.Sub(f.Now()))
	}
}

// TestRememberedIsBounded: more tokens than are remembered, each seen again and again.
func TestRememberedIsBounded(t *testing.T) {
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
		for _, shown := range tokens {
			expect(t, f, shown, "shop/jwt", nil)
		}
	}
	if n := f.Remembered(); n > 2048 {
		t.Errorf("%d tokens are remembered", n)
	}
	// One that differs in a letter of its signature is another.
	forged := []byte(tokens[many-1].Authorization[0])
	letter := &forged[len(forged)-10]
	*letter = map[bool]byte{true: 'B', false: 'A'}[*letter == 'A']
	expect(t, f, caller.Credentials{Authorization: []string{string(forged)}}, "", caller.ErrUnverified)
}

// TestRememberedEndsWithTheKey: an issuer takes a key back, and with it what it has signed.
func TestRememberedEndsWithTheKey(t *testing.T) {
	f := newFixture(t, nil)
	f.warm(t)
	shown := f.shop()
	expect(t, f, shown, "shop/jwt", nil)
	expect(t, f, shown, "shop/jwt", nil)
	f.put("/keys", setOf(published("e2", foreign())))
	f.add(5 * time.Second)
	f.warm(t)
	expect(t, f, shown, "", caller.ErrUnverified)
	// And where its keys have become too old to serve.
	f.put("/keys", setOf(published("e1", ecKey())))
	f.add(5 * time.Second)
	f.warm(t)
	long := bearer(es256("e1", ecKey(), claims(f.URL, f.Now(), "exp", fmt.Sprint(f.Now().Add(72*time.Hour).Unix()))))
	expect(t, f, long, "shop/jwt", nil)
	f.away()
	f.add(24*time.Hour + time.Second)
	expect(t, f, long, "", caller.ErrIssuerUnavailable)
}
