package signin

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// An attempt is a browser's recent sign-ins, carried by the browser: the times of
// the last few, and a MAC of them under the configuration's key. It binds them to
// configuration, brand and person, so that one browser's can't stop another's
// sign-in. It ends honest loops; whoever throws it away begins anew.
type attempt struct {
	// scope is what the attempt is bound to. NUL can't stand in any of its parts,
	// nor in the input of a token's signature, which is base64url and a dot: no
	// attempt can ever be taken for a token.
	scope  string
	window time.Duration
	limit  int
}

// maxSkew is how far ahead, in seconds, another replica's clock may be. Replicas with
// NTP are within one; what is further ahead than a clock may be that callers' tokens
// come from was written before a clock was put right, and would stop somebody for as
// long as that was wrong.
const maxSkew = 30

// LoopError says that a browser came back to sign in too often. After Wait it may try again.
type LoopError struct{ Wait time.Duration }

// Error implements error.
func (*LoopError) Error() string { return "sign-in loop" }

func newAttempt(configuration, brand, email string, limit int, window time.Duration) attempt {
	return attempt{
		scope:  strings.Join([]string{"deskmint attempt 1", configuration, brand, email, ""}, "\x00"),
		window: window,
		limit:  limit,
	}
}

// next counts a sign-in at now, after those of the attempt that the browser gave
// back, and returns the one to give it. One that is absent, malformed, forged or
// another's counts as none.
func (a attempt) next(ctx context.Context, given string, held []secrets.Key, signing secrets.Key, now time.Time) (string, error) {
	times := slices.DeleteFunc(a.open(given, held), func(t int64) bool {
		age := now.Unix() - t
		return age < -maxSkew || time.Duration(age)*time.Second >= a.window
	})
	if len(times)+1 >= a.limit {
		oldest := time.Unix(slices.Min(times), 0)
		return "", &LoopError{Wait: max(time.Second, oldest.Add(a.window).Sub(now))}
	}
	return a.seal(ctx, append(times, now.Unix()), signing)
}

func (a attempt) seal(ctx context.Context, times []int64, key secrets.Key) (string, error) {
	var body []byte
	for _, t := range times {
		body = binary.AppendVarint(body, t)
	}
	mac, err := key.Sign(ctx, a.scope+string(body))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(mac, body...)), nil
}

func (a attempt) open(given string, held []secrets.Key) (times []int64) {
	const macSize = 32 // HMAC-SHA-256
	b, err := base64.RawURLEncoding.DecodeString(given)
	if err != nil || len(b) <= macSize {
		return nil
	}
	mac, body := b[:macSize], b[macSize:]
	genuine := func(k secrets.Key) bool { return k.Verify(a.scope+string(body), mac) == nil }
	if !slices.ContainsFunc(held, genuine) {
		return nil
	}
	for len(body) > 0 {
		t, n := binary.Varint(body)
		if n <= 0 {
			return nil
		}
		times, body = append(times, t), body[n:]
	}
	return times
}
