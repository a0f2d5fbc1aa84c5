package sandbox

import (
	"sync"
	"time"
)

// replays records every jti for as long as its token is valid, which is from 3 minutes before its
// iat to 3 minutes after it. The rate of sign-ins limits its memory. The zero value is ready to
// use.
type replays struct {
	mu      sync.Mutex
	until   map[string]time.Time
	inOrder []string // in the order of the claims, so that the first ones expire first
}

// claim reports whether this jti is new, and records it. Of several concurrent calls with one jti,
// only one returns true.
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
