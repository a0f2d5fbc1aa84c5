package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/policy"
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

// answer is what a reason looks like from outside. The message is a fixed
// sentence: nothing that a request brought, and no cause, ever gets into it.
type answer struct {
	code    codes.Code
	http    int
	message string
}

// answerTo is the one table of errors, that of the API's documentation.
func answerTo(reason string) answer {
	switch reason {
	case reasonUnauthenticated:
		return answer{codes.Unauthenticated, http.StatusUnauthorized, "The caller is not known. Send exactly one credential: an API key or a JWT as `Authorization: Bearer …`, or a client certificate."}
	case string(policy.CallerNotAllowed):
		return answer{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant for this action at this configuration, or there is no such configuration."}
	case string(policy.BrandNotAllowed):
		return answer{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant for this brand, or the configuration has no such brand."}
	case string(policy.RoleNotAllowed):
		return answer{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant that gives this role."}
	case string(policy.ClaimNotAllowed):
		return answer{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant for this claim or its value."}
	case string(policy.EmailNotAllowed):
		return answer{codes.PermissionDenied, http.StatusForbidden, "The caller has no grant to sign this person in."}
	case string(policy.ReturnToNotAllowed):
		return answer{codes.PermissionDenied, http.StatusForbidden, "The person may not be sent to this return_to."}
	case reasonClientIP:
		return answer{codes.PermissionDenied, http.StatusForbidden, "The person's browser is outside the configuration's IP ranges."}
	case reasonInvalidField:
		return answer{codes.InvalidArgument, http.StatusBadRequest, "The request has invalid fields."}
	case reasonInvalidRequest:
		return answer{codes.InvalidArgument, http.StatusBadRequest, "This is not a request that the API knows."}
	case reasonNotResolved:
		return answer{codes.NotFound, http.StatusNotFound, "None of the caller's configurations serves this."}
	case reasonAmbiguous:
		return answer{codes.FailedPrecondition, http.StatusConflict, "Several of the caller's configurations or brands serve this."}
	case reasonVersionUnknown:
		return answer{codes.NotFound, http.StatusNotFound, "This version of the secret is not held."}
	case reasonRateLimited:
		return answer{codes.ResourceExhausted, http.StatusTooManyRequests, "There were too many requests; the metadata's limit says of what kind."}
	case reasonLoop:
		return answer{codes.FailedPrecondition, http.StatusConflict, "This browser came back to sign in too often."}
	case reasonDisabled:
		return answer{codes.Unavailable, http.StatusServiceUnavailable, "An operator has switched this configuration off."}
	case reasonUnusable:
		return answer{codes.Internal, http.StatusInternalServerError, "The configuration's secret can't be used; an operator must act."}
	case reasonUnavailable:
		return answer{codes.Unavailable, http.StatusServiceUnavailable, "The configuration's secret is not available at the moment."}
	case reasonAuditUnavailable:
		return answer{codes.Unavailable, http.StatusServiceUnavailable, "The decision can't be recorded, so nothing was signed."}
	}
	return answer{codes.Internal, http.StatusInternalServerError, "A fault of ours; it has been logged."}
}

// requestError is a request that never reached a handler, with a sentence that
// says what to do.
type requestError struct {
	code    codes.Code
	http    int
	message string
	fields  []zendesk.Fault
}

func (e *requestError) Error() string { return e.message }

type versionUnknownError struct{ version secrets.Version }

func (e *versionUnknownError) Error() string { return fmt.Sprintf("version %d is not held", e.version) }

// resolveError is a search that didn't end in exactly one configuration and brand.
type resolveError struct{ found int }

func (e *resolveError) Error() string { return fmt.Sprintf("%d configurations or brands", e.found) }

// refusal is an error on its way out: the reason, what goes along with it, and
// whether the cause is news to an operator.
type refusal struct {
	reason   string
	metadata map[string]string
	fields   []zendesk.Fault
	retry    time.Duration
	fault    bool // ours, or the store's: log the cause
}

// refuse says what an error of the domain is called outside.
func refuse(err error) refusal {
	var (
		denied   *policy.DeniedError
		invalid  *zendesk.InvalidError
		foreign  *zendesk.ForeignError
		outside  *zendesk.OutOfRangeError
		request  *requestError
		version  *versionUnknownError
		limited  *policy.LimitedError
		loop     *loopError
		resolve  *resolveError
		held     *secrets.UnavailableError
		onField  = func(f string) map[string]string { return map[string]string{"field": f} }
		tryAgain = time.Second
	)
	switch {
	case errors.As(err, &request):
		return refusal{reason: reasonInvalidRequest, fields: request.fields}
	case isCredential(err):
		return refuseCredential(err)
	case errors.As(err, &denied) && denied.Field == "":
		return refusal{reason: string(denied.Reason)}
	case errors.As(err, &denied):
		why := "is not covered by a grant of the caller"
		if denied.Reason == policy.RoleNotAllowed {
			why += "; left out, it needs one with the role unset"
		}
		return refusal{
			reason: string(denied.Reason), metadata: onField(denied.Field),
			fields: []zendesk.Fault{{Field: denied.Field, Description: why}},
		}
	case errors.As(err, &invalid):
		return refusal{reason: reasonInvalidField, fields: invalid.Faults}
	case errors.As(err, &foreign):
		return refusal{
			reason: string(policy.ReturnToNotAllowed), metadata: onField("return_to"),
			fields: []zendesk.Fault{{Field: "return_to", Description: foreign.Fault}},
		}
	case errors.As(err, &outside):
		return refusal{reason: reasonClientIP, metadata: onField("client_ip")}
	case errors.As(err, &version):
		return refusal{reason: reasonVersionUnknown, metadata: onField("secret_version")}
	case errors.As(err, &limited):
		return refusal{reason: reasonRateLimited, metadata: map[string]string{"limit": limited.Limit}, retry: limited.Wait}
	case errors.As(err, &loop):
		return refusal{reason: reasonLoop, retry: loop.wait}
	case errors.As(err, &resolve) && resolve.found == 0:
		return refusal{reason: reasonNotResolved}
	case errors.As(err, &resolve):
		return refusal{reason: reasonAmbiguous}
	case errors.As(err, &held):
		return refusal{reason: reasonUnavailable, retry: held.RetryAfter, fault: true}
	case errors.Is(err, secrets.ErrDisabled):
		return refusal{reason: reasonDisabled}
	case isUnusable(err):
		return refusal{reason: reasonUnusable, fault: true}
	case errors.Is(err, audit.ErrUnavailable):
		return refusal{reason: reasonAuditUnavailable, retry: tryAgain, fault: true}
	}
	return refusal{reason: reasonInternal, fault: true}
}

func isUnusable(err error) bool {
	return errors.Is(err, secrets.ErrUnusable) || errors.Is(err, secrets.ErrNotFound) ||
		errors.Is(err, secrets.ErrDeleted) || errors.Is(err, secrets.ErrDenied)
}

func isCredential(err error) bool { return credentialFault(err) != "" }

// refuseCredential is never a fault for the log. That an issuer is away is one, but
// its key set tells of it, once a fetch: strangers can make any number of requests.
func refuseCredential(err error) refusal {
	r := refusal{reason: reasonUnauthenticated, metadata: map[string]string{"credential": credentialFault(err)}}
	if errors.Is(err, caller.ErrIssuerUnavailable) {
		r.retry = 5 * time.Second // no sooner is it asked again
	}
	return r
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

// statusOf turns any error into the status that leaves. Errors that are statuses
// already stay as they are.
func statusOf(err error) *status.Status {
	if s, ok := status.FromError(err); ok {
		return s
	}
	// The caller's own end: no reason of ours, and the same at both transports.
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.New(status.FromContextError(contextCause(err)).Code(), "The request was cancelled, or its deadline has passed.")
	}
	r := refuse(err)
	a := answerTo(r.reason)
	var request *requestError
	if errors.As(err, &request) {
		a.code, a.message = request.code, request.message
	}
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: Domain, Reason: r.reason, Metadata: r.metadata}}
	if len(r.fields) > 0 {
		bad := &errdetails.BadRequest{}
		for i, f := range r.fields {
			if i == maxViolations {
				f.Description = fmt.Sprintf("is at fault, and %d more fields are", len(r.fields)-maxViolations)
			} else if i > maxViolations {
				break
			}
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: f.Field, Description: f.Description})
		}
		details = append(details, bad)
	}
	if r.retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.retry)})
	}
	s, err := status.New(a.code, a.message).WithDetails(details...)
	if err != nil {
		return status.New(codes.Internal, answerTo(reasonInternal).message)
	}
	return s
}

// contextCause is the bare error, for status.FromContextError, which doesn't unwrap.
func contextCause(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// reasonOf finds the reason in a status; empty where it has none.
func reasonOf(s *status.Status) string {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason()
		}
	}
	return ""
}
