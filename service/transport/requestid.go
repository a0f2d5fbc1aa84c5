package transport

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"

	"github.com/deskmint/deskmint/service/caller"
)

// HeaderRequestID is the header in which a caller may send an id for its request, at both
// transports. Every answer has it. Records and log lines name the request by it.
const HeaderRequestID = "X-Request-Id"

var plainID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestIDOf returns the caller's id for a request if it is safe in a log line, otherwise a new
// one. A credential in this header is not an id.
func requestIDOf(given []string) string {
	if len(given) == 1 && plainID.MatchString(given[0]) && !caller.LooksLikeCredential(given[0]) && !strings.HasPrefix(given[0], "eyJ") {
		return given[0]
	}
	return rand.Text()
}

type requestIDKey struct{}

// withRequestID gives every request of the REST gateway an id, including those that match no route,
// and reads the trace that the request belongs to. None of its headers becomes metadata, so
// Options.Stats could not find the trace there as it does at the gRPC server.
func (t *Servers) withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestIDOf(r.Header.Values(HeaderRequestID))
		w.Header().Set(HeaderRequestID, id)
		ctx := r.Context()
		if p := t.options.Propagator; p != nil {
			ctx = p.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, requestIDKey{}, id)))
	})
}

// RequestID returns the id of the request. At the gRPC server each call may return another one if
// the caller sent none.
func (c *Call) RequestID() string {
	if id, ok := c.ctx.Value(requestIDKey{}).(string); ok {
		return id
	}
	return requestIDOf(metadata.ValueFromIncomingContext(c.ctx, HeaderRequestID))
}
