package sandbox

import (
	"sync"
	"time"
)

// maxRecord is how many sign-ins are remembered; the oldest go first.
const maxRecord = 1000

// SignIn is one request that the endpoint received, and what became of it. The token itself is not
// kept. Its maps are shared by everybody who asked: they are for reading.
type SignIn struct {
	ID            int // 1, 2, …, in the order in which they were decided
	Time          time.Time
	Brand         string // id
	Configuration string // whose secret made the signature; "" if none did
	Outcome       Outcome
	Reason        Reason // "" when signed in
	Message       string // what Zendesk says; "" when signed in
	Detail        string // which rule refused, in words for a developer
	ReturnTo      string // as received
	// Claims are the token's, only once its signature was verified. Numbers are
	// [encoding/json.Number].
	Claims map[string]any
	// JTI is the token's, for finding one's own sign-in again: it is here even when nothing of the
	// token was verified.
	JTI string
	// User is the id of who was signed in, 0 for nobody; Created, whether the account made them for
	// this sign-in; Changes, what it changed of them.
	User    int
	Created bool
	Changes []Change
	// Notes say what Zendesk passes over in silence, and where the sandbox had to choose, in words
	// for a developer.
	Notes []string
	// Undocumented are the names of claims that Zendesk says nothing of, sorted. They are ignored.
	Undocumented []string
}

// Outcome is what became of a sign-in.
type Outcome string

// The outcomes.
const (
	OutcomeSignedIn Outcome = "signed_in"
	OutcomeRefused  Outcome = "refused"
)

// Reason is the rule that refused a sign-in. The rules are tried in this order.
type Reason string

// The reasons.
const (
	ReasonMethod      Reason = "method"       // not a POST
	ReasonNavigation  Reason = "navigation"   // sent by a script or a server, and not by a browser's form
	ReasonTokenInURL  Reason = "token_in_url" // jwt in the query
	ReasonContentType Reason = "content_type" // not what a form sends
	ReasonForm        Reason = "form"         // too large, unreadable, or without exactly one jwt
	ReasonToken       Reason = "token"        // not a JWT
	ReasonHeader      Reason = "header"       // not {"typ":"JWT","alg":"HS256"}
	ReasonSignature   Reason = "signature"    // made with none of the secrets
	ReasonIssueTime   Reason = "iat"          // missing, not whole seconds, or too far off
	ReasonClaims      Reason = "claims"       // one is missing or of another type
	ReasonAudience    Reason = "audience"     // the configuration isn't assigned to such users
	ReasonReplay      Reason = "jti"          // used before
	ReasonBlocked     Reason = "block_list"   // of the account
	ReasonRateLimit   Reason = "rate_limit"   // too many sign-ins
)

// record keeps the latest sign-ins. The zero value is ready.
type record struct {
	mu     sync.Mutex
	last   int // the latest id
	latest []SignIn
}

// add gives the sign-in its id and keeps it.
func (r *record) add(s SignIn) SignIn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	s.ID = r.last
	if len(r.latest) == maxRecord {
		r.latest = r.latest[1:]
	}
	r.latest = append(r.latest, s)
	return s
}

func (r *record) all() []SignIn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]SignIn(nil), r.latest...)
}

func (r *record) find(id int) (SignIn, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.last - len(r.latest) + 1
	if id < first || id > r.last {
		return SignIn{}, false
	}
	return r.latest[id-first], true
}

// SignIns returns what the endpoint received, oldest first: the latest thousand requests, refused
// ones and wrong methods included.
func (s *Sandbox) SignIns() []SignIn { return s.signIns.all() }
