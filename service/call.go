package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/deskmint/deskmint/service/caller"
)

// The transports, as records and metrics name them.
const (
	transportGRPC = "grpc"
	transportHTTP = "http"
)

// transportOf is the transport that a call came in by.
func transportOf(ctx context.Context) string {
	if httpCallOf(ctx) != nil {
		return transportHTTP
	}
	return transportGRPC
}

// credentialsOf takes what says who is calling from the transport that the call came in by. A call
// of the REST gateway brings the request's own header; its metadata don't count. Certificates are
// those of the connection: what headers such as X-Forwarded-Client-Cert say of one is not looked
// at.
func credentialsOf(ctx context.Context) (c caller.Credentials) {
	if call := httpCallOf(ctx); call != nil {
		return caller.Credentials{Authorization: call.request.Header.Values("Authorization"), Certificate: verified(call.request.TLS)}
	}
	c.Authorization = metadata.ValueFromIncomingContext(ctx, "authorization")
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			c.Certificate = verified(&info.State)
		}
	}
	return c
}

// verified is the client's certificate, where the handshake has found a chain from
// it to a client authority; else nil.
func verified(connection *tls.ConnectionState) *x509.Certificate {
	if connection == nil || len(connection.VerifiedChains) == 0 {
		return nil
	}
	return connection.PeerCertificates[0]
}
