package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/deskmint/deskmint/service/caller"
)

// Call is one request whose message has not been read yet.
type Call struct {
	ctx       context.Context
	http      *httpCall // nil at the gRPC server
	receive   func(any) error
	refused   *Refusal // of a request that names no method
	requestID string   // of a gRPC call, once it has been read

	ignoreUnknown bool // see Method
}

// Transport returns GRPC or HTTP.
func (c *Call) Transport() string {
	if c.http != nil {
		return HTTP
	}
	return GRPC
}

// Credentials returns the credentials that the caller presented. For a call of the REST gateway
// they are those in the header of the HTTP request, and the metadata are ignored. The certificate
// is always that of the connection. Headers such as X-Forwarded-Client-Cert are ignored.
func (c *Call) Credentials() (found caller.Credentials) {
	if c.http != nil {
		r := c.http.request
		return caller.Credentials{Authorization: r.Header.Values("Authorization"), Certificate: verified(r.TLS)}
	}
	found.Authorization = metadata.ValueFromIncomingContext(c.ctx, "authorization")
	if p, ok := peer.FromContext(c.ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			found.Certificate = verified(&info.State)
		}
	}
	return found
}

// verified returns the client's certificate if the handshake has verified a chain from it to a
// certificate authority for clients. Otherwise it returns nil.
func verified(connection *tls.ConnectionState) *x509.Certificate {
	if connection == nil || len(connection.VerifiedChains) == 0 {
		return nil
	}
	return connection.PeerCertificates[0]
}

// Decode reads the message into m. The error is a [Refusal] or one of the library.
func (c *Call) Decode(m proto.Message) error {
	if c.refused != nil {
		return c.refused
	}
	if c.http != nil {
		c.http.ignoreUnknown = c.ignoreUnknown
		err := c.http.decode(m)
		if stream, ok := grpc.ServerTransportStreamFromContext(c.ctx).(*localStream); ok && err == nil {
			stream.call.receivedPayload(m)
		}
		return err
	}
	return decodeGRPC(c.ctx, c.receive, m)
}
