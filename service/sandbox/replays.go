package sandbox

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxReplays is the maximum number of recorded jti. The oldest are forgotten first.
const maxReplays = 100_000

// replays records a hash of every jti for as long as its token is valid, which is from 3 minutes
// before its iat to 3 minutes after it. The zero value is ready to use.
type replays struct {
	mu      sync.Mutex
	until   map[[sha256.Size]byte]time.Time
	inOrder [][sha256.Size]byte // in the order of the claims, so that the first ones expire first
}

// claim reports whether this jti is new, and records it. Of several concurrent calls with one jti,
// only one returns true.
func (p *replays) claim(jti string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.inOrder) > 0 && (now.After(p.until[p.inOrder[0]]) || len(p.inOrder) >= maxReplays) {
		delete(p.until, p.inOrder[0])
		p.inOrder = p.inOrder[1:]
	}
	hash := sha256.Sum256([]byte(jti))
	if _, used := p.until[hash]; used {
		return false
	}
	if p.until == nil {
		p.until = map[[sha256.Size]byte]time.Time{}
	}
	p.until[hash] = now.Add(2 * maxSkew)
	p.inOrder = append(p.inOrder, hash)
	return true
}

// clear forgets every jti.
func (p *replays) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.inOrder = nil, nil
}
