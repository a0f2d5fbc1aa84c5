package service

import (
	"context"
	"fmt"
	"math"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
// same handlers and interceptors as the gRPC server's.
func (s *Service) httpTransport(ctx context.Context) (http.Handler, error) {
	conn := newLocalConn(s.intercept, s.options.Stats)
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
	return s.identified(mux), nil
}

// admit checks what the gateway would overlook, and hands the connection's own
// facts to the interceptors as Go values.
func (s *Service) admit(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if s.routes.allowed(r.URL.Path) != r.Method {
			s.routingError(r.Context(), nil, nil, w, r, http.StatusMethodNotAllowed)
			return
		}
		if err := admissible(r, params); err != nil {
			s.writeStatus(w, statusOf(err), err.http)
			return
		}
		// A stranger's body isn't read: parsing it would cost more than all the rest.
		// The request goes on without it, to be refused and recorded like any other.
		ctx := withHTTPRequest(r.Context(), r)
		o := outcome{snapshot: s.snapshot.Load()}
		if o.caller, o.err = o.snapshot.Callers.Authenticate(ctx, presented(ctx)); o.err != nil {
			r.Body = http.NoBody
		}
		ctx = context.WithValue(ctx, outcomeKey{}, o)
		if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			local, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
			ctx = peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(a), LocalAddr: local})
		}
		r = r.WithContext(ctx)
		r.Body = &pathBody{ReadCloser: http.MaxBytesReader(w, r.Body, maxBody), size: r.ContentLength, params: params}
		next(w, r, params)
	}
}

func admissible(r *http.Request, params map[string]string) *requestError {
	switch {
	case r.Method == http.MethodPost && r.URL.RawQuery != "":
		return badRequest("This request takes no query parameters: put everything into the JSON body.")
	case len(params) > 0 && r.URL.RawQuery != "":
		return badRequest("This request takes no query parameters: the path says it all.") // the gateway wouldn't look
	case r.Method != http.MethodPost:
		return strictQuery(r.URL.Query(), &pb.ListConfigurationsRequest{}) // the one route with parameters
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == "" && r.ContentLength == 0 {
		return nil
	}
	if t, _, err := mime.ParseMediaType(contentType); err != nil || t != "application/json" {
		return &requestError{
			code: codes.InvalidArgument, http: http.StatusUnsupportedMediaType,
			message: "The request's body must be JSON, with Content-Type: application/json.",
		}
	}
	return nil
}

// outgoingHeaders are the headers of a page, by their names in metadata: nothing else that a handler, or a library of
// ours, may set gets out.
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
		w.WriteHeader(answerTo(reason[0]).http)
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
func (s *Service) writeError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if body, ok := r.Body.(*pathBody); ok && body.fault != nil {
		err = body.fault
	}
	st, ok := status.FromError(err)
	switch {
	case !ok:
		st = statusOf(err)
	case reasonOf(st) == "" && st.Code() == codes.InvalidArgument:
		st = statusOf(badRequest("The request's path, query or headers can't be read.")) // what generated code found
	}
	s.writeStatus(w, st, httpStatusOf(err, st))
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
	s.writeStatus(w, statusOf(e), e.http)
}

// httpStatusOf finds the HTTP status: a request's own where it never became a call,
// otherwise that of the reason, otherwise that of the code.
func httpStatusOf(err error, st *status.Status) int {
	if request, ok := err.(*requestError); ok && request.http != 0 { //nolint:errorlint // as our decoder made it
		return request.http
	}
	if reason := reasonOf(st); reason != "" && reason != reasonInvalidRequest {
		return answerTo(reason).http
	}
	return runtime.HTTPStatusFromCode(st.Code())
}

// writeStatus writes a google.rpc.Status as JSON.
func (s *Service) writeStatus(w http.ResponseWriter, st *status.Status, code int) {
	body, err := newStrictJSON().Marshal(st.Proto())
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
	if wait := retryOf(st); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	w.WriteHeader(code)
	_, _ = w.Write(body) //nolint:gosec // JSON of fixed sentences; and whoever has gone away needs no error
}

func retryOf(st *status.Status) time.Duration {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
