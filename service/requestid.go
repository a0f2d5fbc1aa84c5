package service

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/deskmint/deskmint/service/caller"
)

// headerRequestID is where a caller may name its request, at both transports, and where
// every answer names it: the word for it in records and in the log.
const headerRequestID = "X-Request-Id"

var plainID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestIDOf takes the caller's own name for a request where that can stand in a log
// line, and makes one otherwise. A credential that has come to stand there isn't one.
func requestIDOf(given []string) string {
	if len(given) == 1 && plainID.MatchString(given[0]) && !caller.LooksLikeCredential(given[0]) && !strings.HasPrefix(given[0], "eyJ") {
		return given[0]
	}
	return rand.Text()
}

type requestIDKey struct{}

// withRequestID names every request of the REST gateway in its answer, also those that
// never become a call, and knows the trace that it is part of.
func (s *Service) withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestIDOf(r.Header.Values(headerRequestID))
		w.Header().Set(headerRequestID, id)
		ctx := s.withTrace(r.Context(), r.Header)
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, requestIDKey{}, id)))
	})
}

// requestID is the name of a call that has come in by either transport.
func requestID(ctx context.Context) string {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		return id
	}
	return requestIDOf(metadata.ValueFromIncomingContext(ctx, headerRequestID))
}
