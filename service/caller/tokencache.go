package caller

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxCached is the size of each of the two generations of cached tokens. Callers are services, and
// each uses one or two tokens at a time.
const maxCached = 1024

// tokenCache holds verified tokens. A service presents the same token with each of its requests for
// an hour, and verifying the signature costs more than the rest of the request. An entry is the
// result of the verification, under the token's hash. It is valid only while the issuer still has
// the same keys that verified the token, and within the token's own times. Otherwise the token is
// verified again. Each table of callers has a separate cache.
//
// The zero value is ready to use. It is safe for concurrent use.
type tokenCache struct {
	mu                sync.RWMutex
	current, previous map[[sha256.Size]byte]verified // the two generations
}

// verified is the result of verifying a token.
type verified struct {
	caller      Caller
	issuer      *issuer
	keys        *keys
	from, until time.Time // when the token is valid, leeway included
}

// limitTo shortens the validity of v to the end of an identity.
func (v *verified) limitTo(notAfter time.Time) {
	if !notAfter.IsZero() && notAfter.Before(v.until) {
		v.until = notAfter
	}
}

func (c *tokenCache) get(sum [sha256.Size]byte) (Caller, bool) {
	c.mu.RLock()
	v, ok := c.current[sum]
	if !ok {
		v, ok = c.previous[sum]
	}
	c.mu.RUnlock()
	if !ok || v.issuer.keys.held() != v.keys {
		return Caller{}, false
	}
	now := v.issuer.keys.now()
	return v.caller, !now.Before(v.from) && now.Before(v.until)
}

// put stores a token. If the current generation is full, it discards the previous one. A token that
// is still in use is stored again with its next request.
func (c *tokenCache) put(sum [sha256.Size]byte, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.current) >= maxCached || c.current == nil {
		c.current, c.previous = make(map[[sha256.Size]byte]verified), c.current
	}
	c.current[sum] = v
}

// validity returns when a token is valid. It reads the times in the same way as the library that
// has just checked them.
func validity(claims jwt.Claims) (from, until time.Time, err error) {
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil {
		return from, until, ErrMalformed
	}
	for _, get := range []func() (*jwt.NumericDate, error){claims.GetNotBefore, claims.GetIssuedAt} {
		date, err := get()
		if err != nil {
			return from, until, ErrMalformed
		}
		if date != nil && date.After(from) {
			from = date.Time
		}
	}
	return from.Add(-leeway), exp.Add(leeway), nil
}
