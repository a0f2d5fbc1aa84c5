package vault

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// freshFor is how long a token that replaced a refused one is fresh. If Vault refuses a read with a
// fresh token, the source doesn't log in again. Another login would only fill Vault's audit log,
// and N secrets that may not be read would cause N logins in each refresh.
const freshFor = 10 * time.Second

// session holds the token that all reads share. A read renews the token if it is due for renewal or
// was refused, or replaces it by another login. A read occurs every few seconds, so no goroutine
// has to monitor the token's lifetime.
type session struct {
	auth Auth
	wire *wire
	now  func() time.Time
	log  *slog.Logger
	// fewUses accepts a token that can be used a limited number of times. It is for commands, which
	// end after a few requests.
	fewUses bool

	current atomic.Pointer[tokenInfo] // nil before the first login
	flight  singleflight.Group        // one login at a time
	logins  struct{ succeeded, failed atomic.Uint64 }

	credential atomic.Pointer[digest] // of the files at the last Reload
	retryNow   atomic.Bool            // ends the wait before the next attempt
	failure    loginFailure           // only the login in progress uses it
}

// tokenInfo is a token with its lifetime. It is immutable.
type tokenInfo struct {
	token        func() string // a closure, so that it can't be printed
	obtained     time.Time
	lease        time.Duration // zero: it doesn't end
	initialLease time.Duration // the lease it had at login
	renewable    bool
	renewAt      time.Time
	// replacement says that this token is of the login after another token was refused. A refusal
	// of that other token may mean that it was revoked. A refusal of this one concerns the secret.
	replacement bool
}

func newTokenInfo(token string, now time.Time, lease, initialLease time.Duration, renewable bool) *tokenInfo {
	// A third of the lease remains for retries. The jitter keeps replicas from renewing at the same
	// time.
	fraction := 0.6 + 0.1*rand.Float64() //nolint:gosec // jitter needs no secrecy
	return &tokenInfo{
		token:    func() string { return token },
		obtained: now, lease: lease, initialLease: initialLease, renewable: renewable,
		renewAt: now.Add(time.Duration(float64(lease) * fraction)),
	}
}

func (g *tokenInfo) dueForRenewal(now time.Time) bool { return g.lease > 0 && !now.Before(g.renewAt) }
func (g *tokenInfo) expired(now time.Time) bool {
	return g.lease > 0 && !now.Before(g.obtained.Add(g.lease))
}
func (g *tokenInfo) fresh(now time.Time) bool { return g.replacement && now.Sub(g.obtained) < freshFor }

// Logins returns the number of logins since the start. Renewals are not counted. It may be called
// concurrently.
func (s *Source) Logins() (succeeded, failed uint64) {
	return s.session.logins.succeeded.Load(), s.session.logins.failed.Load()
}

// TokenExpiry returns the time at which the present token ends. Reads renew or replace the token
// well before that. It returns false before the first login and if the token doesn't end. It may be
// called concurrently.
func (s *Source) TokenExpiry() (time.Time, bool) {
	g := s.session.current.Load()
	if g == nil || g.lease == 0 {
		return time.Time{}, false
	}
	return g.obtained.Add(g.lease), true
}

// token returns the token for a read. It replaces a token that is due for renewal. If that fails,
// it returns the old token as long as that is valid.
func (s *session) token(ctx context.Context) (*tokenInfo, error) {
	g := s.current.Load()
	if g != nil && !g.dueForRenewal(s.now()) {
		return g, nil
	}
	next, err := s.replace(ctx, g, false)
	if err != nil && g != nil && !g.expired(s.now()) {
		return g, nil
	}
	return next, err
}

// replace returns another token in place of old, which was refused or is near its end. The callers
// pass the token that they used, so that concurrent calls cause one login. Every error means that
// the store is unavailable, even if Vault refused the login.
func (s *session) replace(ctx context.Context, old *tokenInfo, refused bool) (*tokenInfo, error) {
	ch := s.flight.DoChan("", func() (any, error) {
		if g := s.current.Load(); g != old {
			return g, nil // another caller has replaced it
		}
		s.failure.endWait(s.auth, s.retryNow.Swap(false))
		if err := s.failure.waiting(s.now()); err != nil {
			return (*tokenInfo)(nil), err
		}
		// The login has no caller's deadline, because other callers wait for it too.
		g, err := s.obtain(context.WithoutCancel(ctx), old, refused)
		if err != nil {
			return (*tokenInfo)(nil), err
		}
		s.current.Store(g)
		return g, nil
	})
	select {
	case r := <-ch:
		return r.Val.(*tokenInfo), r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// obtain renews old if that is possible, and logs in otherwise. A lease that gets shorter has
// reached its maximum. Another login is then needed before it ends. A refused AppRole login delays
// the next login, but not the next renewal.
func (s *session) obtain(ctx context.Context, old *tokenInfo, refused bool) (*tokenInfo, error) {
	if old != nil && !refused && old.renewable && !old.expired(s.now()) {
		g, err := s.renew(ctx, old)
		if err == nil && g.lease >= old.initialLease/2 {
			s.log.Debug("Vault token renewed", "lease", g.lease)
			return g, nil
		}
		if err != nil {
			s.log.Info("the Vault token can't be renewed: logging in again", "error", err)
		}
	}
	if err := s.failure.loginWaiting(s.now()); err != nil {
		return nil, err
	}
	g, err := s.login(ctx)
	if err != nil {
		s.logins.failed.Add(1)
		if wait := s.failure.loginWait; wait > 0 {
			s.log.Error("Vault refuses the AppRole login. Five refused logins lock the role for every replica that "+
				"shares it, so the next attempt waits for a change of the role id's or secret id's file, or for SIGHUP",
				"error", err, "retry_within", wait.Round(time.Second))
		}
		return nil, err
	}
	s.logins.succeeded.Add(1)
	s.failure = loginFailure{}
	g.replacement = refused
	s.log.Info("logged in to Vault", "method", s.auth.Method, "lease", g.lease, "renewable", g.renewable)
	return g, nil
}

// authAnswer is the answer of Vault to a login or a renewal.
type authAnswer struct {
	Auth struct {
		ClientToken   string `json:"client_token"`
		LeaseDuration int64  `json:"lease_duration"` // seconds
		Renewable     bool   `json:"renewable"`
		NumUses       int    `json:"num_uses"` // zero: no limit
	} `json:"auth"`
}

func (s *session) renew(ctx context.Context, old *tokenInfo) (*tokenInfo, error) {
	const act = "renewing the token at auth/token/renew-self"
	a, err := s.wire.write(ctx, act, old.token(), "auth/token/renew-self", nil)
	if err != nil {
		return nil, err
	}
	if a.status != 200 {
		return nil, statusError(act, a.status, loginErrors)
	}
	var decoded authAnswer
	if !a.decode(&decoded) {
		return nil, malformed(act)
	}
	lease := time.Duration(decoded.Auth.LeaseDuration) * time.Second
	return newTokenInfo(old.token(), s.now(), lease, old.initialLease, decoded.Auth.Renewable), nil
}

// login reads the credential and logs in with it. It records a failure, and when to try again.
func (s *session) login(ctx context.Context) (*tokenInfo, error) {
	fields, err := s.auth.credential()
	if err != nil {
		err = fmt.Errorf("vault: %s: %w", s.auth.act(), err)
	}
	var g *tokenInfo
	if err == nil {
		if s.auth.Method == "token" {
			g, err = s.lookUp(ctx, fields["token"])
		} else {
			g, err = s.logIn(ctx, fields)
		}
	}
	if err != nil {
		s.failure.record(s.auth, fields, err, s.now())
	}
	return g, err
}

// logIn sends the fields of a login request.
func (s *session) logIn(ctx context.Context, fields map[string]string) (*tokenInfo, error) {
	act := s.auth.act()
	answer, err := s.wire.write(ctx, act, "", s.auth.loginPath(), fields)
	if err != nil {
		return nil, err
	}
	if answer.status != 200 {
		return nil, refusedLogin(s.auth.Method, act, answer.status)
	}
	var decoded authAnswer
	if !answer.decode(&decoded) || decoded.Auth.ClientToken == "" {
		return nil, fmt.Errorf("vault: %s: the answer has no token in it", act)
	}
	if n := decoded.Auth.NumUses; n != 0 {
		// Vault would keep the token until its lease ends.
		_, _ = s.wire.write(ctx, "revoking the token", decoded.Auth.ClientToken, "auth/token/revoke-self", nil)
		return nil, limitedUses(act, n)
	}
	lease := time.Duration(decoded.Auth.LeaseDuration) * time.Second
	return newTokenInfo(decoded.Auth.ClientToken, s.now(), lease, lease, decoded.Auth.Renewable), nil
}

// lookUp is the login of method token. It checks the token and reads its lifetime. So a wrong token
// is a failed login, and a refused read with a valid token is the decision of a policy.
func (s *session) lookUp(ctx context.Context, token string) (*tokenInfo, error) {
	act := s.auth.act()
	a, err := s.wire.read(ctx, act, token, lookupPath, nil)
	if err != nil {
		return nil, err
	}
	if a.status != 200 {
		return nil, refusedLogin(s.auth.Method, act, a.status)
	}
	var decoded struct {
		Data *struct {
			TTL       int64 `json:"ttl"` // seconds; zero: none
			Renewable bool  `json:"renewable"`
			NumUses   int   `json:"num_uses"` // zero: no limit
		} `json:"data"`
	}
	if !a.decode(&decoded) || decoded.Data == nil {
		return nil, fmt.Errorf("vault: %s: the answer has no data about the token", act)
	}
	if n := decoded.Data.NumUses; n != 0 && !s.fewUses {
		return nil, limitedUses(act, n)
	}
	lease := time.Duration(decoded.Data.TTL) * time.Second
	return newTokenInfo(token, s.now(), lease, lease, decoded.Data.Renewable), nil
}
