package transport

import (
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"

	"github.com/deskmint/deskmint/service/caller"
)

// HeaderRequestID is the header in which a caller may send an id for its request, at both
// transports. The answers of the API have the header. Records and log lines identify the request by
// its id.
const HeaderRequestID = "X-Request-Id"

var plainID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestIDOf returns the caller's id for a request if it is safe in a log line. Otherwise it
// returns a new id. It doesn't use a credential that a client sends in this header.
func requestIDOf(given []string) string {
	if len(given) == 1 && isPlainID(given[0]) {
		return given[0]
	}
	return rand.Text()
}

func isPlainID(id string) bool {
	return plainID.MatchString(id) && !caller.LooksLikeCredential(id) && !strings.HasPrefix(id, "eyJ")
}

// withRequestID gives every request of the REST gateway an id, including those that match no route.
// It also reads the trace that the request belongs to. At the gRPC server, Options.Stats reads the
// trace from the metadata. The gateway passes no headers on as metadata, so Options.Stats can't do
// that here.
func (t *Servers) withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(HeaderRequestID, requestIDOf(r.Header.Values(HeaderRequestID)))
		if p := t.options.Propagator; p != nil {
			r = r.WithContext(p.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
		}
		next.ServeHTTP(w, r)
	})
}

// RequestID returns the id of the request.
func (c *Call) RequestID() string {
	if c.http != nil {
		return c.http.requestID
	}
	if c.requestID == "" {
		c.requestID = requestIDOf(metadata.ValueFromIncomingContext(c.ctx, HeaderRequestID))
	}
	return c.requestID
}
