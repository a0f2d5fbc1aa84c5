package sandbox

import (
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
)

const (
	cookieName  = "sandbox_session"
	maxSessions = 1000 // the oldest end first
)

// sessions are the browsers that are signed in. The zero value is ready.
type sessions struct {
	mu      sync.Mutex
	byID    map[string]SignIn
	inOrder []string
}

// open starts a session, always with a new id, and returns the cookie that holds it. The cookie has
// no domain, so each brand's host gets its own. SameSite=Lax lets it come along when the user
// follows a link from elsewhere.
func (s *sessions) open(who SignIn, secure bool) *http.Cookie {
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
	s.byID[id] = who
	s.inOrder = append(s.inOrder, id)
	return &http.Cookie{ //nolint:gosec // Secure where there is TLS; on loopback there mostly isn't
		Name:     cookieName,
		Value:    id,
		Path:     "/",
		HttpOnly: true,
		Secure:   secure,
		SameSite: http.SameSiteLaxMode,
	}
}

// of returns who is signed in at this brand with the request's cookie.
func (s *sessions) of(r *http.Request, brand Brand) (SignIn, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return SignIn{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who, ok := s.byID[cookie.Value]
	return who, ok && who.Brand == brand.ID
}

// end ends the request's session, if there is one, and returns the cookie that takes the browser's
// away.
func (s *sessions) end(r *http.Request) *http.Cookie {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		delete(s.byID, cookie.Value)
		s.inOrder = slices.DeleteFunc(s.inOrder, func(id string) bool { return id == cookie.Value })
		s.mu.Unlock()
	}
	return &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode} //nolint:gosec // as open
}
