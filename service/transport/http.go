package transport

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/deskmint/deskmint/service/panics"
)

// maxFrame is the largest HTTP/2 frame in bytes. The protocol allows no smaller limit.
const maxFrame = 16 << 10

// NewHTTPServer returns a server for handler with the limits and timeouts of the REST gateway.
func (t *Servers) NewHTTPServer(handler http.Handler) *http.Server {
	timeouts := t.options.Timeouts
	return &http.Server{
		Handler:                      t.recoverHTTP(closeOld(handler)),
		ConnContext:                  timeouts.withEnd,
		DisableGeneralOptionsHandler: true, // `OPTIONS *` gets the same answer as any unknown path
		ReadHeaderTimeout:            timeouts.Read,
		ReadTimeout:                  timeouts.Read,
		WriteTimeout:                 timeouts.Request + timeouts.Write, // from the end of the request header
		IdleTimeout:                  timeouts.Idle,
		MaxHeaderBytes:               maxHeaders,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame,
			MaxReceiveBufferPerConnection: 4 * maxBody, MaxReceiveBufferPerStream: maxBody,
			SendPingTimeout: timeouts.Quiet, PingTimeout: timeouts.Read, WriteByteTimeout: timeouts.Write,
		},
		ErrorLog: t.options.ServerLog,
	}
}

// recoverHTTP logs a panic outside the methods. Unlike net/http it leaves out the value of the
// panic. It ends the connection, because a part of an answer may have been sent.
func (t *Servers) recoverHTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				t.logPanic(r.Context(), w.Header().Get(HeaderRequestID), panics.Error(p))
				panic(http.ErrAbortHandler) // which net/http doesn't log
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (t *Servers) logPanic(ctx context.Context, requestID string, cause error) {
	t.options.Log.LogAttrs(ctx, slog.LevelError, "request failed",
		slog.String("request_id", requestID), slog.String("cause", cause.Error()))
}
