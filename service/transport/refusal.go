package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskmint/deskmint/service/text"
)

// Domain is the domain of every ErrorInfo.
const Domain = "deskmint"

// The reasons of the refusals that this package makes.
const (
	ReasonInvalidField   = "INVALID_FIELD"
	ReasonInvalidRequest = "INVALID_REQUEST"
	ReasonInternal       = "INTERNAL"
	ReasonDeadline       = "DEADLINE_EXCEEDED"
)

// Refusal is an error in the form that leaves over the wire. Its text is for callers and holds
// nothing from inside.
type Refusal struct {
	Reason     string // empty: a library made the error, or the caller has cancelled the request
	Code       codes.Code
	HTTP       int // status code
	Message    string
	Metadata   map[string]string
	Violations []Violation
	Retry      time.Duration // after which another try can help; 0: none can

	status *status.Status // of an error that a library made
}

// Violation is one field of a request with the rule that it breaks.
type Violation struct {
	Field       string
	Description string
}

// InvalidRequest refuses a request that the API can't read. message says what to do.
func InvalidRequest(code codes.Code, http int, message string, violations ...Violation) *Refusal {
	return &Refusal{Reason: ReasonInvalidRequest, Code: code, HTTP: http, Message: message, Violations: violations}
}

// InvalidField refuses a request for the values of its fields.
func InvalidField(violations ...Violation) *Refusal {
	return &Refusal{
		Reason: ReasonInvalidField, Code: codes.InvalidArgument, HTTP: http.StatusBadRequest,
		Message: "The request has invalid fields.", Violations: violations,
	}
}

// Internal refuses a request for a fault of ours.
func Internal() *Refusal {
	return &Refusal{
		Reason: ReasonInternal, Code: codes.Internal, HTTP: http.StatusInternalServerError,
		Message: "A fault of ours; it has been logged.",
	}
}

func badRequest(message string, violations ...Violation) *Refusal {
	return InvalidRequest(codes.InvalidArgument, http.StatusBadRequest, message, violations...)
}

// Known returns the refusal that an error already is: one of this package, a status that a library
// made, or the end of a context.
func Known(err error) (*Refusal, bool) {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r, true
	}
	switch st, ok := status.FromError(err); {
	case errors.Is(err, context.DeadlineExceeded), ok && st.Code() == codes.DeadlineExceeded:
		return &Refusal{
			Reason: ReasonDeadline, Code: codes.DeadlineExceeded, HTTP: http.StatusGatewayTimeout,
			Message: "The request's deadline has passed.",
		}, true
	case errors.Is(err, context.Canceled):
		return &Refusal{
			Code: codes.Canceled, HTTP: runtime.HTTPStatusFromCode(codes.Canceled),
			Message: "The request was cancelled.",
		}, true
	case ok && st != nil:
		http := runtime.HTTPStatusFromCode(st.Code())
		return &Refusal{Code: st.Code(), HTTP: http, Message: st.Message(), status: st}, true
	}
	return nil, false
}

// Gone reports whether the caller has cancelled the request, or a deadline has passed.
func (r *Refusal) Gone() bool {
	return r.Code == codes.Canceled && r.Reason == "" || r.Reason == ReasonDeadline
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// Limits of the violations in an error. Over gRPC an error travels in a trailer, which many clients
// limit to 8 KiB, and in base64, which adds a third.
const (
	maxViolations = 25
	maxField      = 200     // bytes of a field's name
	maxText       = 300     // bytes of a description
	maxDetails    = 5 << 10 // bytes of all violations in JSON, in which a byte can take six
)

// listed returns the violations that an error has room for. The last one then says how many are
// left out.
func (r *Refusal) listed() []Violation {
	var listed []Violation
	size := 0
	for i, v := range r.Violations {
		v.Field, v.Description = shortened(v.Field, maxField), shortened(v.Description, maxText)
		size += quotedSize(v.Field) + quotedSize(v.Description)
		more := len(r.Violations) - i - 1
		if i == maxViolations || size > maxDetails {
			v.Field = shortened(v.Field, maxField/6)
			if v.Description = "is at fault"; more > 0 {
				v.Description = "is at fault, as well as " + text.Count(more, "other field")
			}
			return append(listed, v)
		}
		listed = append(listed, v)
	}
	return listed
}

// shortMetadata returns the metadata with short values. A value can be the name of a field, which
// can have the key of a map in it.
func (r *Refusal) shortMetadata() map[string]string {
	for _, value := range r.Metadata {
		if len(value) > maxField {
			short := make(map[string]string, len(r.Metadata))
			for name, v := range r.Metadata {
				short[name] = shortened(v, maxField)
			}
			return short
		}
	}
	return r.Metadata
}

// shortened returns at most n bytes of s. It cuts no character in two.
func shortened(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// quotedSize returns the size of s as a string in JSON, with the rest of a violation.
func quotedSize(s string) int {
	b, _ := json.Marshal(s) // a string has no error
	return len(b) + 20
}

// GRPCStatus returns the status that leaves over gRPC. Package status of grpc-go calls it.
func (r *Refusal) GRPCStatus() *status.Status {
	if r.status != nil {
		return r.status
	}
	if r.Reason == "" {
		return status.New(r.Code, r.Message)
	}
	info := &errdetails.ErrorInfo{Domain: Domain, Reason: r.Reason, Metadata: r.shortMetadata()}
	details := []protoadapt.MessageV1{info}
	if len(r.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range r.listed() {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Description})
		}
		details = append(details, bad)
	}
	if r.Retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.Retry)})
	}
	st, err := status.New(r.Code, r.Message).WithDetails(details...)
	if err != nil {
		return status.New(codes.Internal, Internal().Message)
	}
	return st
}

// The details of a google.rpc.Status in JSON.
type (
	statusJSON struct {
		Code    codes.Code `json:"code"`
		Message string     `json:"message"`
		Details []any      `json:"details"`
	}
	errorInfoJSON struct {
		Type     string            `json:"@type"`
		Reason   string            `json:"reason"`
		Domain   string            `json:"domain"`
		Metadata map[string]string `json:"metadata"`
	}
	badRequestJSON struct {
		Type       string          `json:"@type"`
		Violations []violationJSON `json:"fieldViolations"`
	}
	violationJSON struct {
		Field       string `json:"field"`
		Description string `json:"description"`
		Reason      string `json:"reason"` // always empty
	}
	retryInfoJSON struct {
		Type  string          `json:"@type"`
		Delay json.RawMessage `json:"retryDelay"`
	}
)

// MarshalJSON encodes the refusal as protojson encodes its status. Making the status first would
// cost more than a signed token does. A test compares the two.
func (r *Refusal) MarshalJSON() ([]byte, error) {
	if r.Reason == "" {
		return newStrictJSON().Marshal(r.GRPCStatus().Proto())
	}
	metadata := r.shortMetadata()
	if metadata == nil {
		metadata = map[string]string{} // {}, not null
	}
	details := []any{errorInfoJSON{"type.googleapis.com/google.rpc.ErrorInfo", r.Reason, Domain, metadata}}
	if len(r.Violations) > 0 {
		bad := badRequestJSON{Type: "type.googleapis.com/google.rpc.BadRequest"}
		for _, v := range r.listed() {
			bad.Violations = append(bad.Violations, violationJSON{Field: v.Field, Description: v.Description})
		}
		details = append(details, bad)
	}
	if r.Retry > 0 {
		delay, err := protojson.Marshal(durationpb.New(r.Retry))
		if err != nil {
			return nil, err
		}
		details = append(details, retryInfoJSON{"type.googleapis.com/google.rpc.RetryInfo", delay})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(statusJSON{r.Code, r.Message, details})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
