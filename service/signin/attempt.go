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

// An attempt holds the times of a browser's last sign-ins, and a MAC of them under the
// configuration's key. The browser carries it. The MAC binds it to the configuration, the brand and
// the user, so that the attempt of one browser can't stop the sign-in of another. It ends honest
// loops. A browser that loses it starts again.
type attempt struct {
	// scope is what the attempt is bound to. None of its parts can contain NUL, and neither can the
	// signing input of a token, which is base64url and a dot. So no attempt is a valid token.
	scope  string
	window time.Duration
	limit  int
}

// maxSkew is how far the clock of another replica may be ahead, in seconds. Replicas with NTP
// differ by less than one second. A time further ahead comes from a clock that was wrong. Counting
// it would keep the user out for as long as the clock was ahead.
const maxSkew = 30

// LoopError reports that a browser came back to sign in too often. It may try again after Wait.
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

// next adds a sign-in at now to the attempt that the browser sent back, and returns the attempt for
// the browser. An attempt that is absent, malformed, forged or bound to something else counts as
// empty.
func (a attempt) next(
	ctx context.Context, given string, held []secrets.Key, signing secrets.Key, now time.Time,
) (string, error) {
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
