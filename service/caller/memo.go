package caller

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxMemo is how many tokens are remembered, twice over. Callers are services, with a
// token or two each at a time.
const maxMemo = 1024

// memo remembers tokens that have been verified: a service shows the same one with each
// of its requests for an hour, and its signature costs more than all the rest of a
// request. What is remembered is the outcome, under the token's hash. It counts only while
// the issuer's keys are the very ones that verified it, and within the token's own times;
// outside of these the token is looked at as if it were new. It belongs to one table of
// callers, and ends with it.
//
// The zero value is ready. It is safe for concurrent use.
type memo struct {
	mu          sync.RWMutex
	young, aged map[[sha256.Size]byte]verified
}

// verified is a token that was found to be a caller's.
type verified struct {
	caller      Caller
	issuer      *issuer
	keys        *keys
	from, until time.Time // what the token's times allow, leeway included
}

// endsWith makes v count no longer than an identity does.
func (v *verified) endsWith(notAfter time.Time) {
	if !notAfter.IsZero() && notAfter.Before(v.until) {
		v.until = notAfter
	}
}

func (m *memo) get(sum [sha256.Size]byte) (Caller, bool) {
	m.mu.RLock()
	v, ok := m.young[sum]
	if !ok {
		v, ok = m.aged[sum]
	}
	m.mu.RUnlock()
	if !ok || v.issuer.keys.held() != v.keys {
		return Caller{}, false
	}
	now := v.issuer.keys.now()
	return v.caller, !now.Before(v.from) && now.Before(v.until)
}

// put forgets the older half once the younger one is full: what is still in use comes
// back with its next request.
func (m *memo) put(sum [sha256.Size]byte, v verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= maxMemo || m.young == nil {
		m.young, m.aged = make(map[[sha256.Size]byte]verified), m.young
	}
	m.young[sum] = v
}

// times are when a token counts, as the library that has just checked it reads them.
func times(claims jwt.Claims) (from, until time.Time, err error) {
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
