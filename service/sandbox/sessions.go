package sandbox

import (
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
}

// open starts a session with a new ID and returns its cookie. The cookie has no domain, so each
// brand's host has a separate one. With SameSite=Lax, browsers send it when the user follows a link
// from another site.
func (s *sessions) open(signIn SignIn, secure bool) *http.Cookie {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]SignIn{}
	}
	if len(s.inOrder) == maxSessions {
		delete(s.byID, s.inOrder[0])
		s.inOrder = s.inOrder[1:]
	}
	s.byID[id] = signIn
	s.inOrder = append(s.inOrder, id)
	return &http.Cookie{ //nolint:gosec // Secure if the connection uses TLS, which is rare on loopback
		Name:     cookieName,
		Value:    id,
		Path:     "/",
		HttpOnly: true,
		Secure:   secure,
		SameSite: http.SameSiteLaxMode,
	}
}

// of returns the sign-in that belongs to the request's cookie, if it was at this brand.
func (s *sessions) of(r *http.Request, brand Brand) (SignIn, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return SignIn{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	signIn, ok := s.byID[cookie.Value]
	return signIn, ok && signIn.Brand == brand.ID
}

// end ends the request's session, if there is one, and returns a cookie that deletes the browser's
// cookie.
func (s *sessions) end(r *http.Request) *http.Cookie {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		delete(s.byID, cookie.Value)
		s.inOrder = slices.DeleteFunc(s.inOrder, func(id string) bool { return id == cookie.Value })
		s.mu.Unlock()
	}
	return &http.Cookie{ //nolint:gosec // as in open
		Name:     cookieName,
		Path:     "/",
		MaxAge:   -1,
		HttpOnly: true,
		Secure:   r.TLS != nil,
		SameSite: http.SameSiteLaxMode,
	}
}
