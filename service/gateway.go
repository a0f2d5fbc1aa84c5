package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// The headers in which RenderPage tells what RenderForm tells in fields.
const (
	headerJTI           = "Deskmint-Jti"
	headerSecretVersion = "Deskmint-Secret-Version" // #nosec G101 -- a version number's header
	headerAttempt       = "Deskmint-Attempt"
	headerOutcome       = "Deskmint-Outcome"
	headerReason        = "Deskmint-Reason"
)

// maxBody is the most that a request may have at either transport, in bytes. Claims are
// limited to 16 KiB and tokens to 32 KiB.
const maxBody = 64 << 10

// httpTransport is the REST API: a gateway in front of a connection that ends in the
// same pipeline as the gRPC server's.
func (s *Service) httpTransport(ctx context.Context) (http.Handler, error) {
	conn := newLocalConn(nil, s.options.Stats)
	s.register(conn)
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.HTTPBodyMarshaler{Marshaler: newStrictJSON()}),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(outgoingHeaders()),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(s.writeError),
		runtime.WithRoutingErrorHandler(s.routingError),
		runtime.WithForwardResponseOption(finish),
		runtime.WithMiddlewares(s.admit),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)
	if err := pb.RegisterTokenServiceHandlerClient(ctx, mux, pb.NewTokenServiceClient(conn)); err != nil {
		return nil, err
	}
	if err := pb.RegisterConfigurationServiceHandlerClient(ctx, mux, pb.NewConfigurationServiceClient(conn)); err != nil {
		return nil, err
	}
	return s.withRequestID(mux), nil
}

// admit keeps the request for the pipeline, as a Go value that no header can replace. The gateway
// gets neither its body nor its query: it would read them before anybody knows who sends them.
func (s *Service) admit(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if s.routes.allowed(r.URL.Path) != r.Method {
			s.routingError(r.Context(), nil, nil, w, r, http.StatusMethodNotAllowed)
			return
		}
		call := &httpCall{request: r, body: http.MaxBytesReader(w, r.Body, maxBody), params: params, query: r.URL.RawQuery}
		ctx := withHTTPCall(r.Context(), call)
		if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			local, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
			ctx = peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(a), LocalAddr: local})
		}
		outline := r.WithContext(ctx)
		path := *r.URL
		path.RawQuery = ""
		outline.URL, outline.Body = &path, http.NoBody
		next(w, outline, params)
	}
}

// outgoingHeaders are the headers of a page, by their names in metadata: nothing else that a
// handler, or a library of ours, may set gets out.
func outgoingHeaders() runtime.HeaderMatcherFunc {
	canonical := make(map[string]string)
	for _, name := range []string{
		headerJTI, headerSecretVersion, headerAttempt, headerOutcome, headerReason,
		"Cache-Control", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy",
		"Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options", "X-Robots-Tag",
	} {
		canonical[strings.ToLower(name)] = name
	}
	return func(name string) (string, bool) {
		header, ok := canonical[name]
		return header, ok
	}
}

// finish completes an answer's head: a page that tells of a refusal has the HTTP
// status of the error that it stands for.
func finish(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	private(w.Header())
	md, ok := runtime.ServerMetadataFromContext(ctx)
	switch reason := md.HeaderMD.Get(headerReason); {
	case ok && len(reason) == 1:
		w.WriteHeader(wordingOf(reason[0]).http)
	case slices.Equal(md.HeaderMD.Get(headerOutcome), []string{pb.Outcome_OUTCOME_REFUSED.String()}):
		w.WriteHeader(http.StatusGatewayTimeout) // our own deadline alone has no reason
	}
	return nil
}

// private keeps answers, which can be people's credentials, out of caches. A page
// brings the same headers of its own.
func private(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// writeError is the gateway's error handler.
func (s *Service) writeError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		if r = classify(err); r.code == codes.InvalidArgument { // what generated code found
			r = classify(badRequest("The request's path, query or headers can't be read."))
		}
	}
	s.writeRefusal(w, r)
}

// routingError answers requests that no route fits.
func (s *Service) routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	e := &requestError{code: codes.InvalidArgument, http: code, message: "The request's path can't be read."}
	allow := s.routes.allowed(r.URL.Path)
	switch {
	case code == http.StatusBadRequest:
	case allow == "" || allow == r.Method: // the method is right, so the path isn't
		e.code, e.http, e.message = codes.NotFound, http.StatusNotFound, "There is nothing at this path."
	default:
		e.code, e.http, e.message = codes.Unimplemented, http.StatusMethodNotAllowed, "There is something at this path, but not for this HTTP method."
		w.Header().Set("Allow", allow)
	}
	s.writeRefusal(w, classify(e))
}

// writeRefusal writes a refusal as a google.rpc.Status in JSON.
func (s *Service) writeRefusal(w http.ResponseWriter, r *refusal) {
	body, err := r.json()
	code := r.http
	if err != nil {
		body, code = []byte(fmt.Sprintf(`{"code":%d}`, codes.Internal)), http.StatusInternalServerError
	}
	h := w.Header()
	private(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if code == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if r.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.retry.Seconds()))))
	}
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that has gone away needs no error
}

// json writes the refusal as protojson writes its status, without making one. A test holds the one
// to the other.
func (r *refusal) json() ([]byte, error) {
	if r.reason == "" {
		return newStrictJSON().Marshal(r.GRPCStatus().Proto())
	}
	type violation struct {
		Field       string `json:"field"`
		Description string `json:"description"`
		Reason      string `json:"reason"`
	}
	metadata := r.metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	details := []any{struct {
		Type     string            `json:"@type"`
		Reason   string            `json:"reason"`
		Domain   string            `json:"domain"`
		Metadata map[string]string `json:"metadata"`
	}{"type.googleapis.com/google.rpc.ErrorInfo", r.reason, Domain, metadata}}
	if len(r.fields) > 0 {
		var violations []violation
		for _, f := range r.violations() {
			violations = append(violations, violation{Field: f.Field, Description: f.Description})
		}
		details = append(details, struct {
			Type       string      `json:"@type"`
			Violations []violation `json:"fieldViolations"`
		}{"type.googleapis.com/google.rpc.BadRequest", violations})
	}
	if r.retry > 0 {
		delay, err := protojson.Marshal(durationpb.New(r.retry))
		if err != nil {
			return nil, err
		}
		details = append(details, struct {
			Type  string          `json:"@type"`
			Delay json.RawMessage `json:"retryDelay"`
		}{"type.googleapis.com/google.rpc.RetryInfo", delay})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Code    codes.Code `json:"code"`
		Message string     `json:"message"`
		Details []any      `json:"details"`
	}{r.code, r.message, details})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
