package service

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/deskmint/deskmint/secrets"
)

// Hurry shortens how long the transports wait for a client that stalls; a whole request has
// three times as long. Call it before Serve.
func (s *Service) Hurry(d time.Duration) {
	s.timeouts.request, s.timeouts.read, s.timeouts.write, s.timeouts.idle, s.timeouts.quiet = 3*d, d, d, d, d
}

// Age shortens how long the transports use a connection. Call it before Serve.
func (s *Service) Age(d time.Duration) { s.timeouts.age = d }

// KnownAnswer is the test of the algorithm, with keys made by newKey.
func KnownAnswer(newKey func(secrets.Version, []byte) (secrets.Key, error)) error {
	return knownAnswer(newKey)
}

// Inside are both transports without their sockets: what they hand requests to.
func (s *Service) Inside(ctx context.Context) (http.Handler, grpc.ClientConnInterface, error) {
	handler, err := s.httpTransport(ctx)
	conn := newLocalConn(nil, nil)
	s.register(conn)
	return s.recoverHTTP(closeOld(handler)), conn, err
}
