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
	"google.golang.org/protobuf/types/known/emptypb"

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
	conn.methods[t.options.Unknown.Full] = localMethod{desc: grpc.MethodDesc{
		Handler: func(_ any, ctx context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			call := &Call{ctx: ctx, http: httpCallOf(ctx), refused: noSuchMethod()}
			if call.http != nil && call.http.refused != nil {
				call.refused = call.http.refused
			}
			return t.call(t.options.Unknown, call)
		},
	}}
	return conn
}

// Gateway returns the REST API.
func (t *Servers) Gateway() (http.Handler, error) {
	ctx := context.Background() // the generated code keeps it, and uses the one of each request
	conn := t.Local()
	routes := &routes{all: newRoutes(), conn: conn, unknown: t.options.Unknown.Full}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.HTTPBodyMarshaler{Marshaler: newStrictJSON()}),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(outgoingHeaders()),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(writeError),
		runtime.WithRoutingErrorHandler(routes.refuseUnrouted),
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
func (t *routes) withHTTPRequest(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if refused := t.refusal(r); refused != nil {
			t.refuse(w, r, refused)
			return
		}
		call := newHTTPCall(w, r)
		call.params = params
		withoutBody := r.WithContext(withPeer(withHTTPCall(r.Context(), call), r))
		path := *r.URL
		path.RawQuery = ""
		withoutBody.URL, withoutBody.Body = &path, http.NoBody
		next(w, withoutBody, params)
	}
}

func newHTTPCall(w http.ResponseWriter, r *http.Request) *httpCall {
	return &httpCall{
		request:   r,
		requestID: w.Header().Get(HeaderRequestID),
		body:      http.MaxBytesReader(w, r.Body, maxBody),
		query:     r.URL.RawQuery,
	}
}

// withPeer stores the addresses of the connection as a gRPC server does.
func withPeer(ctx context.Context, r *http.Request) context.Context {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ctx
	}
	local, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(a), LocalAddr: local})
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

// refusal returns why a request that has a route can't be passed on to its method, or nil.
func (t *routes) refusal(r *http.Request) *Refusal {
	if t.all.allowed(r.URL.Path) != r.Method {
		return t.unrouted(r, http.StatusMethodNotAllowed)
	}
	if v := r.Header.Get("Grpc-Timeout"); v != "" && !isTimeout(v) {
		return badRequest("The request's headers can't be read: Grpc-Timeout is a number and a unit, such as 500m " +
			"for 500 milliseconds.")
	}
	return nil
}

// isTimeout reports whether the gateway can read a value of the header Grpc-Timeout.
func isTimeout(v string) bool {
	n, unit := v[:len(v)-1], v[len(v)-1:]
	_, err := strconv.ParseUint(n, 10, 64)
	return err == nil && strings.Contains("HMSmun", unit)
}

// unrouted returns the refusal of a request that the router answers with code.
func (t *routes) unrouted(r *http.Request, code int) *Refusal {
	allow := t.all.allowed(r.URL.Path)
	switch {
	case code == http.StatusBadRequest:
		return InvalidRequest(codes.InvalidArgument, code, "The request's path can't be read.")
	case allow == "" || allow == r.Method: // the method is right, so the path is wrong
		return InvalidRequest(codes.NotFound, http.StatusNotFound, "There is nothing at this path.")
	}
	return InvalidRequest(codes.Unimplemented, http.StatusMethodNotAllowed,
		"There is something at this path, but not for this HTTP method.")
}

// refuseUnrouted answers requests that match no route. It is a runtime.RoutingErrorHandlerFunc.
func (t *routes) refuseUnrouted(
	_ context.Context,
	_ *runtime.ServeMux,
	_ runtime.Marshaler,
	w http.ResponseWriter,
	r *http.Request,
	code int,
) {
	t.refuse(w, r, t.unrouted(r, code))
}

// refuse calls the method for unknown requests with a refusal, and writes its answer. The answer is
// another one if the caller isn't known.
func (t *routes) refuse(w http.ResponseWriter, r *http.Request, refused *Refusal) {
	call := newHTTPCall(w, r)
	call.refused = refused
	ctx := withPeer(withHTTPCall(r.Context(), call), r)
	err := t.conn.Invoke(ctx, t.unknown, &emptypb.Empty{}, &emptypb.Empty{})
	answer, ok := Known(err)
	if !ok {
		answer = Internal()
	}
	if answer.HTTP == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", t.all.allowed(r.URL.Path))
	}
	answer.write(w)
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
