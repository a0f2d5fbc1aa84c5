package service_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// counted returns one value of deskmint_requests_total.
func counted(t *testing.T, s *server, transport, method string, code codes.Code, reason string) string {
	t.Helper()
	text := s.ops(t, "/metrics")
	line := fmt.Sprintf(`deskmint_requests_total{code=%q,method=%q,reason=%q,transport=%q} `, code, method, reason,
		transport)
	_, rest, _ := strings.Cut(text, line)
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// ops returns the body of a page of the ops listener, with any status.
func (s *server) ops(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Ops+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := roundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
