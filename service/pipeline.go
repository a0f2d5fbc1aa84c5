package service

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/ops"
	"github.com/deskmint/deskmint/service/panics"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
)

// exchange is the state of one request in the pipeline. Each step reads the fields that the steps
// before it set, and sets fields for those after it.
type exchange struct {
	method   *method
	call     *transport.Call
	snapshot *config.Snapshot // the same one for the whole request

	requestID string        // set by the step requestID
	traceID   string        // set by tracing: the trace that the request belongs to
	sampled   bool          // set by tracing: the trace is recorded
	caller    caller.Caller // set by authentication; it has a name once the caller is known
	message   proto.Message // set by decode
	decision  string        // set by auditing: the decision in the audit record
}

// answer is the outcome of a request. An answer with a refusal has a message, too, if a page shows
// the refusal to the user.
type answer struct {
	message proto.Message
	header  metadata.MD
	facts   signin.Facts
	refusal *refusal
}

type handler func(ctx context.Context, x *exchange) answer

type step func(next handler) handler

// steps returns the steps that every request passes at both transports, the outermost first. No
// other code does any of this. The step decode comes after authentication, so the message of an
// unknown caller is neither read nor decoded.
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

// newPipeline returns the steps and the method as one handler.
func (s *Service) newPipeline() handler {
	run := s.handle
	steps := s.steps()
	for i := len(steps) - 1; i >= 0; i-- {
		run = steps[i](run)
	}
	return run
}

// serve runs one request.
func (s *Service) serve(ctx context.Context, m *method, call *transport.Call) answer {
	return s.pipeline(ctx, &exchange{method: m, call: call, snapshot: s.snapshot.Load()})
}

// wire returns the answer in the form of the transports.
func (a answer) wire() transport.Answer {
	out := transport.Answer{Message: a.message, Header: a.header}
	if a.refusal != nil {
		out.Refusal = &a.refusal.Refusal
	}
	return out
}

// requestID gives the request the id that the answer, the record and the log have.
func (s *Service) requestID(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		x.requestID = x.call.RequestID()
		a := next(ctx, x)
		if a.header == nil || a.refusal != nil && a.message == nil {
			a.header = metadata.MD{}
		}
		a.header.Set(transport.HeaderRequestID, x.requestID)
		return a
	}
}

// recovery turns a panic into the error of one request. The steps measure and auditing also recover
// panics inside them, so that such a panic is counted and recorded. A panic outside of those two
// steps appears only in the log.
func (s *Service) recovery(next handler) handler {
	return func(ctx context.Context, x *exchange) answer { return s.recovered(ctx, x, next) }
}

func (s *Service) recovered(ctx context.Context, x *exchange, do handler) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{refusal: classify(panics.Error(p))}
			s.logFault(ctx, x, a.facts, a.refusal)
			a = s.withPageOrNone(ctx, x, a)
		}
	}()
	return do(ctx, x)
}

// withPageOrNone adds a page to a refusal as withPage does. If the page panics, it returns the
// refusal without a page.
func (s *Service) withPageOrNone(ctx context.Context, x *exchange, a answer) (out answer) {
	defer func() {
		if p := recover(); p != nil {
			s.logFault(ctx, x, a.facts, classify(panics.Error(p)))
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
		s.monitor.Observe(x.observed(a, time.Since(started)))
		if x.caller.Name != "" {
			s.monitor.Authenticated(x.caller)
		}
		s.describeSpan(ctx, x, a)
		return a
	}
}

// observed returns what the metrics count of a request.
func (x *exchange) observed(a answer, took time.Duration) ops.Request {
	r := ops.Request{
		Transport: x.call.Transport(), Method: x.method.name, Configuration: a.facts.Configuration,
		Recorded: x.decision != "", Known: x.caller.Name != "", Took: took, Warnings: a.facts.Warnings,
	}
	if x.sampled {
		r.TraceID = x.traceID
	}
	if a.refusal != nil {
		r.Code, r.Reason = a.refusal.Code, a.refusal.Reason
	}
	return r
}

// auditing writes the record before the answer is sent. If that fails, it replaces the answer by
// AUDIT_UNAVAILABLE, or by DEADLINE_EXCEEDED if the record wasn't written before the deadline.
func (s *Service) auditing(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		a := s.recovered(ctx, x, next)
		if a.refusal != nil && a.refusal.fault && !a.refusal.logged {
			s.logFault(ctx, x, a.facts, a.refusal)
		}
		if err := s.writeRecord(ctx, x, a); err != nil {
			facts := a.facts
			a = answer{facts: facts, refusal: classify(err)}
			if a.refusal.fault {
				s.logFault(ctx, x, facts, a.refusal)
			}
			a = s.withPageOrNone(ctx, x, a)
		}
		return a
	}
}

// writeRecord records the decision. It records nothing if the caller has gone away, or its deadline
// has passed, and the request had no effect.
func (s *Service) writeRecord(ctx context.Context, x *exchange, a answer) error {
	f := a.facts
	if a.refusal != nil && a.refusal.Gone() && !f.HasEffect() && !transport.CallerWaits(ctx) {
		return nil
	}
	r := audit.Record{
		Time: s.now().UTC(), RequestID: x.requestID, TraceID: x.traceID, Transport: x.call.Transport(),
		Method: x.method.name, Action: string(x.method.action),
		Caller: x.caller.Name, Authenticated: x.caller.Method, Identity: x.caller.Identity,
		Configuration: f.Configuration, Brand: f.Brand, Decision: audit.Allow, Rule: f.Rule,
		SecretVersion: uint32(f.SecretVersion), ID: f.ID, TokenHash: f.TokenHash, Role: f.Role,
		Claims: f.Claims, Warnings: f.Warnings, ValidateOnly: f.ValidateOnly, Digest: x.snapshot.Digest,
	}
	if a.refusal != nil {
		r.Decision, r.Reason, r.Credential = audit.Deny, a.refusal.Reason, a.refusal.credential
		if who := a.refusal.ended; who.Name != "" {
			r.Caller, r.Authenticated, r.Identity = who.Name, who.Method, who.Identity
		}
	}
	x.decision = r.Decision
	if f.Acted { // a token that isn't recorded isn't sent, but an act has already happened
		ctx = context.WithoutCancel(ctx)
	}
	err := s.audit.Write(ctx, r, f.Person)
	if err != nil {
		x.decision = audit.Deny // the answer is a refusal
	}
	return err
}

// errorPage adds a page to a refusal if the caller wants the user to see one.
func (s *Service) errorPage(next handler) handler {
	return func(ctx context.Context, x *exchange) answer { return s.withPageOrNone(ctx, x, next(ctx, x)) }
}

// timeout limits the duration of the request. It refuses a request whose deadline has passed before
// its method or during it.
func (s *Service) timeout(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > transport.MaxDuration {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, transport.MaxDuration)
			defer cancel()
		}
		if err := transport.Over(ctx); err != nil {
			return answer{refusal: classify(err)}
		}
		a := next(ctx, x)
		if err := transport.Over(ctx); err != nil && a.refusal == nil {
			return answer{facts: a.facts, refusal: classify(err)}
		}
		return a
	}
}

// authentication identifies the caller, and refuses a request without a valid identity.
func (s *Service) authentication(next handler) handler {
	return func(ctx context.Context, x *exchange) answer {
		who, err := x.snapshot.Callers.Authenticate(ctx, x.call.Credentials())
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
		if err := x.call.Decode(message); err != nil {
			return answer{refusal: classify(err)}
		}
		x.message = message
		return next(ctx, x)
	}
}

// handle is the innermost handler. It calls the method.
func (s *Service) handle(ctx context.Context, x *exchange) answer {
	out, err := x.method.handle(s, ctx, x)
	if err != nil {
		out.message, out.header, out.refusal = nil, nil, classify(err)
	}
	return out
}

// logFault logs the cause of a refusal that needs an operator. It logs one line a second of each
// cause, because in an outage every request fails for the same cause.
func (s *Service) logFault(ctx context.Context, x *exchange, f signin.Facts, r *refusal) {
	r.logged = true
	leftOut, ok := s.logLimiter.allow(r.cause.Error(), time.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", x.requestID),
		slog.Int("left_out", leftOut),
		slog.String("transport", x.call.Transport()),
		slog.String("method", x.method.name),
		slog.String("caller", x.caller.Name),
		slog.String("configuration", f.Configuration),
		slog.String("reason", r.Reason),
		slog.String("cause", r.cause.Error()),
	}
	if x.traceID != "" {
		attrs = append(attrs, slog.String("trace_id", x.traceID))
	}
	s.log.LogAttrs(ctx, slog.LevelError, "request failed", attrs...)
}

// context returns the context of the decision on a request.
func (s *Service) context(x *exchange) signin.Context {
	return signin.Context{Snapshot: x.snapshot, Caller: x.caller, Now: s.now()}
}

// secretVersion returns a version in the form of the API.
func secretVersion(v secrets.Version) uint32 { return uint32(v) }
