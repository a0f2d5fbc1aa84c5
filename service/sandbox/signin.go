package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/deskmint/deskmint/service/sandbox/internal/jwt"
)

const (
	maxBody     = 64 << 10 // bytes of a form
	maxReturnTo = 2048     // bytes
	// signInHeader is the header of an answer with the ID of its recorded sign-in.
	signInHeader = "Sandbox-Sign-In"
)

// The messages that Zendesk was observed to answer with. There is no official list.
const (
	messageSignature = "JWT signature invalid. The signature cannot be verified, check that your tokens match."
	messageIssueTime = "Invalid iat parameter. " +
		"The supplied iat value is more than 3 minutes off, check your server clock."
	messageReplay   = "The unique user identifier has been reused."
	messageInvalid  = "invalid_token"
	messageAudience = "Couldn't authenticate you"
	messageBlocked  = "Users with the email address %s are not allowed to sign up for this help desk"
	// Zendesk's wording of this message isn't known.
	messageRateLimit = "Too many sign-in attempts: the rate limit was exceeded."
)

// refusal describes why a POST doesn't sign the user in.
type refusal struct {
	status  int // of the answer; 200 for an invalid token, as at Zendesk
	reason  Reason
	message string // in Zendesk's words
	detail  string // explains the rule to a developer; contains no value of a claim
}

// refuse returns the refusal of a token.
func refuse(reason Reason, message, detail string) *refusal {
	return &refusal{http.StatusOK, reason, message, detail}
}

// signIn serves the endpoint. It records every request, whatever its method.
func (s *Sandbox) signIn(w http.ResponseWriter, r *http.Request, at site) {
	attempt := SignIn{Time: s.now(), Brand: at.ID, Outcome: OutcomeSignedIn}
	refused := s.check(w, r, &attempt)
	if refused != nil {
		attempt.Outcome = OutcomeRefused
		attempt.Reason, attempt.Message, attempt.Detail = refused.reason, refused.message, refused.detail
	}
	attempt = s.signIns.add(attempt)
	w.Header().Set(signInHeader, strconv.Itoa(attempt.ID))
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "sandbox sign-in",
		slog.Int("id", attempt.ID),
		slog.String("brand", attempt.Brand),
		slog.String("configuration", attempt.Configuration),
		slog.String("outcome", string(attempt.Outcome)),
		slog.String("reason", string(attempt.Reason)),
	)
	switch {
	case refused == nil:
		http.SetCookie(w, s.sessions.open(attempt, at, r.TLS != nil))
		target, _ := s.destination(attempt.ReturnTo)
		s.redirect(w, s.locate(at, target))
	case refused.status == http.StatusOK:
		s.redirect(w, origin(r)+at.base+refusalPath(attempt.ID))
	default:
		// Signing in again doesn't help here, so the answer is an error page.
		if refused.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		s.writePage(w, refused.status, "refusal", refusalView{s.frame(at), attempt, s.explain(attempt)})
	}
}

// check checks the request against the rules and records the results in attempt. It returns nil if
// the user may be signed in.
func (s *Sandbox) check(w http.ResponseWriter, r *http.Request, attempt *SignIn) *refusal {
	form, refused := s.readForm(w, r)
	if refused != nil {
		return refused
	}
	attempt.ReturnTo, attempt.size = form.returnTo, len(form.jwt)+len(form.returnTo)
	token, err := jwt.Parse(form.jwt)
	if err != nil {
		return refuse(ReasonToken, messageInvalid, err.Error())
	}
	if err := token.CheckHeader(); err != nil {
		// Zendesk was observed to report this as an invalid signature.
		return refuse(ReasonHeader, messageSignature, err.Error())
	}
	decoded, err := token.Claims()
	attempt.JTI = claims(decoded).text("jti")
	signers := s.configurationsOfSigner(token, attempt.Brand)
	if len(signers) == 0 {
		if owner, ok := s.configurationOfRetiredSecret(token, attempt.Brand); ok {
			attempt.Configuration = owner.Name
			return refuse(ReasonSignature, messageSignature,
				"the signature was made with a secret that has been reset since")
		}
		return refuse(ReasonSignature, messageSignature,
			"no configuration of this brand has the secret that made the signature")
	}
	attempt.Configuration = signers[0].Name
	if err != nil {
		return refuse(ReasonToken, messageInvalid, fmt.Sprintf("the claims are not a JSON object: %v", err))
	}
	attempt.Claims = decoded
	return s.checkClaims(decoded, signers, attempt)
}

// checkClaims checks the claims of a token that at least one configuration has signed. It checks
// jti last, because a refused token doesn't count as used.
func (s *Sandbox) checkClaims(c claims, signers []Configuration, attempt *SignIn) *refusal {
	attempt.Undocumented = c.undocumented()
	if refused := c.checkIssueTime(attempt.Time); refused != nil {
		return refused
	}
	if integer(c["iat"]) != "" {
		attempt.Notes = append(attempt.Notes,
			"iat has a fraction or an exponent: Zendesk accepts that, but documents whole seconds")
	}
	c, nulls := c.withoutNulls()
	attempt.Notes = append(attempt.Notes, nulls...)
	if refused := c.check(); refused != nil {
		return refused
	}
	faults := s.Faults()
	matching := slices.IndexFunc(signers, func(signer Configuration) bool {
		audience := c.audience()
		if slices.Contains(faults.Unassigned, signer.Name) {
			return false
		}
		return audience == "" && len(signer.Audiences) > 0 || slices.Contains(signer.Audiences, audience)
	})
	if matching < 0 {
		return refuse(ReasonAudience, messageAudience, "the configuration is not assigned to users of this role")
	}
	attempt.Configuration = signers[matching].Name
	if faults.blocks(c.text("email")) {
		return refuse(ReasonBlocked, fmt.Sprintf(messageBlocked, c.text("email")),
			"the address or its domain is on the account's block list")
	}
	if faults.RateLimited {
		return refuse(ReasonRateLimit, messageRateLimit, "there were too many sign-ins")
	}
	if !s.used.claim(c.text("jti"), attempt.Time) {
		return refuse(ReasonReplay, messageReplay, "a token with this jti has already signed a user in")
	}
	if _, valid := s.destination(attempt.ReturnTo); !valid {
		attempt.Notes = append(attempt.Notes,
			"return_to was ignored: it is neither a path nor an http or https URL of one of the account's hosts")
	}
	s.users.signIn(c, signers[matching], s.options.MultipleOrganizations, attempt)
	return nil
}

// configurationsOfSigner returns the brand's configurations whose secret made the token's
// signature. It checks all configurations, because a token doesn't name one. Zendesk must do the
// same.
func (s *Sandbox) configurationsOfSigner(token jwt.Token, brand string) []Configuration {
	var signers []Configuration
	for _, configuration := range s.configurationsOf(brand) {
		if token.Verify(s.secretOf(configuration)) {
			signers = append(signers, configuration)
		}
	}
	return signers
}

type form struct{ jwt, returnTo string }

// readForm reads the fields of a form. It refuses requests that a browser's form wouldn't send.
func (s *Sandbox) readForm(w http.ResponseWriter, r *http.Request) (form, *refusal) {
	fail := func(status int, reason Reason, detail string) (form, *refusal) {
		return form{}, &refusal{status, reason, messageInvalid, detail}
	}
	if r.Method != http.MethodPost {
		return fail(http.StatusMethodNotAllowed, ReasonMethod,
			"the token must be sent with POST, from a form; "+
				"GET is deprecated, because it leaves the token in histories and logs")
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
			"the content type must be application/x-www-form-urlencoded, as a form sends it; JSON is refused")
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
	// Zendesk also accepts return_to in the query, where its own samples put it.
	return form{r.PostForm.Get("jwt"), r.Form.Get("return_to")}, nil
}

// notNavigation returns why a browser's form can't have sent the request, or "" if it can. Zendesk
// answers scripts without CORS headers, so that a script can't read the answer and gets no cookie.
// It answers servers with 403. Browsers send Sec-Fetch-Site with every Sec-Fetch-Mode. The fetch of
// Node, which is a server, sends only the latter.
func (s *Sandbox) notNavigation(h http.Header) string {
	mode := h.Get("Sec-Fetch-Mode")
	byBrowser := h.Get("Sec-Fetch-Site") != ""
	switch {
	case byBrowser && mode != "navigate", h.Get("X-Requested-With") != "":
		return "the token must come from a form that the browser submits; a script's fetch or XMLHttpRequest is refused"
	case mode != "navigate" && s.options.BrowsersOnly:
		return "the token must come from the user's own browser, because the answer sets its cookies; " +
			"a server's request is refused"
	}
	return ""
}

// destination returns the target after a sign-in. It is return_to if that is a path or a URL with
// one of the account's hosts, and the home page otherwise. valid reports whether return_to was
// valid or empty. Hosts are compared as a whole, without the port.
func (s *Sandbox) destination(returnTo string) (target string, valid bool) {
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
	_, known := s.returnHosts[u.Hostname()]
	absolute := (u.Scheme == "https" || u.Scheme == "http") && known
	if !relative && !absolute {
		return "/", false
	}
	return returnTo, true
}

// unsafeInURL reports whether a character is unsafe in a URL. These are all characters except
// printable ASCII, and the backslash, which browsers treat as a slash.
func unsafeInURL(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }

// origin returns the sandbox's origin, as in the URL of the request.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
