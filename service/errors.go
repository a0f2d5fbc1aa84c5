package service

import (
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
	"github.com/deskmint/deskmint/service/zendesk"
)

// The reasons of errors, with those of the packages policy and transport.
const (
	reasonUnauthenticated  = "CALLER_UNAUTHENTICATED"
	reasonClientIP         = "CLIENT_IP_NOT_ALLOWED"
	reasonNotResolved      = "CONFIGURATION_NOT_RESOLVED"
	reasonAmbiguous        = "CONFIGURATION_AMBIGUOUS"
	reasonVersionUnknown   = "SECRET_VERSION_UNKNOWN"
	reasonRateLimited      = "RATE_LIMITED"
	reasonLoop             = "SIGN_IN_LOOP"
	reasonDisabled         = "CONFIGURATION_DISABLED"
	reasonUnusable         = "SECRET_UNUSABLE"
	reasonUnavailable      = "SECRET_UNAVAILABLE"
	reasonAuditUnavailable = "AUDIT_UNAVAILABLE"
)

// wording is how callers see a reason. The message is a fixed sentence. Nothing of a request and no
// cause gets into it.
type wording struct {
	code    codes.Code
	http    int
	message string
}

// wordingOf is the table of errors in the API's documentation, without those of package transport.
func wordingOf(reason string) wording {
	forbidden := func(message string) wording {
		return wording{codes.PermissionDenied, http.StatusForbidden, message}
	}
	unavailable := func(message string) wording {
		return wording{codes.Unavailable, http.StatusServiceUnavailable, message}
	}
	switch reason {
	case reasonUnauthenticated:
		return wording{codes.Unauthenticated, http.StatusUnauthorized, "The caller is not known. Send exactly one " +
			"credential: an API key or a JWT as `Authorization: Bearer …`, or a client certificate."}
	case string(policy.CallerNotAllowed):
		return forbidden("The caller has no grant for this action at this configuration, or there is no such " +
			"configuration.")
	case string(policy.BrandNotAllowed):
		return forbidden("The caller has no grant for this brand, or the configuration has no such brand.")
	case string(policy.RoleNotAllowed):
		return forbidden("The caller has no grant that gives this role.")
	case string(policy.ClaimNotAllowed):
		return forbidden("The caller has no grant for this claim or its value.")
	case string(policy.EmailNotAllowed):
		return forbidden("The caller has no grant to sign this person in.")
	case string(policy.ReturnToNotAllowed):
		return forbidden("The person may not be sent to this return_to.")
	case reasonClientIP:
		return forbidden("The person's browser is outside the configuration's IP ranges.")
	case reasonNotResolved:
		return wording{codes.NotFound, http.StatusNotFound, "None of the caller's configurations serves this."}
	case reasonAmbiguous:
		return wording{codes.FailedPrecondition, http.StatusConflict, "Several of the caller's configurations or " +
			"brands serve this: send a field that chooses one."}
	case reasonVersionUnknown:
		return wording{codes.NotFound, http.StatusNotFound, "This version of the secret is not held."}
	case reasonRateLimited:
		return wording{codes.ResourceExhausted, http.StatusTooManyRequests, "There were too many requests; the " +
			"metadata's limit says of what kind."}
	case reasonLoop:
		return wording{codes.FailedPrecondition, http.StatusConflict, "This browser came back to sign in too often."}
	case reasonDisabled:
		return unavailable("An operator has switched this configuration off.")
	case reasonUnusable:
		return wording{codes.Internal, http.StatusInternalServerError, "The configuration's secret can't be used; an " +
			"operator must act."}
	case reasonUnavailable:
		return unavailable("The configuration's secret is not available at the moment.")
	case reasonAuditUnavailable:
		return unavailable("The decision can't be recorded, so nothing was signed.")
	}
	return wording{codes.Internal, http.StatusInternalServerError, transport.Internal().Message}
}

// refusal is a classified error. Record, log, metrics, page and status are made of it, and nothing
// else reads the cause.
type refusal struct {
	transport.Refusal

	credential string        // what is wrong with the caller's credential
	ended      caller.Caller // the caller whose identity has ended
	fault      bool          // of ours or of the store: an operator should know the cause
	logged     bool
	cause      error
}

// classify makes the refusal of an error.
func classify(err error) *refusal {
	r := &refusal{cause: err}
	if known, ok := transport.Known(err); ok {
		r.Refusal = *known
		return r
	}
	r.explain(err)
	if r.Code == codes.OK {
		w := wordingOf(r.Reason)
		r.Code, r.HTTP, r.Message = w.code, w.http, w.message
	}
	return r
}

// explain finds the reason of an error, and its details.
func (r *refusal) explain(err error) {
	var (
		denied  *policy.DeniedError
		invalid *zendesk.InvalidError
		foreign *zendesk.ForeignError
		outside *zendesk.OutOfRangeError
		version *signin.VersionUnknownError
		limited *policy.LimitedError
		loop    *signin.LoopError
		resolve *resolveError
		held    *secrets.UnavailableError
	)
	switch {
	case credentialFault(err) != "":
		r.explainCredential(err)
	case errors.As(err, &denied):
		r.explainDenial(denied)
	case errors.As(err, &invalid):
		r.Refusal = *transport.InvalidField(wireViolations(invalid.Violations)...)
	case errors.As(err, &foreign):
		r.Reason = string(policy.ReturnToNotAllowed)
		r.Metadata = onField("return_to")
		r.Violations = []transport.Violation{{Field: "return_to", Description: foreign.Description}}
	case errors.As(err, &outside):
		r.Reason, r.Metadata = reasonClientIP, onField("client_ip")
	case errors.As(err, &version):
		r.Reason, r.Metadata = reasonVersionUnknown, onField("secret_version")
	case errors.As(err, &limited):
		r.Reason, r.Metadata, r.Retry = reasonRateLimited, map[string]string{"limit": limited.Limit}, limited.Wait
	case errors.As(err, &loop):
		r.Reason, r.Retry = reasonLoop, loop.Wait
	case errors.As(err, &resolve):
		r.explainResolve(resolve)
	case errors.As(err, &held):
		r.Reason, r.Retry, r.fault = reasonUnavailable, held.RetryAfter, true
	case errors.Is(err, secrets.ErrDisabled):
		r.Reason = reasonDisabled
	case secrets.IsUnusable(err):
		r.Reason, r.fault = reasonUnusable, true
	case errors.Is(err, audit.ErrUnavailable):
		r.Reason, r.Retry, r.fault = reasonAuditUnavailable, time.Second, true
	default:
		r.Refusal, r.fault = *transport.Internal(), true
	}
}

func onField(name string) map[string]string { return map[string]string{"field": name} }

func wireViolations(found []zendesk.Violation) []transport.Violation {
	all := make([]transport.Violation, len(found))
	for i, v := range found {
		all[i] = transport.Violation(v)
	}
	return all
}

func (r *refusal) explainDenial(denied *policy.DeniedError) {
	r.Reason = string(denied.Reason)
	if denied.Field == "" {
		return
	}
	why := "is not covered by a grant of the caller"
	if denied.Reason == policy.RoleNotAllowed {
		why += ". A request without a role needs a grant that has the role unset"
	}
	r.Metadata = onField(denied.Field)
	r.Violations = []transport.Violation{{Field: denied.Field, Description: why}}
}

// explainCredential makes no fault for the log, because strangers can send any number of requests.
// The key set of an issuer logs that the issuer is away, once a fetch.
func (r *refusal) explainCredential(err error) {
	r.credential = credentialFault(err)
	r.Reason, r.Metadata = reasonUnauthenticated, map[string]string{"credential": r.credential}
	if ended := (*caller.EndedError)(nil); errors.As(err, &ended) {
		r.ended = ended.Caller
	}
	if errors.Is(err, caller.ErrIssuerUnavailable) {
		r.Retry = 5 * time.Second // until the keys are fetched again
	}
}

// credentialFault returns the word in the metadata for what is wrong with a credential, or "" for
// another error.
func credentialFault(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{caller.ErrMissing, "missing"}, {caller.ErrMalformed, "malformed"}, {caller.ErrSeveral, "several"},
		{caller.ErrUnknown, "unknown"}, {caller.ErrAmbiguous, "ambiguous"}, {caller.ErrUnverified, "unverified"},
		{caller.ErrAudience, "wrong_audience"}, {caller.ErrExpired, "expired"},
		{caller.ErrNotYetValid, "not_yet_valid"}, {caller.ErrIssuerUnavailable, "issuer_unavailable"},
		{caller.ErrWeakKey, "weak_key"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return ""
}
