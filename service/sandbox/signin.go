package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	maxBody     = 64 << 10 // bytes of a form
	maxReturnTo = 2048     // bytes
)

// The texts Zendesk has been seen to answer with. There is no official list.
const (
	messageSignature = "JWT signature invalid. The signature cannot be verified, check that your tokens match."
	messageIssueTime = "Invalid iat parameter. The supplied iat value is more than 3 minutes off, check your server clock."
	messageReplay    = "The unique user identifier has been reused."
	messageInvalid   = "invalid_token"
	messageAudience  = "Couldn't authenticate you"
	messageBlocked   = "Users with the email address %s are not allowed to sign up for this help desk"
	// Of this one only the kind is known: the words are ours.
	messageRateLimit = "Too many sign-in attempts: the rate limit was exceeded."
)

// refusal is why a POST signs nobody in.
type refusal struct {
	status  int // of the answer; 200 for what is wrong with a token, as at Zendesk
	reason  Reason
	message string // as Zendesk words it
	detail  string // which rule, for the developer; holds no claim's value
}

// refuse makes the refusal of a token.
func refuse(reason Reason, message, detail string) *refusal {
	return &refusal{http.StatusOK, reason, message, detail}
}

// signIn answers the endpoint. Every request to it is recorded, whatever its method.
func (s *Sandbox) signIn(w http.ResponseWriter, r *http.Request, brand Brand) {
	attempt := SignIn{Time: s.now(), Brand: brand.ID, Outcome: OutcomeSignedIn}
	refused := s.judge(w, r, &attempt)
	if refused != nil {
		attempt.Outcome = OutcomeRefused
		attempt.Reason, attempt.Message, attempt.Detail = refused.reason, refused.message, refused.detail
	}
	attempt = s.signIns.add(attempt)
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "sandbox sign-in",
		slog.Int("id", attempt.ID), slog.String("brand", attempt.Brand), slog.String("configuration", attempt.Configuration),
		slog.String("outcome", string(attempt.Outcome)), slog.String("reason", string(attempt.Reason)))
	switch {
	case refused == nil:
		http.SetCookie(w, s.sessions.open(attempt, r.TLS != nil))
		target, _ := s.destination(attempt.ReturnTo)
		s.redirect(w, target)
	case refused.status == http.StatusOK:
		s.redirect(w, origin(r)+refusalPath(attempt.ID))
	default:
		// Not something a token's owner could mend by signing in again, so it is said at once.
		if refused.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		s.writePage(w, refused.status, "refusal", refusalView{s.frame(brand), attempt, s.explain(attempt)})
	}
}

// judge takes the request through the rules, from the outer to the inner ones, and notes in attempt
// what it learns. nil signs the user in.
func (s *Sandbox) judge(w http.ResponseWriter, r *http.Request, attempt *SignIn) *refusal {
	form, refused := s.readForm(w, r)
	if refused != nil {
		return refused
	}
	attempt.ReturnTo = form.returnTo
	token, err := parseToken(form.jwt)
	if err != nil {
		return refuse(ReasonToken, messageInvalid, err.Error())
	}
	if err := token.checkHeader(); err != nil {
		// Zendesk has been seen to call this a fault of the signature.
		return refuse(ReasonHeader, messageSignature, err.Error())
	}
	decoded, err := decodeObject(token.claims)
	attempt.JTI = claims(decoded).text("jti")
	signers := s.signersOf(token, attempt.Brand)
	if len(signers) == 0 {
		if was, ok := s.retiredSigner(token, attempt.Brand); ok {
			attempt.Configuration = was.Name
			return refuse(ReasonSignature, messageSignature, "the signature was made with a secret that has been reset since")
		}
		return refuse(ReasonSignature, messageSignature, "no configuration of this brand has the secret that made the signature")
	}
	attempt.Configuration = signers[0].Name
	if err != nil {
		return refuse(ReasonToken, messageInvalid, fmt.Sprintf("the claims are not a JSON object: %v", err))
	}
	attempt.Claims = decoded
	return s.judgeClaims(decoded, signers, attempt)
}

// judgeClaims judges the claims of a token that one or more configurations have signed. jti comes
// last: a token that was refused hasn't been used.
func (s *Sandbox) judgeClaims(c claims, signers []Configuration, attempt *SignIn) *refusal {
	attempt.Undocumented = c.undocumented()
	if refused := c.checkIssueTime(attempt.Time); refused != nil {
		return refused
	}
	if refused := c.check(); refused != nil {
		return refused
	}
	faults := s.Faults()
	fitting := slices.IndexFunc(signers, func(signer Configuration) bool {
		audience := c.audience()
		if slices.Contains(faults.Unassigned, signer.Name) {
			return false
		}
		return audience == "" && len(signer.Audiences) > 0 || slices.Contains(signer.Audiences, audience)
	})
	if fitting < 0 {
		return refuse(ReasonAudience, messageAudience, "the configuration is not assigned to users of this role")
	}
	attempt.Configuration = signers[fitting].Name
	if faults.blocks(c.text("email")) {
		return refuse(ReasonBlocked, fmt.Sprintf(messageBlocked, c.text("email")), "the address or its domain is on the account's block list")
	}
	if faults.RateLimited {
		return refuse(ReasonRateLimit, messageRateLimit, "there were too many sign-ins")
	}
	if !s.used.claim(c.text("jti"), attempt.Time) {
		return refuse(ReasonReplay, messageReplay, "a token with this jti has signed somebody in already")
	}
	if _, fits := s.destination(attempt.ReturnTo); !fits {
		attempt.Notes = append(attempt.Notes, "return_to was left aside: it is no path, and no http or https URL of the account's hosts")
	}
	s.users.signIn(c, signers[fitting], s.options.MultipleOrganizations, attempt)
	return nil
}

// signersOf returns the brand's configurations whose secret made the token's signature. A token
// names none, so all are tried; that is how Zendesk must do it too.
func (s *Sandbox) signersOf(token token, brand string) []Configuration {
	var signers []Configuration
	for _, configuration := range s.at(brand) {
		if token.verify(s.secretOf(configuration)) {
			signers = append(signers, configuration)
		}
	}
	return signers
}

type form struct{ jwt, returnTo string }

// readForm takes the fields from a request that a browser's form would send, and from no other.
func (s *Sandbox) readForm(w http.ResponseWriter, r *http.Request) (form, *refusal) {
	fail := func(status int, reason Reason, detail string) (form, *refusal) {
		return form{}, &refusal{status, reason, messageInvalid, detail}
	}
	if r.Method != http.MethodPost {
		return fail(http.StatusMethodNotAllowed, ReasonMethod,
			"the token must be sent with POST, from a form; GET is deprecated, because it leaves the token in histories and logs")
	}
	if detail := s.notNavigation(r.Header); detail != "" {
		return fail(http.StatusForbidden, ReasonNavigation, detail)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fail(http.StatusBadRequest, ReasonForm, "the query can't be read")
	}
	if query.Has("jwt") {
		return fail(http.StatusBadRequest, ReasonTokenInURL, "the token must be in the body, never in the URL")
	}
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != "application/x-www-form-urlencoded" {
		return fail(http.StatusUnsupportedMediaType, ReasonContentType,
			"the content type must be application/x-www-form-urlencoded, as a form sends it; JSON is not taken")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return fail(http.StatusRequestEntityTooLarge, ReasonForm, "the form is too large")
		}
		return fail(http.StatusBadRequest, ReasonForm, "the form can't be read")
	}
	if tokens := r.PostForm["jwt"]; len(tokens) != 1 || tokens[0] == "" {
		return fail(http.StatusBadRequest, ReasonForm, "the form must have exactly one field jwt")
	}
	// Zendesk takes return_to from the query as well: its own samples put it into the form's
	// action.
	return form{r.PostForm.Get("jwt"), r.Form.Get("return_to")}, nil
}

// notNavigation says why the request is not a form's of a browser, "" if it may be one. Zendesk
// answers scripts without CORS, so that they learn nothing and have no cookie, and servers with
// 403.
func (s *Sandbox) notNavigation(h http.Header) string {
	switch mode := h.Get("Sec-Fetch-Mode"); {
	case mode != "" && mode != "navigate", h.Get("X-Requested-With") != "":
		return "the token must come from a form that the browser submits; a script's fetch or XMLHttpRequest is not taken"
	case mode == "" && s.options.BrowsersOnly:
		return "the token must come from the user's own browser, since the answer sets its cookies; a server's request is not taken"
	}
	return ""
}

// destination is where the user goes after a sign-in: return_to, if it is a path or on one of the
// account's hosts, else the home page; fits is whether return_to was followed, or absent. Hosts are
// compared whole, whatever the port.
func (s *Sandbox) destination(returnTo string) (target string, fits bool) {
	if returnTo == "" {
		return "/", true
	}
	if len(returnTo) > maxReturnTo || strings.ContainsFunc(returnTo, unsafeInURL) {
		return "/", false
	}
	u, err := url.Parse(returnTo)
	if err != nil || u.User != nil {
		return "/", false
	}
	relative := strings.HasPrefix(returnTo, "/") && !strings.HasPrefix(returnTo, "//")
	absolute := (u.Scheme == "https" || u.Scheme == "http") && s.known[u.Hostname()]
	if !relative && !absolute {
		return "/", false
	}
	return returnTo, true
}

// unsafeInURL is everything that isn't printable ASCII, and the backslash, which browsers take for
// a slash.
func unsafeInURL(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }

// origin is the sandbox's own, as the request reached it.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
