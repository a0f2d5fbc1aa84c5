package service

import (
	"net/http"
	"time"

	"google.golang.org/grpc"
)

// ShortenTimeouts sets how long the transports wait for a client that stalls. A whole request may
// take three times as long. Call it before Serve.
func (s *Service) ShortenTimeouts(d time.Duration) {
	t := &s.timeouts
	t.Request, t.Read, t.Write, t.Idle, t.Quiet = 3*d, d, d, d, d
}

// SetConnectionAge sets the age at which the transports close a connection. Call it before Serve.
func (s *Service) SetConnectionAge(d time.Duration) { s.timeouts.Age = d }

// InProcess returns both transports without sockets.
func (s *Service) InProcess() (http.Handler, grpc.ClientConnInterface, error) {
	servers, err := s.servers(nil)
	if err != nil {
		return nil, nil, err
	}
	handler, err := servers.Gateway()
	return servers.NewHTTPServer(handler).Handler, servers.Local(), err
}

// SetCertificate sets when the certificate expires, as Serve does.
func (s *Service) SetCertificate(notAfter func() time.Time) { s.monitor.SetCertificate(notAfter) }
