package sandbox

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
)

const (
	cookieName  = "sandbox_session"
	maxSessions = 1000 // when there are more, the oldest end
)

// sessions are the sessions of all signed-in browsers. The zero value is ready to use.
type sessions struct {
	mu      sync.Mutex
	byID    map[string]SignIn
	inOrder []string
	bytes   int // of all sign-ins
}

// open starts a session with a new ID and returns its cookie. The cookie has no domain, so each
// brand's host has a separate one, and so has each brand's path. With SameSite=Lax, browsers send it
// when the user follows a link from another site.
func (s *sessions) open(signIn SignIn, at site, secure bool) *http.Cookie {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]SignIn{}
	}
	s.byID[id] = signIn
	s.inOrder, s.bytes = append(s.inOrder, id), s.bytes+signIn.size
	for len(s.inOrder) > maxSessions || s.bytes > maxRecordBytes {
		s.delete(s.inOrder[0])
	}
	return &http.Cookie{ //nolint:gosec // Secure if the connection uses TLS, which is rare on loopback
		Name:     cookieName,
		Value:    id,
		Path:     cmp.Or(at.base, "/"),
		HttpOnly: true,
		Secure:   secure,
		SameSite: http.SameSiteLaxMode,
	}
}

// of returns the sign-in that belongs to the request's cookie, if it was at this brand.
func (s *sessions) of(r *http.Request, at site) (SignIn, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return SignIn{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	signIn, ok := s.byID[cookie.Value]
	return signIn, ok && signIn.Brand == at.ID
}

// delete ends a session. The caller must hold mu.
func (s *sessions) delete(id string) {
	s.bytes -= s.byID[id].size
	delete(s.byID, id)
	s.inOrder = slices.DeleteFunc(s.inOrder, func(other string) bool { return other == id })
}

// clear ends all sessions.
func (s *sessions) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID, s.inOrder, s.bytes = nil, nil, 0
}

// end ends the request's session, if there is one, and returns a cookie that deletes the browser's
// cookie.
func (s *sessions) end(r *http.Request, at site) *http.Cookie {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		s.delete(cookie.Value)
		s.mu.Unlock()
	}
	return &http.Cookie{ //nolint:gosec // as in open
		Name:     cookieName,
		Path:     cmp.Or(at.base, "/"),
		MaxAge:   -1,
		HttpOnly: true,
		Secure:   r.TLS != nil,
		SameSite: http.SameSiteLaxMode,
	}
}
