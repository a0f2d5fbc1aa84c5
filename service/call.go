package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// The transports that a request can come in by.
const (
	transportGRPC = "grpc"
	transportHTTP = "http"
)

// call is what is known of one request besides its message. The interceptors fill
// it in on the way to the handler, and read on the way back what the handler noted.
type call struct {
	snapshot *config.Snapshot // one for the whole request
	caller   caller.Caller
	record   audit.Record
	person   audit.Person    // to be signed in, for the record
	header   metadata.MD     // of the answer, if there is one
	version  secrets.Version // that signed, or would have
	sampled  bool            // the trace that record.TraceID names is kept
}

// noteCaller puts the identity that was shown on record.
func (c *call) noteCaller(who caller.Caller) {
	c.record.Caller, c.record.Authenticated, c.record.Identity = who.Name, who.Method, who.Identity
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf is never nil behind the interceptors.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

type httpRequestKey struct{}

// withHTTPRequest marks a call as one of the REST gateway. The value is of a type that
// only this package can make: no header and no metadata can stand in for it.
func withHTTPRequest(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, httpRequestKey{}, r)
}

// outcome is what authenticating a request of the REST gateway came to, and under which
// configuration: the transport has to know before it reads a body, and a bearer token's
// signature costs more than all the rest of a request.
type outcome struct {
	snapshot *config.Snapshot
	caller   caller.Caller
	err      error
}

type outcomeKey struct{}

// transportOf is the transport that a call came in by.
func transportOf(ctx context.Context) string {
	if _, ok := ctx.Value(httpRequestKey{}).(*http.Request); ok {
		return transportHTTP
	}
	return transportGRPC
}

// presented takes what says who is calling from the transport that the call came in by. A
// call of the REST gateway brings the request's own header; its metadata has no say.
// Certificates are those of the connection: what headers such as
// X-Forwarded-Client-Cert say of one is not looked at.
func presented(ctx context.Context) (c caller.Credentials) {
	if r, ok := ctx.Value(httpRequestKey{}).(*http.Request); ok {
		return caller.Credentials{Authorization: r.Header.Values("Authorization"), Certificate: verified(r.TLS)}
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

// over is ctx's end, also in the moment between a deadline and the timer that tells
// of it.
func over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}
