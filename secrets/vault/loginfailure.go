package vault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/deskmint/deskmint/service/jitter"
)

const (
	// unreachablePause is the pause after a login that Vault didn't answer. Without it a thousand
	// secrets that are due would cause a thousand logins.
	unreachablePause = time.Second
	// firstRefusalPause is the pause after a login that Vault refused. It doubles up to
	// maxRefusalPause.
	firstRefusalPause = 5 * time.Second
	maxRefusalPause   = time.Minute
	// appRolePause is the pause after a refused AppRole login, and up to appRoleSpread is added.
	// Five refused logins lock the role for every replica that uses it. Vault's count begins again
	// after 15 minutes without a refused login, so one replica alone never locks the role.
	appRolePause  = 15*time.Minute + 30*time.Second
	appRoleSpread = 7 * time.Minute
)

// A loginRefusal is the error of a login that Vault answered, and that gave no usable token.
type loginRefusal struct {
	status int // of the answer
	error
}

// Unwrap returns the error without the status.
func (r *loginRefusal) Unwrap() error { return r.error }

// refusedLogin returns the error of a login with a status other than success.
func refusedLogin(method, act string, status int) error {
	table := loginErrors
	if method == "approle" {
		table = appRoleErrors
	}
	err := statusError(act, status, table)
	if tryNextServer(status) { // no server can serve it now
		return err
	}
	return &loginRefusal{status, err}
}

// limitedUses returns the error of a login with a token that can be used n times only. After the
// last use Vault answers 403, as if a policy had changed. A service that reads all the time can't
// distinguish the two, and would drop its keys.
func limitedUses(act string, n int) error {
	return &loginRefusal{http.StatusOK, fmt.Errorf("vault: %s: the token has a limit of uses (%d), and would then be "+
		"refused like one without permission: set token_num_uses of the role to 0, or use a token without a limit",
		act, n)}
}

// loginFailure is the last attempt to get a token, if it failed. The zero value means that it
// didn't. The failure is the answer to every request for a token until the next attempt.
type loginFailure struct {
	err       error
	retryAt   time.Time     // of the next attempt
	loginAt   time.Time     // of the next login, if that is later
	loginWait time.Duration // the pause that loginAt is the end of; zero: there is none
	refusals  int           // logins in a row that Vault refused
	refused   digest        // the credential of the last of them
}

// record stores the failure of a login with the given credential.
func (f *loginFailure) record(a Auth, fields map[string]string, err error, now time.Time) {
	f.err, f.retryAt, f.loginAt, f.loginWait = err, now.Add(unreachablePause), now, 0
	var refusal *loginRefusal
	if !errors.As(err, &refusal) {
		return
	}
	pause := min(firstRefusalPause<<min(f.refusals, 10), maxRefusalPause)
	f.retryAt = now.Add(jitter.Vary(pause))
	f.refusals++
	f.refused = digestOf(fields)
	if a.Method == "approle" && (refusal.status == http.StatusBadRequest || refusal.status == http.StatusForbidden) {
		f.loginWait = appRolePause + rand.N(appRoleSpread) //nolint:gosec // only jitter
		f.loginAt = now.Add(f.loginWait)
	}
}

// endWait lets the next attempt begin at once if force is set, or if the refused credential has
// been replaced.
func (f *loginFailure) endWait(a Auth, force bool) {
	if !force {
		if f.refusals == 0 {
			return
		}
		fields, err := a.credential()
		if err != nil || digestOf(fields) == f.refused {
			return
		}
	}
	f.retryAt, f.loginAt, f.refusals = time.Time{}, time.Time{}, 0
}

// waiting returns the failure if it is too early for another attempt.
func (f *loginFailure) waiting(now time.Time) error {
	if now.Before(f.retryAt) {
		return f.err
	}
	return nil
}

// loginWaiting returns the failure if it is too early for another login. It also delays the next
// attempt, because a renewal has just failed.
func (f *loginFailure) loginWaiting(now time.Time) error {
	if !now.Before(f.loginAt) {
		return nil
	}
	f.retryAt = now.Add(firstRefusalPause)
	return f.err
}
