package transport

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// The headers in which RenderPage returns the values that RenderForm returns in fields.
const (
	HeaderJTI           = "Deskmint-Jti"
	HeaderSecretVersion = "Deskmint-Secret-Version" // #nosec G101 -- a version number's header
	HeaderAttempt       = "Deskmint-Attempt"
	HeaderOutcome       = "Deskmint-Outcome"
	HeaderReason        = "Deskmint-Reason"
)

// Local returns a client connection that calls the methods in this process.
func (t *Servers) Local() grpc.ClientConnInterface {
	conn := newLocalConn(t.options.Stats)
	t.register(conn)
	return conn
}

// Gateway returns the REST API.
func (t *Servers) Gateway() (http.Handler, error) {
	ctx := context.Background() // the generated code keeps it, and uses the one of each request
	conn := t.Local()
	routes := newRoutes()
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.HTTPBodyMarshaler{Marshaler: newStrictJSON()}),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(outgoingHeaders()),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(writeError),
		runtime.WithRoutingErrorHandler(routes.refuse),
		runtime.WithForwardResponseOption(finish),
		runtime.WithMiddlewares(routes.withHTTPRequest),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)
	if err := pb.RegisterTokenServiceHandlerClient(ctx, mux, pb.NewTokenServiceClient(conn)); err != nil {
		return nil, err
	}
	configurations := pb.NewConfigurationServiceClient(conn)
	if err := pb.RegisterConfigurationServiceHandlerClient(ctx, mux, configurations); err != nil {
		return nil, err
	}
	return t.withRequestID(mux), nil
}

// withHTTPRequest stores the HTTP request in the context, as a Go value that no header can replace.
// The generated code gets neither the body nor the query, because it would read them before the
// caller is known.
func (all routes) withHTTPRequest(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if all.allowed(r.URL.Path) != r.Method {
			all.refuse(r.Context(), nil, nil, w, r, http.StatusMethodNotAllowed)
			return
		}
		call := &httpCall{
			request:   r,
			requestID: w.Header().Get(HeaderRequestID),
			body:      http.MaxBytesReader(w, r.Body, maxBody),
			params:    params,
			query:     r.URL.RawQuery,
		}
		ctx := withHTTPCall(r.Context(), call)
		if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			local, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
			ctx = peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(a), LocalAddr: local})
		}
		withoutBody := r.WithContext(ctx)
		path := *r.URL
		path.RawQuery = ""
		withoutBody.URL, withoutBody.Body = &path, http.NoBody
		next(w, withoutBody, params)
	}
}

// outgoingHeaders returns a function that maps the names of metadata to the headers of a page. No
// other header that a handler or a library sets reaches the client.
func outgoingHeaders() runtime.HeaderMatcherFunc {
	canonical := make(map[string]string)
	for _, name := range []string{
		HeaderJTI, HeaderSecretVersion, HeaderAttempt, HeaderOutcome, HeaderReason,
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

// finish completes the header of an answer. A page that shows a refusal gets the HTTP status of the
// refusal.
func finish(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	setNoStore(w.Header())
	if call := httpCallOf(ctx); call != nil && call.status != 0 {
		w.WriteHeader(call.status)
	}
	return nil
}

// setNoStore keeps answers out of caches, because they can contain a token. A page has the same
// headers.
func setNoStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// writeError is the error handler of the gateway. An error that is not a refusal is from the
// generated code.
func writeError(
	_ context.Context,
	_ *runtime.ServeMux,
	_ runtime.Marshaler,
	w http.ResponseWriter,
	_ *http.Request,
	err error,
) {
	r, known := Known(err)
	switch {
	case !known:
		r = Internal()
	case r.Reason == "" && r.Code == codes.InvalidArgument:
		r = badRequest(unreadable)
	}
	r.write(w)
}

const unreadable = "The request's path, query or headers can't be read."

// refuse answers requests that match no route.
func (all routes) refuse(
	_ context.Context,
	_ *runtime.ServeMux,
	_ runtime.Marshaler,
	w http.ResponseWriter,
	r *http.Request,
	code int,
) {
	allow := all.allowed(r.URL.Path)
	switch {
	case code == http.StatusBadRequest:
		InvalidRequest(codes.InvalidArgument, code, "The request's path can't be read.").write(w)
	case allow == "" || allow == r.Method: // the method is right, so the path is wrong
		InvalidRequest(codes.NotFound, http.StatusNotFound, "There is nothing at this path.").write(w)
	default:
		w.Header().Set("Allow", allow)
		InvalidRequest(codes.Unimplemented, http.StatusMethodNotAllowed,
			"There is something at this path, but not for this HTTP method.").write(w)
	}
}

// write writes the refusal as a google.rpc.Status in JSON.
func (r *Refusal) write(w http.ResponseWriter) {
	body, err := r.MarshalJSON()
	code := r.HTTP
	if err != nil {
		body, code = fmt.Appendf(nil, `{"code":%d}`, codes.Internal), http.StatusInternalServerError
	}
	h := w.Header()
	setNoStore(h)
	h.Set("Content-Type", mediaTypeJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if code == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if r.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.Retry.Seconds()))))
	}
	w.WriteHeader(code)
	_, _ = w.Write(body) // an error means that the client has gone away
}
