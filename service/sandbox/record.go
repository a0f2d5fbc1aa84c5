package sandbox

import (
	"sync"
	"time"
)

// The maximum number of recorded sign-ins, and of their bytes as they were received. The oldest are
// deleted first. Sessions have the same maximum of bytes.
const (
	maxRecord      = 1000
	maxRecordBytes = 8 << 20
)

// SignIn is one request that the endpoint received, and its result. It doesn't contain the token.
// All callers share its maps, so don't modify them.
type SignIn struct {
	ID            int // 1, 2, …, in the order of the decisions
	Time          time.Time
	Brand         string // id
	Configuration string // the one with the secret of the signature; "" if there is none
	Outcome       Outcome
	Reason        Reason // "" when signed in
	Message       string // Zendesk's message; "" when signed in
	Detail        string // explains the violated rule to a developer
	ReturnTo      string // as received
	// Claims are the claims of the token. They are set only if its signature was verified. Numbers
	// are [encoding/json.Number].
	Claims map[string]any
	// JTI is the jti of the token, with which a caller can find its own sign-in. It is set even if
	// the token wasn't verified.
	JTI string
	// User is the ID of the user who was signed in, or 0 if the sign-in was refused. Created
	// reports whether the account created the user for this sign-in. Changes are the changes to the
	// user.
	User    int
	Created bool
	Changes []Change
	// Notes explain to a developer what Zendesk ignores without a message, and where Zendesk's
	// behaviour is unknown.
	Notes []string
	// Undocumented are the sorted names of claims that Zendesk doesn't document. They are ignored.
	Undocumented []string

	size int // bytes of the form
}

// Outcome is the result of a sign-in.
type Outcome string

// The outcomes.
const (
	OutcomeSignedIn Outcome = "signed_in"
	OutcomeRefused  Outcome = "refused"
)

// Reason is the rule that refused a sign-in. The rules are checked in this order.
type Reason string

// The reasons.
const (
	ReasonMethod      Reason = "method"       // the request isn't a POST
	ReasonNavigation  Reason = "navigation"   // a script or a server sent the request, not a browser's form
	ReasonTokenInURL  Reason = "token_in_url" // jwt is in the query
	ReasonContentType Reason = "content_type" // the content type isn't that of a form
	ReasonForm        Reason = "form"         // the form is too large, unreadable, or without exactly one jwt
	ReasonToken       Reason = "token"        // the token isn't a JWT
	ReasonHeader      Reason = "header"       // the header isn't {"typ":"JWT","alg":"HS256"}
	ReasonSignature   Reason = "signature"    // the signature matches none of the secrets
	ReasonIssueTime   Reason = "iat"          // iat is missing, not whole seconds, or too far off
	ReasonClaims      Reason = "claims"       // a claim is missing or invalid
	ReasonAudience    Reason = "audience"     // the configuration isn't assigned to users of this role
	ReasonReplay      Reason = "jti"          // the jti was used before
	ReasonBlocked     Reason = "block_list"   // the account's block list contains the address or its domain
	ReasonRateLimit   Reason = "rate_limit"   // there were too many sign-ins
)

// record holds the latest sign-ins. The zero value is ready to use.
type record struct {
	mu     sync.Mutex
	last   int // the latest id
	latest []SignIn
	bytes  int // of all of latest
}

// add sets the ID of the sign-in and records it.
func (r *record) add(s SignIn) SignIn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	s.ID = r.last
	r.latest, r.bytes = append(r.latest, s), r.bytes+s.size
	for len(r.latest) > maxRecord || r.bytes > maxRecordBytes {
		r.bytes -= r.latest[0].size
		r.latest = r.latest[1:]
	}
	return s
}

// forget deletes all sign-ins. Their IDs aren't used again.
func (r *record) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest, r.bytes = nil, 0
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

// SignIns returns the latest thousand requests that the endpoint received, oldest first. They
// include refused requests and requests with a wrong method.
func (s *Sandbox) SignIns() []SignIn { return s.signIns.all() }
