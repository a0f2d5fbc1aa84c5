package sandbox

import (
	"sync"
	"time"
)

// replays remembers every jti for as long as its token could come again: a token is good from 3
// minutes before its iat to 3 minutes after. Memory is bounded by the rate of sign-ins. The zero
// value is ready.
type replays struct {
	mu      sync.Mutex
	until   map[string]time.Time
	inOrder []string // as they were claimed, so that the ones to forget come first
}

// claim reports whether nobody has claimed this jti before. Of several at once, one wins.
func (p *replays) claim(jti string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.inOrder) > 0 && now.After(p.until[p.inOrder[0]]) {
		delete(p.until, p.inOrder[0])
		p.inOrder = p.inOrder[1:]
	}
	if _, used := p.until[jti]; used {
		return false
	}
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	p.until[jti] = now.Add(2 * maxSkew)
	p.inOrder = append(p.inOrder, jti)
	return true
}
