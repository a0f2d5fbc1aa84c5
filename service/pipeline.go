package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/signin"
)

// maxDuration is the longest that a request may take, whatever deadline it came with.
const maxDuration = 15 * time.Second

// exchange is one request on its way through the pipeline. Each step reads what the steps before
// it set, and sets its own fields.
type exchange struct {
	method    *method
	transport string // grpc or http
	receive   func(any) error
	snapshot  *config.Snapshot // one for the whole request

	requestID string        // set by the step requestID
	traceID   string        // set by tracing: the trace that the request is part of
	sampled   bool          // set by tracing: that trace is kept
	caller    caller.Caller // set by authentication; a name means that the caller is known
	message   proto.Message // set by decode
	decision  string        // set by audit: what the record says
}

// answer is what a request comes to. A refusal can have a message, too: the page that shows it to
// a person.
type answer struct {
	message proto.Message
	header  metadata.MD
	facts   signin.Facts
	refusal *refusal
}

type handler func(ctx context.Context, x *exchange) answer

type step func(next handler) handler

// steps is what every request passes, at both transports, from the outside in. Nothing of it
// happens anywhere else. A stranger's message is neither decoded nor read: decode comes after
// authentication.
func (s *Service) steps() []step {
	return []step{
		s.requestID,
		s.tracing,
		s.recovery,
		s.measure,
		s.auditing,
		s.errorPage,
		s.timeout,
		s.authentication,
		s.decode,
	}
}

// newPipeline makes one handler of the steps and the method's own.
func (s *Service) newPipeline() handler {
	run := s.handle
	steps := s.steps()
	for i := len(steps) - 1; i >= 0; i-- {
		run = steps[i](run)
	}
	return run
}

// serve runs one request. receive decodes its message when it is called.
func (s *Service) serve(ctx context.Context, m *method, receive func(any) error) answer {
	return s.pipeline(ctx, &exchange{method: m, transport: transportOf(ctx), receive: receive, snapshot: s.snapshot.Load()})
}

// requestID names the request in the answer, in the record and in the log.
func (s *Service) requestID(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		x.requestID = requestID(ctx)
		a := next(ctx, x)
		if a.header == nil || a.refusal != nil && a.message == nil {
			a.header = metadata.MD{}
		}
		a.header.Set(headerRequestID, x.requestID)
		return a
	}
}

// recovery turns a panic into one request's error. One in audit or inside it gets there by audit's
// own recovery, and is on record. One outside has a line in the log only.
func (s *Service) recovery(next handler) handler {
	return func(ctx context.Context, x *exchange) answer { return s.recovered(ctx, x, next) }
}

func (s *Service) recovered(ctx context.Context, x *exchange, do handler) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{refusal: classify(newPanicError(p))}
			s.logFault(ctx, x, a.facts, a.refusal)
			a = s.withPageOrNone(ctx, x, a)
		}
	}()
	return do(ctx, x)
}

// withPageOrNone is withPage for a refusal that must leave, whatever happens to its page.
func (s *Service) withPageOrNone(ctx context.Context, x *exchange, a answer) (out answer) {
	defer func() {
		if recover() != nil { // the panic that led here is in the log
			out = a
		}
	}()
	return s.withPage(ctx, x, a)
}

// measure counts and times the request.
func (s *Service) measure(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		started := time.Now()
		a := s.recovered(ctx, x, next)
		s.metrics.observe(x, a, time.Since(started))
		if x.caller.Name != "" {
			s.metrics.identities.used(x.caller, s.now())
		}
		s.describeSpan(ctx, x, a)
		return a
	}
}

// auditing writes the record before the answer leaves. Where that fails, nothing is answered but
// AUDIT_UNAVAILABLE.
func (s *Service) auditing(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		a := s.recovered(ctx, x, next)
		if a.refusal != nil && a.refusal.fault && !a.refusal.logged {
			s.logFault(ctx, x, a.facts, a.refusal)
		}
		if err := s.writeRecord(ctx, x, a); err != nil {
			facts := a.facts
			a = answer{facts: facts, refusal: classify(err)}
			s.logFault(ctx, x, facts, a.refusal)
			a = s.withPageOrNone(ctx, x, a)
		}
		return a
	}
}

// writeRecord puts the decision on record. A call that its caller gave up is no decision, unless
// something was signed.
func (s *Service) writeRecord(ctx context.Context, x *exchange, a answer) error {
	f := a.facts
	if a.refusal != nil && a.refusal.gone && f.TokenHash == "" {
		return nil
	}
	r := audit.Record{
		Time: s.now().UTC(), RequestID: x.requestID, TraceID: x.traceID, Transport: x.transport,
		Method: x.method.name, Action: string(x.method.action),
		Caller: x.caller.Name, Authenticated: x.caller.Method, Identity: x.caller.Identity,
		Configuration: f.Configuration, Brand: f.Brand, Decision: audit.Allow, Rule: f.Rule,
		SecretVersion: uint32(f.SecretVersion), ID: f.ID, TokenHash: f.TokenHash, Role: f.Role,
		Claims: f.Claims, Warnings: f.Warnings, ValidateOnly: f.ValidateOnly, Digest: x.snapshot.Digest,
	}
	if a.refusal != nil {
		r.Decision, r.Reason, r.Credential = audit.Deny, a.refusal.reason, a.refusal.credential
		if who := a.refusal.ended; who.Name != "" {
			r.Caller, r.Authenticated, r.Identity = who.Name, who.Method, who.Identity
		}
	}
	x.decision = r.Decision
	return s.audit.Write(ctx, r, f.Person)
}

// errorPage makes a refusal a page where the caller wants its person to see one.
func (s *Service) errorPage(next handler) handler {
	return func(ctx context.Context, x *exchange) answer { return s.withPage(ctx, x, next(ctx, x)) }
}

// timeout bounds the request, and refuses one whose deadline has passed already.
func (s *Service) timeout(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > maxDuration {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, maxDuration)
			defer cancel()
		}
		if err := signin.Over(ctx); err != nil {
			return answer{refusal: classify(err)}
		}
		return next(ctx, x)
	}
}

// authentication finds out who is calling.
func (s *Service) authentication(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		who, err := x.snapshot.Callers.Authenticate(ctx, credentialsOf(ctx))
		if err != nil {
			return answer{refusal: classify(err)}
		}
		x.caller = who
		return next(ctx, x)
	}
}

// decode reads the message.
func (s *Service) decode(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		message := x.method.request()
		if err := decodeMessage(ctx, x.receive, message); err != nil {
			return answer{refusal: classify(err)}
		}
		x.message = message
		return next(ctx, x)
	}
}

// handle is the innermost step: the method itself.
func (s *Service) handle(ctx context.Context, x *exchange) answer {
	out, err := x.method.handle(s, ctx, x)
	if err != nil {
		out.message, out.header, out.refusal = nil, nil, classify(err)
	}
	return out
}

// logFault logs the cause of a refusal that an operator has to act on. In an outage every request
// has the same cause: each has one line a second.
func (s *Service) logFault(ctx context.Context, x *exchange, f signin.Facts, r *refusal) {
	r.logged = true
	left, ok := s.logLimiter.pass(r.cause.Error(), time.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", x.requestID), slog.Int("left_out", left),
		slog.String("transport", x.transport), slog.String("method", x.method.name), slog.String("caller", x.caller.Name),
		slog.String("configuration", f.Configuration), slog.String("reason", r.reason), slog.String("cause", r.cause.Error()),
	}
	if x.traceID != "" {
		attrs = append(attrs, slog.String("trace_id", x.traceID))
	}
	s.log.LogAttrs(ctx, slog.LevelError, "request failed", attrs...)
}

// panicError is a panic with its place, but without its value: that can be made of anything the
// handler held.
type panicError struct{ what string }

func (e *panicError) Error() string { return e.what }

func newPanicError(value any) error {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	var where []string
	for {
		f, more := frames.Next()
		where = append(where, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more {
			break
		}
	}
	return &panicError{fmt.Sprintf("panic with a %T at %s", value, strings.Join(where, " < "))}
}

// endedCaller is the caller whose identity has ended, for the record alone.
func endedCaller(err error) caller.Caller {
	if ended := (*caller.EndedError)(nil); errors.As(err, &ended) {
		return ended.Caller
	}
	return caller.Caller{}
}

// context is what a decision is based on.
func (s *Service) context(x *exchange) signin.Context {
	return signin.Context{Snapshot: x.snapshot, Caller: x.caller, Now: s.now()}
}

// secretVersion is how answers have a version.
func secretVersion(v secrets.Version) uint32 { return uint32(v) }
