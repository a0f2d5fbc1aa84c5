package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Domain is that of every ErrorInfo.
const Domain = "deskmint"

// The reasons that an ErrorInfo can have, beside those of package policy.
const (
	reasonUnauthenticated  = "CALLER_UNAUTHENTICATED"
	reasonClientIP         = "CLIENT_IP_NOT_ALLOWED"
	reasonInvalidField     = "INVALID_FIELD"
	reasonInvalidRequest   = "INVALID_REQUEST"
	reasonNotResolved      = "CONFIGURATION_NOT_RESOLVED"
	reasonAmbiguous        = "CONFIGURATION_AMBIGUOUS"
	reasonVersionUnknown   = "SECRET_VERSION_UNKNOWN"
	reasonRateLimited      = "RATE_LIMITED"
	reasonLoop             = "SIGN_IN_LOOP"
	reasonDisabled         = "CONFIGURATION_DISABLED"
	reasonUnusable         = "SECRET_UNUSABLE"
	reasonUnavailable      = "SECRET_UNAVAILABLE"
	reasonAuditUnavailable = "AUDIT_UNAVAILABLE"
	reasonInternal         = "INTERNAL"
)

// reasons are all that there are.
func reasons() []string {
	return []string{
		reasonUnauthenticated, string(policy.CallerNotAllowed), string(policy.BrandNotAllowed), string(policy.RoleNotAllowed),
		string(policy.ClaimNotAllowed), string(policy.EmailNotAllowed), string(policy.ReturnToNotAllowed), reasonClientIP,
		reasonInvalidField, reasonInvalidRequest, reasonNotResolved, reasonAmbiguous, reasonVersionUnknown, reasonRateLimited,
		reasonLoop, reasonDisabled, reasonUnusable, reasonUnavailable, reasonAuditUnavailable, reasonInternal,
	}
}

// wording is what a reason looks like from outside. The message is a fixed
// sentence: nothing that a request brought, and no cause, ever gets into it.
type wording struct {
	code    codes.Code
	http    int
	message string
}

// wordingOf is the one table of errors, that of the API's documentation.
func wordingOf(reason string) wording {
	switch reason {
	case reasonUnauthenticated:
		return wording{codes.Unauthenticated, http.StatusUnauthorized, "The caller is not known. Send exactly one credential: an API key or a JWT as `Authorization: Bearer …`, or a client certificate."}
	case string(policy.CallerNotAllowed):
		return wording{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant for this action at this configuration, or there is no such configuration."}
	case string(policy.BrandNotAllowed):
		return wording{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant for this brand, or the configuration has no such brand."}
	case string(policy.RoleNotAllowed):
		return wording{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant that gives this role."}
	case string(policy.ClaimNotAllowed):
		return wording{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant for this claim or its value."}
	case string(policy.EmailNotAllowed):
		return wording{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant to sign this person in."}
	case string(policy.ReturnToNotAllowed):
		return wording{codes.PermissionDenied, http.StatusForbidden, "The person may not be sent to this return_to."}
	case reasonClientIP:
		return wording{codes.PermissionDenied, http.StatusForbidden, "The person's browser is outside the configuration's IP ranges."}
	case reasonInvalidField:
		return wording{codes.InvalidArgument, http.StatusBadRequest, "The request has invalid fields."}
	case reasonInvalidRequest:
		return wording{codes.InvalidArgument, http.StatusBadRequest, "This is not a request that the API knows."}
	case reasonNotResolved:
		return wording{codes.NotFound, http.StatusNotFound, "None of the caller's configurations serves this."}
	case reasonAmbiguous:
		return wording{codes.FailedPrecondition, http.StatusConflict, "Several of the caller's configurations or brands serve this."}
	case reasonVersionUnknown:
		return wording{codes.NotFound, http.StatusNotFound, "This version of the secret is not held."}
	case reasonRateLimited:
		return wording{codes.ResourceExhausted, http.StatusTooManyRequests, "There were too many requests; the metadata's limit says of what kind."}
	case reasonLoop:
		return wording{codes.FailedPrecondition, http.StatusConflict, "This browser came back to sign in too often."}
	case reasonDisabled:
		return wording{codes.Unavailable, http.StatusServiceUnavailable, "An operator has switched this configuration off."}
	case reasonUnusable:
		return wording{codes.Internal, http.StatusInternalServerError, "The configuration's secret can't be used; an operator must act."}
	case reasonUnavailable:
		return wording{codes.Unavailable, http.StatusServiceUnavailable, "The configuration's secret is not available at the moment."}
	case reasonAuditUnavailable:
		return wording{codes.Unavailable, http.StatusServiceUnavailable, "The decision can't be recorded, so nothing was signed."}
	}
	return wording{codes.Internal, http.StatusInternalServerError, "A fault of ours; it has been logged."}
}

// requestError is a request that can't be decoded, with a sentence that says what to do.
type requestError struct {
	code    codes.Code
	http    int
	message string
	fields  []zendesk.Fault
}

func (e *requestError) Error() string { return e.message }

// resolveError is a search that didn't end in exactly one configuration and brand.
type resolveError struct{ found int }

func (e *resolveError) Error() string { return fmt.Sprintf("%d configurations or brands", e.found) }

// refusal is an error as it goes out. It is made once, by [classify]. Record, log, metrics, page
// and status are made of it.
type refusal struct {
	reason   string // empty where the library's own status leaves, or the caller has gone
	code     codes.Code
	http     int
	message  string
	metadata map[string]string
	fields   []zendesk.Fault
	retry    time.Duration

	credential string        // what was wrong with the caller's credential
	ended      caller.Caller // whose identity has ended
	gone       bool          // the caller has gone, or its deadline has passed
	fault      bool          // ours, or the store's: an operator should know the cause
	logged     bool
	cause      error
	status     *status.Status // where the cause was one already
}

// Error implements error. It returns the message for callers; the cause is for the log.
func (r *refusal) Error() string { return r.message }

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.cause }

// classify says what an error is called outside.
func classify(err error) *refusal {
	r := &refusal{cause: err}
	if st, ok := status.FromError(err); ok && st != nil { // a library's, such as that a message ends too soon
		r.status, r.code, r.message, r.http = st, st.Code(), st.Message(), runtime.HTTPStatusFromCode(st.Code())
		r.gone = st.Code() == codes.Canceled || st.Code() == codes.DeadlineExceeded
		return r
	}
	// The caller's own end: no reason of ours, and the same at both transports.
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		r.code, r.message, r.gone = status.FromContextError(contextCause(err)).Code(), "The request was cancelled, or its deadline has passed.", true
		r.http = runtime.HTTPStatusFromCode(r.code)
		return r
	}
	r.explain(err)
	a := wordingOf(r.reason)
	r.code, r.http, r.message = a.code, a.http, a.message
	if request := (*requestError)(nil); errors.As(err, &request) {
		r.code, r.http, r.message = request.code, request.http, request.message
	}
	return r
}

// explain finds the reason, and what goes along with it.
func (r *refusal) explain(err error) {
	var (
		denied  *policy.DeniedError
		invalid *zendesk.InvalidError
		foreign *zendesk.ForeignError
		outside *zendesk.OutOfRangeError
		request *requestError
		version *signin.VersionUnknownError
		limited *policy.LimitedError
		loop    *signin.LoopError
		resolve *resolveError
		held    *secrets.UnavailableError
	)
	onField := func(f string) { r.metadata = map[string]string{"field": f} }
	switch {
	case errors.As(err, &request):
		r.reason, r.fields = reasonInvalidRequest, request.fields
	case credentialFault(err) != "":
		r.explainCredential(err)
	case errors.As(err, &denied):
		r.reason = string(denied.Reason)
		if denied.Field == "" {
			return
		}
		why := "is not covered by a grant of the caller"
		if denied.Reason == policy.RoleNotAllowed {
			why += "; left out, it needs one with the role unset"
		}
		onField(denied.Field)
		r.fields = []zendesk.Fault{{Field: denied.Field, Description: why}}
	case errors.As(err, &invalid):
		r.reason, r.fields = reasonInvalidField, invalid.Faults
	case errors.As(err, &foreign):
		onField("return_to")
		r.reason, r.fields = string(policy.ReturnToNotAllowed), []zendesk.Fault{{Field: "return_to", Description: foreign.Fault}}
	case errors.As(err, &outside):
		onField("client_ip")
		r.reason = reasonClientIP
	case errors.As(err, &version):
		onField("secret_version")
		r.reason = reasonVersionUnknown
	case errors.As(err, &limited):
		r.reason, r.metadata, r.retry = reasonRateLimited, map[string]string{"limit": limited.Limit}, limited.Wait
	case errors.As(err, &loop):
		r.reason, r.retry = reasonLoop, loop.Wait
	case errors.As(err, &resolve) && resolve.found == 0:
		r.reason = reasonNotResolved
	case errors.As(err, &resolve):
		r.reason = reasonAmbiguous
	case errors.As(err, &held):
		r.reason, r.retry, r.fault = reasonUnavailable, held.RetryAfter, true
	case errors.Is(err, secrets.ErrDisabled):
		r.reason = reasonDisabled
	case isUnusable(err):
		r.reason, r.fault = reasonUnusable, true
	case errors.Is(err, audit.ErrUnavailable):
		r.reason, r.retry, r.fault = reasonAuditUnavailable, time.Second, true
	default:
		r.reason, r.fault = reasonInternal, true
	}
}

func isUnusable(err error) bool {
	return errors.Is(err, secrets.ErrUnusable) || errors.Is(err, secrets.ErrNotFound) ||
		errors.Is(err, secrets.ErrDeleted) || errors.Is(err, secrets.ErrDenied)
}

// explainCredential is never a fault for the log. That an issuer is away is one, but its key set
// logs it, once a fetch: strangers can make any number of requests.
func (r *refusal) explainCredential(err error) {
	r.credential = credentialFault(err)
	r.reason, r.metadata, r.ended = reasonUnauthenticated, map[string]string{"credential": r.credential}, endedCaller(err)
	if errors.Is(err, caller.ErrIssuerUnavailable) {
		r.retry = 5 * time.Second // no sooner is it asked again
	}
}

// credentialFault is the word in the metadata for what is wrong with a credential;
// empty: the error is another.
func credentialFault(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{caller.ErrMissing, "missing"}, {caller.ErrMalformed, "malformed"}, {caller.ErrSeveral, "several"},
		{caller.ErrUnknown, "unknown"}, {caller.ErrAmbiguous, "ambiguous"}, {caller.ErrUnverified, "unverified"},
		{caller.ErrAudience, "wrong_audience"}, {caller.ErrExpired, "expired"}, {caller.ErrNotYetValid, "not_yet_valid"},
		{caller.ErrIssuerUnavailable, "issuer_unavailable"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return ""
}

// maxViolations keeps an error small enough for gRPC, where it travels in a trailer
// that many clients cap at 8 KiB.
const maxViolations = 25

// violations are the fields at fault, as far as there is room.
func (r *refusal) violations() []zendesk.Fault {
	if len(r.fields) <= maxViolations {
		return r.fields
	}
	fields := slices.Clone(r.fields[:maxViolations+1])
	fields[maxViolations].Description = fmt.Sprintf("is at fault, and %d more fields are", len(r.fields)-maxViolations)
	return fields
}

// GRPCStatus makes the status that leaves over gRPC. Package status of grpc-go looks for it.
func (r *refusal) GRPCStatus() *status.Status {
	if r.status != nil {
		return r.status
	}
	if r.reason == "" {
		return status.New(r.code, r.message)
	}
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: Domain, Reason: r.reason, Metadata: r.metadata}}
	if len(r.fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, f := range r.violations() {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: f.Field, Description: f.Description})
		}
		details = append(details, bad)
	}
	if r.retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.retry)})
	}
	st, err := status.New(r.code, r.message).WithDetails(details...)
	if err != nil {
		return status.New(codes.Internal, wordingOf(reasonInternal).message)
	}
	return st
}

// contextCause is the bare error, for status.FromContextError, which doesn't unwrap.
func contextCause(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return context.Canceled
}
